import django.db.models.deletion
from django.db import migrations, models

import spendra.kernel.ids
from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("orgs", "0001_initial"),
        ("spendra", "0001_shared_functions"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApprovalUse",
            fields=[
                ("approval_id", models.UUIDField(primary_key=True, serialize=False)),
                ("reservation_id", models.UUIDField(db_index=True)),
                ("used_at", models.DateTimeField()),
            ],
            options={
                "ordering": ("-used_at",),
            },
        ),
        migrations.CreateModel(
            name="Policy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("allowlist", "Allowlist"),
                            ("per_request_limit", "Per Request Limit"),
                            ("review", "Review"),
                            ("alert", "Alert"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "revision",
                    models.PositiveIntegerField(
                        default=1, help_text="Grows with each change of it or of a version of it."
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="policies", to="orgs.organization"
                    ),
                ),
                (
                    "unit",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: the whole organization.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="policies",
                        to="orgs.unit",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "policies",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "selector",
                    models.JSONField(default=dict, help_text="Which requests it is for; empty: all of its scope."),
                ),
                ("rule", models.JSONField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("shadow", "Shadow"),
                            ("active", "Active"),
                            ("retired", "Retired"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("effective_from", models.DateTimeField(blank=True, help_text="Empty: at once.", null=True)),
                (
                    "effective_until",
                    models.DateTimeField(blank=True, help_text="Empty: until it is retired.", null=True),
                ),
                ("created_by", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("shadowed_at", models.DateTimeField(blank=True, null=True)),
                ("activated_at", models.DateTimeField(blank=True, null=True)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orgs.organization"
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="policies.policy"
                    ),
                ),
            ],
            options={
                "ordering": ("policy", "-number"),
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("organization_id", models.UUIDField()),
                ("key_id", models.CharField(max_length=40)),
                ("actor_id", models.UUIDField()),
                ("policy_version_id", models.UUIDField()),
                ("provider", models.CharField(max_length=40)),
                ("model", models.CharField(max_length=200)),
                ("asked_nanos", models.BigIntegerField(help_text="The greatest worst case that was asked for.")),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("approved", "Approved"), ("denied", "Denied")],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("decided_by", models.CharField(blank=True, max_length=300)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["organization_id", "-id"], name="review_by_organization")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "pending")),
                        fields=("organization_id", "key_id", "provider", "model"),
                        name="review_pending_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["pending", "approved", "denied"])), name="review_state_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("asked_nanos__gte", 0), ("asked_nanos__lte", 1000000000000000)),
                        name="review_amount_in_range",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key_id", models.CharField(max_length=40)),
                ("provider", models.CharField(max_length=40)),
                ("model", models.CharField(max_length=200)),
                ("max_nanos", models.BigIntegerField()),
                ("valid_until", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orgs.organization"
                    ),
                ),
                (
                    "review",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="approval", to="policies.review"
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Freeze",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "target_kind",
                    models.CharField(
                        choices=[
                            ("organization", "Organization"),
                            ("unit", "Unit"),
                            ("provider_account", "Provider Account"),
                            ("key", "Key"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "target_id",
                    models.CharField(
                        help_text="An organization's or a unit's id, a provider's name, a key's public id.",
                        max_length=64,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("frozen_by", models.CharField(max_length=300)),
                ("frozen_at", models.DateTimeField()),
                ("thawed_by", models.CharField(blank=True, max_length=300)),
                ("thawed_at", models.DateTimeField(blank=True, null=True)),
                ("thaw_reason", models.CharField(blank=True, max_length=500)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="freezes", to="orgs.organization"
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("thawed_at", None)),
                        fields=("organization", "target_kind", "target_id"),
                        name="freeze_open_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target_kind__in", ["organization", "unit", "provider_account", "key"])),
                        name="freeze_target_known",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.UniqueConstraint(fields=("organization", "name"), name="policy_name_once"),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["allowlist", "per_request_limit", "review", "alert"])),
                name="policy_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(fields=("policy", "number"), name="policy_version_once"),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "draft")), fields=("policy",), name="policy_version_one_draft"
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "shadow")), fields=("policy",), name="policy_version_one_shadow"
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")), fields=("policy",), name="policy_version_one_active"
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "shadow", "active", "retired"])), name="policy_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="policyversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("effective_from", None),
                    ("effective_until", None),
                    ("effective_until__gt", models.F("effective_from")),
                    _connector="OR",
                ),
                name="policy_dates_in_order",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("max_nanos__gte", 0), ("max_nanos__lte", 1000000000000000)),
                name="approval_amount_in_range",
            ),
        ),
        run_file(__file__, "versions_v1.sql"),
        run_file(__file__, "reviews_v1.sql"),
    ]
