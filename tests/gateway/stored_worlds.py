"""A world of tests/gateway_pure as rows of a database, one after the other."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.budgets.models import Budget
from apps.keys.models import Grant, Key
from apps.orgs.models import Organization, Unit, UnitEdge
from apps.policies.models import Approval, Freeze, Policy, PolicyVersion, Review
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule
from apps.providers.models import ProviderAccount
from tests.gateway_pure.snapshots import ACME, KEY_ID, NOON, unit_id
from tests.gateway_pure.test_requests_are_decided_as_an_obvious_reference_says import ACTOR, KINDS, World

# Rows that hang on no organization by a foreign key, and that the next world must not find.
_FREE_ROWS = ("budgets_period", "policies_approvaluse")
_OURS: dict[str, Any] = {"organization_id": ACME}


@transaction.atomic
def store(world: World, caps: Mapping[UUID, int]) -> None:
    """Instead of the world that was there."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE orgs_organization CASCADE")
        for table in _FREE_ROWS:
            cursor.execute(f"DELETE FROM {table}")
    Organization.objects.create(id=ACME, slug="acme", name="Acme", requires_cap=world.requires_cap)
    ProviderAccount.objects.create(provider="openai", credential_reference="env:X", **_OURS)
    _store_units(world)
    _store_budgets(world, caps)
    for rule in world.policies:
        _store_policy(rule)
    for freeze in world.freezes:
        _store_freeze(freeze)
    for approval in world.approvals:
        _store_approval(approval)


def _store_units(world: World) -> None:
    units = [Unit(id=unit_id(n), kind=kind, name=f"number {n}", **_OURS) for n, kind in KINDS.items()]
    Unit.objects.bulk_create(units)
    edges = [(child, parent) for child, parents in world.parents.items() for parent in parents]
    UnitEdge.objects.bulk_create(
        UnitEdge(child_id=unit_id(child), parent_id=unit_id(parent), **_OURS) for child, parent in edges
    )
    key = Key.objects.create(
        key_id=KEY_ID, secret_sha256=b"", actor_id=unit_id(ACTOR), environment_label="production",
        project_id=None if world.project is None else unit_id(world.project), max_reservation_nanos=world.most, **_OURS,
    )  # fmt: skip
    Grant.objects.create(key=key, pattern="*/*", **_OURS)


def _store_budgets(world: World, caps: Mapping[UUID, int]) -> None:
    Budget.objects.bulk_create(
        Budget(
            id=rule.id, unit_id=rule.unit_id, applies_to_each=rule.applies_to_each, measure=rule.measure,
            period_kind=rule.period_kind, hardness="hard" if rule.is_hard else "soft", amount=caps[rule.id],
            fixed_starts_at=rule.fixed_starts_at, fixed_ends_at=rule.fixed_ends_at, counts_from_now=True,
            selector=rule.selector.as_json() if rule.selector else {}, **_OURS,
        )
        for rule in world.budgets
    )  # fmt: skip


def _store_policy(rule: PolicyRule) -> None:
    policy = Policy.objects.create(id=rule.policy_id, unit_id=rule.unit_id, name=rule.name, kind=rule.kind, **_OURS)
    PolicyVersion.objects.create(
        id=rule.version_id, policy=policy, number=rule.number, state="shadow" if rule.is_shadow else "active",
        selector=rule.selector.as_json() if rule.selector else {}, rule=rule.content.as_json(),  # type: ignore[union-attr]
        effective_from=rule.effective_from, effective_until=rule.effective_until, **_OURS,
    )  # fmt: skip


def _store_freeze(rule: FreezeRule) -> None:
    Freeze.objects.create(**asdict(rule), frozen_at=NOON, **_OURS)


def _store_approval(rule: ApprovalRule) -> None:
    about = {"key_id": rule.key_id, "provider": rule.provider, "model": rule.model, "created_at": NOON, **_OURS}
    review = Review.objects.create(
        actor_id=unit_id(ACTOR), policy_version_id=UUID(int=0), asked_nanos=0, state="approved", **about
    )
    Approval.objects.create(id=rule.id, review=review, max_nanos=rule.max_nanos, valid_until=rule.valid_until, **about)
