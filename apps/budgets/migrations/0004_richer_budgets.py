import django.db.models.deletion
from django.db import migrations, models

import spendra.kernel.ids
from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("budgets", "0003_governance_change"),
        ("orgs", "0002_fiscal_year"),
        ("policies", "0001_initial"),
    ]
    operations = [
        migrations.AddField(
            model_name="budget",
            name="selector",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, models.JSONField()),
                default=dict,
                help_text="Which requests of the scope it counts, as policies.selectors has it; empty: all of them.",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="allocated_from",
            field=models.ForeignKey(
                blank=True,
                help_text="The budget of a wider scope of which this one is a part.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="allocations",
                to="budgets.budget",
            ),
        ),
        migrations.RemoveConstraint(model_name="budget", name="budget_period_kind_known"),
        migrations.AlterField(
            model_name="budget",
            name="period_kind",
            field=models.CharField(
                choices=[
                    ("total", "Total"),
                    ("minute", "Minute"),
                    ("hour", "Hour"),
                    ("day", "Day"),
                    ("week", "Week"),
                    ("month", "Month"),
                    ("year", "Year"),
                    ("fixed", "Fixed"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    period_kind__in=["total", "minute", "hour", "day", "week", "month", "year", "fixed"]
                ),
                name="budget_period_kind_known",
            ),
        ),
        migrations.AlterField(
            model_name="period",
            name="label",
            field=models.TextField(
                help_text="T, D2025-11-02, W2025-W44, M2025-11, Y2025, F, H2025-11-02T14:00+01:00 or I2025-11-02T13:05Z."
            ),
        ),
        migrations.CreateModel(
            name="BudgetOverride",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "budget",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="overrides",
                        to="budgets.budget",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orgs.organization"
                    ),
                ),
                ("amount", models.BigIntegerField(help_text="In the measure of the budget.")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("author", models.CharField(max_length=300)),
                ("reason", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "ended_at",
                    models.DateTimeField(blank=True, help_text="When somebody ended it before its time.", null=True),
                ),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["budget", "ends_at"], name="override_of_budget")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(amount__gte=0, amount__lte=4000000000000000000),
                        name="override_amount_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(ends_at__gt=models.F("starts_at")), name="override_ends_after_it_starts"
                    ),
                ],
            },
        ),
        run_file(__file__, "overrides_v1.sql"),
        run_file(__file__, "periods_v2.sql"),
        run_file(__file__, "seeding_v2.sql"),
        run_file(__file__, "settle_v2.sql"),
        run_file(__file__, "state_v1.sql"),
        run_file(__file__, "governed_v1.sql"),
    ]
