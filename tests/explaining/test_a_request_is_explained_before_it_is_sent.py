"""What a request would be answered now, with every rule, cap and scope that has a say; nothing is reserved for it."""

from datetime import timedelta

from apps.orgs.units import create_unit, move
from spendra.kernel.clock import database_now
from tests.explaining.asking import live, run
from tests.gateway.company import Company
from tests.gateway.governing import USD, in_force, in_shadow


def test_an_allowed_request_shows_what_it_rests_on(company: Company) -> None:
    team = create_unit(organization=company.organization, kind="team", name="Data", acting="test")
    move(company.actor, organization=company.organization, parents=[team], acting="test")
    cap = company.cap(5 * USD, period_kind="day")
    in_force(company, "allowlist", {"models": ["openai/gpt-4.1-*"]}, name="cheap ones", unit=team)
    found = live(company)
    assert (found["decision"], found["refusal"]) == ("allow", None)
    assert [scope["name"] for scope in found["scopes"]] == ["Ada's agent", "Data", company.organization.slug]
    assert found["key"]["is_granted"]
    assert int(found["worst_case"]["nanos"]) > 0
    assert found["price_version_id"]
    [policy] = found["policies"]
    assert (policy["policy"], policy["version"], policy["outcome"]) == ("cheap ones", 1, "passed")
    [told] = found["caps"]
    assert told["rule"] == str(cap.id)
    assert (told["cap"], told["settled"], told["reserved"]) == (str(5 * USD), "0", "0")
    assert told["asked"] == found["worst_case"]["nanos"]
    assert told["resets_at"]


def test_every_rule_says_why_it_did_not_apply(company: Company) -> None:
    elsewhere = create_unit(organization=company.organization, kind="team", name="Elsewhere", acting="test")
    in_force(company, "per_request_limit", {"max_nanos": 0}, name="of others", unit=elsewhere)
    in_force(
        company, "per_request_limit", {"max_nanos": 0}, name="of employees", selector={"actor_kinds": ["employee"]}
    )
    in_shadow(company, "per_request_limit", {"max_nanos": 0}, name="watching")
    in_force(company, "alert", {"thresholds": [80]}, name="telling")
    found = live(company)
    assert found["decision"] == "allow"
    said = {policy["policy"]: (policy["outcome"], policy["is_shadow"]) for policy in found["policies"]}
    assert said == {
        "of others": ("not_in_scope", False),
        "of employees": ("not_selected", False),
        "watching": ("denied", True),
        "telling": ("alerts_only", False),
    }


def test_budgets_that_do_not_count_it_say_why(company: Company) -> None:
    now = database_now()
    company.cap(USD, selector={"models": ["openai/gpt-4o"]})
    company.cap(
        USD, period_kind="fixed", fixed_starts_at=now + timedelta(days=1), fixed_ends_at=now + timedelta(days=2)
    )
    found = live(company)
    assert found["caps"] == []
    assert sorted(one["reason"] for one in found["budgets_left_out"]) == [
        "It is for openai/gpt-4o; the request is for openai/gpt-4.1-mini.",
        "It is not in force at this time.",
    ]


def test_nothing_is_reserved(company: Company) -> None:
    company.cap(USD)
    for _ in range(3):
        [cap] = live(company)["caps"]
        assert (cap["reserved"], cap["available"]) == ("0", str(USD))
    assert company.reservations() == []


def test_more_tokens_ask_for_more(company: Company) -> None:
    little, much = live(company, input_tokens=1000), live(company, input_tokens=100_000, max_tokens=1000)
    assert little["worst_case"]["input_tokens"] == 1000
    assert (much["worst_case"]["input_tokens"], much["worst_case"]["output_tokens"]) == (100_000, 1000)
    assert int(little["worst_case"]["nanos"]) < int(much["worst_case"]["nanos"])


def test_hosted_tools_are_those_of_the_request(company: Company) -> None:
    in_force(company, "allowlist", {"tools": []}, name="no tools")
    assert live(company)["decision"] == "allow"
    found = live(company, more=("--tool", "web_search"))
    assert found["refusal"]["code"] == "policy_denied"
    assert "web_search" in found["refusal"]["message"]


def test_a_person_reads_it(company: Company) -> None:
    company.cap(USD, period_kind="day")
    in_force(company, "allowlist", {"models": ["openai/gpt-4o"]}, name="only that")
    key = company.issued.record.key_id
    text = run(company, "--key", key, "--model", "gpt-4.1-mini", "--max-tokens", "16", as_json=False)
    lines = text.splitlines()
    assert lines[0] == "Refused: policy_denied (403)"
    assert f"Scopes      agent Ada's agent, organization {company.organization.slug}" in lines
    assert any(line.strip().startswith("denied") and "only that, version 1" in line for line in lines)
    assert any("hard day cap on organization" in line for line in lines)
    allowed = run(company, "--key", key, "--model", "gpt-4o", as_json=False)
    assert allowed.startswith("Allowed.")
