from uuid import UUID

import pytest

from apps.audit.models import AuditRecord
from apps.orgs.models import Organization
from apps.policies import evaluation, freezing, sentences
from apps.policies.models import Freeze
from apps.policies.types import FreezeRule
from apps.providers.accounts import create_account
from spendra.kernel.errors import Invalid, NotFound
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization, make_unit


def freeze(organization: Organization, target: freezing.Target, reason: str = "a leaked key") -> Freeze:
    return freezing.freeze(organization=organization, target=target, reason=reason, acting=ACTING)


def thaw(organization: Organization, target: freezing.Target) -> Freeze:
    return freezing.thaw(organization=organization, target=target, reason="rotated", acting=ACTING)


def test_everything_that_spends_can_be_frozen_and_thawed(database: Database) -> None:
    acme = make_organization()
    team, key_id = make_unit(acme, "Data", kind="team"), make_key(acme).record.key_id
    create_account(organization=acme, provider="openai", credential_reference="env:OPENAI_API_KEY", acting=ACTING)
    targets = [
        freezing.find_target(acme),
        freezing.find_target(acme, unit=team),
        freezing.find_target(acme, key_id=key_id),
        freezing.find_target(acme, provider="openai"),
    ]
    assert [(target.kind, target.id) for target in targets] == [
        ("organization", str(acme.id)), ("unit", str(team.id)), ("key", key_id), ("provider_account", "openai"),
    ]  # fmt: skip
    for target in targets:
        assert freeze(acme, target).thawed_at is None
        assert thaw(acme, target).thawed_by == ACTING
    assert AuditRecord.objects.filter(action="policies.freeze", reason="a leaked key").count() == 4
    assert AuditRecord.objects.filter(action="policies.thaw", reason="rotated").count() == 4


def test_a_second_freeze_is_the_first_one_and_a_thawed_target_can_be_frozen_again(database: Database) -> None:
    acme = make_organization()
    target = freezing.find_target(acme)
    first = freeze(acme, target)
    again = freeze(acme, target, "another reason")
    assert (again.id, again.reason) == (first.id, "a leaked key")
    thaw(acme, target)
    with pytest.raises(NotFound, match="The organization acme is not frozen"):
        thaw(acme, target)
    assert freeze(acme, target, "another reason").id != first.id
    assert AuditRecord.objects.filter(action="policies.freeze").count() == 2


def test_another_organizations_things_are_not_found(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    team, key_id = make_unit(acme, "Data", kind="team"), make_key(acme).record.key_id
    for named in ({"unit": team}, {"key_id": key_id}, {"provider": "openai"}):
        with pytest.raises(NotFound):
            freezing.find_target(globex, **named)
    freeze(acme, freezing.find_target(acme))
    with pytest.raises(NotFound):
        thaw(globex, freezing.find_target(acme))


def test_a_freeze_needs_one_target_and_a_reason_that_can_be_shown(database: Database) -> None:
    acme = make_organization()
    with pytest.raises(Invalid, match="one at a time"):
        freezing.find_target(acme, key_id="k", provider="openai")
    for reason in (" ", "two\nlines", "nul\x00", "x" * 501):
        with pytest.raises(Invalid, match="Say why"):
            freeze(acme, freezing.find_target(acme), reason)
    assert not Freeze.objects.exists()


def test_a_gateway_finds_the_widest_freeze_of_a_request() -> None:
    acme, team, bot = (UUID(int=number) for number in range(3))
    frozen = {
        "organization": FreezeRule("organization", str(acme), "unpaid"),
        "unit": FreezeRule("unit", str(team), "an incident"),
        "provider": FreezeRule("provider_account", "openai", "a leak"),
        "key": FreezeRule("key", "key1", "stolen"),
    }
    request = {"scope_ids": (acme, bot, team), "provider": "openai", "key_id": "key1"}
    for widest in ("organization", "unit", "provider", "key"):
        by_target = evaluation.freezes_by_target(frozen.values())
        assert evaluation.find_freeze(by_target, **request) == frozen.pop(widest)
    assert evaluation.find_freeze({}, **request) is None
    # An id is only what its kind says: a unit's is no organization's.
    elsewhere = evaluation.freezes_by_target([FreezeRule("unit", "openai", "x"), FreezeRule("key", "key2", "x")])
    assert evaluation.find_freeze(elsewhere, **request) is None


def test_a_frozen_caller_reads_what_is_frozen_and_why() -> None:
    told = sentences.frozen(FreezeRule("unit", "0", "an incident"), unit="team Data")
    assert told == "The team Data is frozen, so no request passes: an incident"
    told = sentences.frozen(FreezeRule("provider_account", "openai", "a leak"))
    assert told == "The account at openai is frozen, so no request passes: a leak"
