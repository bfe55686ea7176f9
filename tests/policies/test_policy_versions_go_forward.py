from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from apps.audit.models import AuditRecord
from apps.orgs import units
from apps.policies import drafting, lifecycle
from apps.policies.models import PolicyVersion
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit
from tests.policies.building import activate, make_active, make_draft, seen

OTHER = {"models": ["anthropic/*"]}


def states(version: PolicyVersion) -> list[str]:
    return list(version.policy.versions.order_by("number").values_list("state", flat=True))


def redraft(version: PolicyVersion) -> PolicyVersion:
    return drafting.draft_version(version.policy, rule=OTHER, **seen(version)).version


def test_draft_shadow_active_retired(database: Database) -> None:
    version = make_draft(make_organization())
    shadow = lifecycle.to_shadow(version, **seen(version)).version
    assert (shadow.state, shadow.effective_from, shadow.shadowed_at is None) == ("shadow", None, False)
    active = activate(version).version
    assert (active.state, active.activated_at is None) == ("active", False)
    retired = lifecycle.retire(version, reason="enough", **seen(version))
    assert (retired.state, retired.retired_at is None) == ("retired", False)
    actions = AuditRecord.objects.filter(object_id=str(version.policy_id)).order_by("id")
    assert [record.action for record in actions] == [
        "policies.create_policy", "policies.to_shadow", "policies.activate", "policies.retire",
    ]  # fmt: skip


def test_what_takes_its_place_retires_what_was_there(database: Database) -> None:
    first = make_active(make_organization())
    second = redraft(first)
    lifecycle.to_shadow(second, **seen(second))
    third = redraft(first)
    assert states(first) == ["active", "shadow", "draft"]
    lifecycle.to_shadow(third, **seen(third))
    assert states(first) == ["active", "retired", "shadow"]
    activate(third)
    assert states(first) == ["retired", "retired", "active"]


def test_nothing_goes_back(database: Database) -> None:
    version = make_active(make_organization())
    with pytest.raises(Conflict, match="is active"):
        lifecycle.to_shadow(version, **seen(version))
    with pytest.raises(Conflict, match="is active"):
        activate(version)
    lifecycle.retire(version, **seen(version))
    for act in (lifecycle.activate, lifecycle.to_shadow, lifecycle.retire):
        with pytest.raises(Conflict, match="is retired"):
            act(version, **seen(version))


def test_whoever_saw_an_older_revision_is_told(database: Database) -> None:
    version = make_draft(make_organization())
    old = seen(version)
    drafting.edit_draft(version, rule=OTHER, **old)
    for act in (lifecycle.activate, lifecycle.to_shadow, lifecycle.retire):
        with pytest.raises(Conflict, match="since you saw it"):
            act(version, **old)


def test_another_organization_gets_not_found(database: Database) -> None:
    version = make_draft(make_organization())
    theirs = {**seen(version), "organization": make_organization("globex")}
    for act in (lifecycle.activate, lifecycle.to_shadow, lifecycle.retire):
        with pytest.raises(NotFound):
            act(version, **theirs)


def test_dates_that_cannot_be_are_refused(database: Database) -> None:
    now = datetime.now(UTC)
    version = make_draft(make_organization())
    for sentence, dates in (
        ("ended already", {"effective_until": now - timedelta(hours=1)}),
        ("end before it begins", {"effective_from": now + timedelta(2), "effective_until": now + timedelta(1)}),
        ("need a time zone", {"effective_from": datetime(2030, 1, 1)}),  # noqa: DTZ001
    ):
        with pytest.raises(Invalid, match=sentence):
            activate(version, **dates)
    active = activate(version, effective_from=now + timedelta(1), effective_until=now + timedelta(2)).version
    assert active.effective_until == now + timedelta(2)


def test_a_version_that_would_leave_a_time_without_rule_is_refused(database: Database) -> None:
    now = datetime.now(UTC)
    first = make_active(make_organization())
    second = redraft(first)
    with pytest.raises(Invalid, match=r"Version 1 would be retired now and version 2 begin only at .* nothing between"):
        activate(second, effective_from=now + timedelta(1))
    assert states(first) == ["active", "draft"]
    lifecycle.to_shadow(second, **seen(second), effective_from=now + timedelta(1))
    activate(second)
    third = redraft(first)
    lifecycle.retire(second, **seen(second))
    activate(third, effective_from=now + timedelta(1))
    fourth = redraft(first)
    activate(fourth, effective_from=now + timedelta(hours=12))
    assert states(first) == ["retired", "retired", "retired", "active"]


def test_a_policy_of_an_archived_unit_does_not_enter_force(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    version = make_draft(acme, unit=team)
    units.archive(team, organization=acme, acting=ACTING)
    for act in (lifecycle.activate, lifecycle.to_shadow):
        with pytest.raises(Invalid, match="team Data is archived") as refused:
            act(version, **seen(version))
        assert "scope_archived" in refused.value.details["findings"]
    assert lifecycle.retire(version, **seen(version)).state == "retired"


def test_the_database_itself_keeps_what_a_version_said(database: Database) -> None:
    version = make_active(make_organization())
    connection = database.connect()
    for change in (
        "UPDATE policies_policyversion SET rule = '{}'",
        'UPDATE policies_policyversion SET selector = \'{"environments": ["staging"]}\'',
        "UPDATE policies_policyversion SET number = 7",
        "UPDATE policies_policyversion SET state = 'draft'",
        "DELETE FROM policies_policyversion",
        "SET session_replication_role = replica; UPDATE policies_policyversion SET rule = '{}'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change)
    version.refresh_from_db()
    assert version.rule == {"models": ["openai/gpt-4.1-mini"]}


def test_the_database_holds_one_active_version_a_policy(database: Database) -> None:
    first = make_active(make_organization())
    redraft(first)
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.connect().execute("UPDATE policies_policyversion SET state = 'active'")
