"""What can't be told of a past request is not guessed: by which name of its model it asked, and whether a change that
came at that very moment bound it."""

from datetime import timedelta

import pytest

from apps.catalog.models import ModelAlias
from apps.gateway.explaining_past_rules import changed_just_before
from apps.orgs.units import create_unit
from apps.policies import drafting
from apps.policies.models import Policy, PolicyVersion
from tests.explaining.asking import past, run
from tests.gateway.company import MODEL, Company
from tests.gateway.governing import activate, in_force, in_shadow

MOMENT = timedelta(milliseconds=10)


@pytest.fixture
def alias(company: Company) -> str:
    return ModelAlias.objects.filter(provider="openai", model__name=MODEL)[0].alias


def said(company: Company, model: str) -> dict[str, tuple[str, str]]:
    answer = company.chat(model=model)
    assert answer.status_code == 200
    company.wait_for_ends(1)
    then = past(company, answer.headers["x-request-id"])
    assert then["request"] == {"provider": "openai", "model": MODEL}
    return {policy["policy"]: (policy["outcome"], policy["reason"]) for policy in then["policies"]}


@pytest.mark.parametrize("asked", ["name", "alias"])
def test_a_rule_about_one_name_of_a_model_is_not_said_to_be_about_the_other(
    company: Company, alias: str, asked: str
) -> None:
    in_shadow(company, "allowlist", {"models": [f"openai/{alias}"]}, name="only the alias")
    in_force(company, "per_request_limit", {"max_usd": "1"}, selector={"models": [f"openai/{alias}"]}, name="limited")
    told = said(company, alias if asked == "alias" else MODEL)
    assert told["only the alias"] == (
        "undecidable", "Whether it would have let the request pass depends on what is not kept of it.",
    )  # fmt: skip
    assert told["limited"] == ("passed", "It let the request pass, by what is not kept of it.")


def test_a_rule_that_says_the_same_of_every_name_is_told_as_it_is(company: Company) -> None:
    in_force(company, "allowlist", {"models": [f"openai/{MODEL}*"]}, name="that family")
    in_force(company, "allowlist", {"models": []}, selector={"models": ["openai/gpt-4o"]}, name="another")
    told = said(company, MODEL)
    assert told["that family"][0] == "passed"
    assert "not kept" not in told["that family"][1]
    assert told["another"][0] == "not_selected"


def changes(company: Company, version: PolicyVersion, after: timedelta = MOMENT) -> list[tuple[str, int, bool, str]]:
    assert version.activated_at is not None
    scopes = [company.organization.id, company.actor.id]
    found = changed_just_before(company.organization, scopes, version.activated_at + after)
    return [(one["policy"], one["version"], one["is_shadow"], one["change"]) for one in found]


def made_older(version: PolicyVersion) -> PolicyVersion:
    for name in ("shadowed_at", "activated_at"):
        if (at := getattr(version, name)) is not None:
            setattr(version, name, at - timedelta(minutes=1))
    version.save(update_fields=["shadowed_at", "activated_at"])
    return version


def next_version(company: Company, version: PolicyVersion) -> PolicyVersion:
    policy = Policy.objects.get(id=version.policy_id)
    return drafting.draft_version(
        policy,
        organization=company.organization,
        revision=policy.revision,
        rule={"models": ["openai/*"]},
        acting="test",
    ).version


def test_both_versions_are_named_of_a_policy_that_changed_within_the_second_before(company: Company) -> None:
    old = made_older(in_force(company, "allowlist", {"models": ["openai/gpt-4*"]}, name="models"))
    new = activate(company, next_version(company, old))
    assert changes(company, new) == [("models", 1, False, "ended"), ("models", 2, False, "began")]
    assert changes(company, new, -MOMENT) == changes(company, new, timedelta(seconds=2)) == []


def test_so_is_one_that_left_shadow(company: Company) -> None:
    watched = made_older(in_shadow(company, "allowlist", {"models": ["openai/*"]}, name="models"))
    active = activate(company, watched)
    assert changes(company, active) == [("models", 1, True, "ended"), ("models", 1, False, "began")]


def test_a_change_for_other_scopes_is_not_named(company: Company) -> None:
    elsewhere = create_unit(organization=company.organization, kind="team", name="Elsewhere", acting="test")
    assert changes(company, in_force(company, "allowlist", {"models": []}, unit=elsewhere)) == []


def test_a_person_reads_that_the_request_may_have_been_decided_without(company: Company) -> None:
    fresh = in_force(company, "allowlist", {"models": ["openai/*"]}, name="fresh")
    answer = company.chat()
    (reservation,) = company.wait_for_ends(1)
    for ago, is_named in ((MOMENT, True), (timedelta(seconds=2), False)):
        PolicyVersion.objects.filter(id=fresh.id).update(activated_at=reservation.reserved_at - ago)
        words = run(company, "--request", answer.headers["x-request-id"], as_json=False)
        assert ("Within the second before: fresh, version 1 began." in words) == is_named
        assert ("may still have been decided without" in words) == is_named
