"""What a policy denies is refused before anything is reserved, and the refusal names the version and says why."""

from datetime import timedelta
from typing import Any

import openai
import pytest

from apps.orgs.models import Unit
from apps.orgs.units import archive, create_unit, move, restore
from apps.policies import drafting
from apps.policies.models import PolicyVersion
from spendra.kernel.clock import database_now
from tests.gateway.company import Company, body, make_company
from tests.gateway.governing import activate, draft, error_of, in_force, outcome, retire

WEB_SEARCH = [{"type": "web_search"}]
FUNCTION = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def test_an_allowlist_refuses_another_model_and_says_which_version_and_what_is_allowed(company: Company) -> None:
    version = in_force(company, "allowlist", {"models": ["openai/gpt-4o", "anthropic/*"]}, name="cheap models")
    answer = company.chat()
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["type"]) == (403, "policy_denied", "permission_error")
    assert answer.headers["x-should-retry"] == "false"
    assert error["message"] == (
        "The policy 'cheap models' (version 1) allows only openai/gpt-4o, anthropic/*, not openai/gpt-4.1-mini."
    )
    said = error["spendra"]
    assert (said["policy"], said["version"], said["version_id"]) == ("cheap models", 1, str(version.id))
    assert said["reason"] == error["message"]
    assert company.reservations() == []
    assert outcome(company.chat(model="gpt-4o")) == "200"


def test_the_openai_client_shows_the_reason(company: Company) -> None:
    in_force(company, "allowlist", {"models": ["openai/gpt-4o"]})
    with pytest.raises(openai.PermissionDeniedError, match="allows only openai/gpt-4o"):
        company.client().chat.completions.create(**body())


@pytest.mark.parametrize(
    ("rule", "passes", "is_refused"),
    [
        ({"models": ["openai/gpt-4.1*"]}, {}, {"model": "gpt-4o"}),
        ({"endpoints": ["chat.completions"]}, {}, None),
        ({"endpoints": ["responses"]}, None, {}),
        ({"tools": []}, {"tools": FUNCTION}, {"tools": WEB_SEARCH}),
        ({"tools": []}, {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, {"web_search_options": {}}),
        ({"tools": ["web_*"]}, {"tools": WEB_SEARCH}, {"tools": [*WEB_SEARCH, {"type": "code_interpreter"}]}),
        ({"models": []}, None, {}),
    ],
)
def test_an_allowlist_is_about_models_tools_and_endpoints(
    company: Company, rule: dict[str, Any], passes: dict[str, Any] | None, is_refused: dict[str, Any] | None
) -> None:
    in_force(company, "allowlist", rule)
    if passes is not None:
        assert outcome(company.chat(**passes)) == "200"
    if is_refused is not None:
        assert outcome(company.chat(**is_refused)) == "policy_denied"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"max_usd": "0.000001"}, "0.000001 USD a request"),
        ({"max_input_tokens": 3}, "3 input tokens"),
        ({"max_output_tokens": 15}, "15 output tokens"),
    ],
)
def test_a_limit_a_request_is_about_its_worst_case(company: Company, rule: dict[str, Any], said: str) -> None:
    version = in_force(company, "per_request_limit", rule)
    answer = company.chat()
    assert outcome(answer) == "policy_denied"
    assert said in error_of(answer)["message"]
    retire(company, version)
    assert outcome(company.chat()) == "200"


def test_output_tokens_are_those_of_all_choices(company: Company) -> None:
    in_force(company, "per_request_limit", {"max_output_tokens": 40})
    assert outcome(company.chat(n=2)) == "200"
    assert outcome(company.chat(n=3)) == "policy_denied"


@pytest.mark.parametrize("rule", [{"max_input_tokens": 1000}, {"max_usd": "0.001"}])
def test_a_request_that_only_its_bytes_bring_above_a_limit_is_counted_exactly(
    company: Company, rule: dict[str, Any]
) -> None:
    in_force(company, "per_request_limit", rule)
    words = "international " * 300
    assert outcome(company.chat(messages=[{"role": "user", "content": words}])) == "200"
    assert outcome(company.chat(messages=[{"role": "user", "content": words * 30}])) == "policy_denied"


@pytest.mark.parametrize(
    ("selector", "matches", "does_not"),
    [
        ({"models": ["openai/gpt-4.1-*"]}, {}, {"model": "gpt-4o"}),
        ({"models": ["openai/gpt-4o"]}, {"model": "gpt-4o-2024-08-06"}, {"model": "gpt-4.1"}),
        ({"tools": ["web_search*"]}, {"tools": [{"type": "web_search_preview"}]}, {"tools": FUNCTION}),
        ({"tools": ["*"]}, {"tools": WEB_SEARCH}, {}),
        ({"environments": ["development"]}, {}, None),
        ({"environments": ["production", "staging"]}, None, {}),
        ({"actor_kinds": ["agent"]}, {}, None),
        ({"actor_kinds": ["employee"]}, None, {}),
    ],
)
def test_a_policy_is_for_what_its_selector_names(
    company: Company, selector: dict[str, Any], matches: dict[str, Any] | None, does_not: dict[str, Any] | None
) -> None:
    in_force(company, "per_request_limit", {"max_nanos": 0}, selector=selector)
    if matches is not None:
        assert outcome(company.chat(**matches)) == "policy_denied"
    if does_not is not None:
        assert outcome(company.chat(**does_not)) == "200"


def test_a_policy_may_be_for_one_key(company: Company) -> None:
    another = company.another_key()
    in_force(company, "per_request_limit", {"max_nanos": 0}, selector={"key_ids": [another.record.key_id]})
    assert outcome(company.chat(key=another.key)) == "policy_denied"
    assert outcome(company.chat()) == "200"


def test_a_policy_of_a_unit_is_for_all_below_it_by_whichever_way(company: Company) -> None:
    near, far, other = (
        create_unit(organization=company.organization, kind="team", name=name, acting="test")
        for name in ("Near", "Far", "Other")
    )
    move(company.actor, organization=company.organization, parents=[near, far], acting="test")
    in_force(company, "per_request_limit", {"max_nanos": 0}, unit=other)
    assert outcome(company.chat()) == "200"
    in_force(company, "per_request_limit", {"max_nanos": 0}, unit=far)
    assert outcome(company.chat()) == "policy_denied"


def test_of_rules_that_contradict_each_other_the_denial_wins(company: Company) -> None:
    in_force(company, "allowlist", {"models": ["openai/*"]}, name="a: anything")
    in_force(company, "review", {}, name="b: ask somebody")
    in_force(company, "allowlist", {"models": ["openai/gpt-4o"]}, name="c: only that")
    error = error_of(company.chat())
    assert error["code"] == "policy_denied"
    assert [fired["policy"] for fired in error["spendra"]["fired"]] == ["c: only that", "b: ask somebody"]
    assert "only that" in error["message"]
    assert "ask somebody" not in error["message"]


def test_a_new_version_takes_the_place_of_the_old_one_and_is_the_one_named(company: Company) -> None:
    first = in_force(company, "allowlist", {"models": ["openai/gpt-4o"]}, name="models")
    policy = first.policy
    policy.refresh_from_db()
    second = drafting.draft_version(
        policy,
        organization=company.organization,
        revision=policy.revision,
        rule={"models": ["openai/gpt-4.1"]},
        acting="test",
    ).version
    assert error_of(company.chat())["spendra"]["version"] == 1
    activate(company, second)
    assert error_of(company.chat())["spendra"]["version"] == 2


def test_a_draft_and_a_retired_version_decide_nothing(company: Company) -> None:
    draft(company, "per_request_limit", {"max_nanos": 0})
    retire(company, in_force(company, "per_request_limit", {"max_nanos": 0}))
    assert outcome(company.chat()) == "200"


def test_a_policy_of_an_archived_unit_concerns_nobody_and_binds_again_once_it_is_restored(company: Company) -> None:
    team = create_unit(organization=company.organization, kind="team", name="Old", acting="test")
    in_force(company, "per_request_limit", {"max_nanos": 0}, unit=team)
    archive(team, organization=company.organization, acting="test")
    assert outcome(company.chat()) == "200"
    restore(team, organization=company.organization, acting="test")
    move(company.actor, organization=company.organization, parents=[team], acting="test")
    assert outcome(company.chat()) == "policy_denied"


def test_it_binds_whoever_was_left_below_an_archived_unit_past_the_use_cases(company: Company) -> None:
    team = create_unit(organization=company.organization, kind="team", name="Old", acting="test")
    move(company.actor, organization=company.organization, parents=[team], acting="test")
    in_force(company, "per_request_limit", {"max_nanos": 0}, unit=team)
    Unit.objects.filter(id=team.id).update(archived_at=database_now())
    assert outcome(company.chat()) == "policy_denied"


@pytest.mark.parametrize(
    "change",
    [
        {"rule": {"of_tomorrow": 1}},
        {"selector": {"continents": ["europe"]}},
    ],
)
def test_a_policy_that_this_release_cannot_read_denies(company: Company, change: dict[str, Any]) -> None:
    version = draft(company, "allowlist", {"models": ["openai/*"]})
    PolicyVersion.objects.filter(id=version.id).update(**change)
    PolicyVersion.objects.filter(id=version.id).update(state="active", activated_at=database_now())
    answer = company.chat()
    assert outcome(answer) == "policy_denied"
    assert "this release of Spendra" in error_of(answer)["message"]


def test_a_policy_of_another_organization_is_nobodys_business(company: Company) -> None:
    in_force(make_company(company.gateway_url), "per_request_limit", {"max_nanos": 0})
    assert outcome(company.chat()) == "200"


def test_dates_bound_a_policy(company: Company) -> None:
    now = database_now()
    ended = draft(company, "per_request_limit", {"max_nanos": 0})
    activate(company, ended, effective_until=now + timedelta(milliseconds=200))
    to_come = draft(company, "per_request_limit", {"max_nanos": 0})
    activate(company, to_come, effective_from=now + timedelta(days=1))
    while database_now() < now + timedelta(milliseconds=200):
        pass
    assert outcome(company.chat()) == "200"
