"""Each finding of docs/policies.md."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from apps.catalog.models import CatalogModel
from apps.keys.revoking import revoke
from apps.orgs.models import Organization
from apps.policies import checking
from apps.policies.types import Finding
from spendra.kernel.errors import Invalid
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization, make_unit
from tests.policies.building import activate, make_active, make_draft

CHEAP = {"models": ["openai/gpt-4.1-mini"]}


def found(organization: Organization, name: str = "new", **said: Any) -> list[Finding]:
    return list(activate(make_draft(organization, name, **said)).findings)


def codes(organization: Organization, name: str = "new", **said: Any) -> list[str]:
    return [finding.code for finding in found(organization, name, **said)]


def test_a_rule_that_is_as_it_should_be_has_none(database: Database) -> None:
    acme = make_organization()
    assert codes(acme, "models", rule=CHEAP) == []
    assert codes(acme, "limit", kind="per_request_limit", rule={"max_usd": "2.00"}) == []
    assert codes(acme, "review", kind="review", rule={"above_usd": "1.00"}) == []
    assert codes(acme, "alert", kind="alert", rule={"thresholds": [80]}) == []


def test_a_model_that_the_catalog_does_not_know(database: Database) -> None:
    acme = make_organization()
    (finding,) = found(acme, "one", rule={"models": ["openai/gpt-4.1-mini", "openai/gpt-99"]})
    assert (finding.code, finding.is_refused) == ("model_unknown", False)
    assert finding.message == "The catalog knows no model openai/gpt-99."
    assert codes(acme, "two", kind="review", selector={"models": ["nobody/*"]}, rule={"above_usd": "9"}) == [
        "model_unknown", "never_fires",
    ]  # fmt: skip


def test_a_model_that_its_provider_has_retired(database: Database) -> None:
    CatalogModel.objects.filter(provider="openai", name="gpt-4.1-mini").update(retired_on=date(2026, 1, 1))
    (finding,) = found(make_organization(), rule={"models": ["openai/gpt-4.1-mini", "openai/gpt-4.1"]})
    assert (finding.code, finding.message) == ("model_retired", "The provider has retired openai/gpt-4.1-mini.")


def test_a_key_that_is_not_there_is_refused_and_a_revoked_one_told(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    theirs, mine = make_key(globex).record.key_id, make_key(acme).record.key_id
    draft = make_draft(acme, "theirs", rule=CHEAP, selector={"key_ids": [mine, theirs]})
    with pytest.raises(Invalid, match=f"The organization has no key {theirs}"):
        activate(draft)
    assert codes(acme, "mine", rule=CHEAP, selector={"key_ids": [mine]}) == []
    revoke(mine, acting=ACTING)
    assert codes(acme, "revoked", rule={"models": ["anthropic/*"]}, selector={"key_ids": [mine]})[0] == "never_fires"


def test_a_rule_that_denies_everything_or_nothing(database: Database) -> None:
    acme = make_organization()
    only = {"models": ["openai/gpt-4.1*"]}
    for number, (kind, selector, rule, expected) in enumerate(
        (
            ("allowlist", only, {"models": ["anthropic/*"]}, ["denies_everything"]),
            ("allowlist", only, {"models": []}, ["denies_everything"]),
            ("allowlist", only, {"endpoints": []}, ["denies_everything"]),
            ("allowlist", only, {"models": ["openai/*"]}, ["never_fires"]),
            # It denies what names no type of its tools: docs/policies.md.
            ("allowlist", only, {"models": ["*/*"], "tools": ["*"]}, []),
            ("allowlist", only, {"models": ["*/*"], "tools": []}, []),
            ("per_request_limit", {"environments": ["staging"]}, {"max_output_tokens": 0}, ["denies_everything"]),
        )
    ):
        unit = make_unit(acme, f"agent {number}")
        assert codes(acme, f"policy {number}", kind=kind, selector=selector, rule=rule, unit=unit) == expected


def test_a_limit_beside_a_lower_one(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    bot = make_unit(acme, "bot", parents=[team])
    limit = {"kind": "per_request_limit"}
    assert codes(acme, "of the team", unit=team, rule={"max_usd": "2"}, **limit) == []
    (hidden,) = found(acme, "of the bot", unit=bot, rule={"max_usd": "3"}, **limit)
    assert (hidden.code, "It decides nothing beside 'of the team'" in hidden.message) == ("hidden", True)
    assert codes(acme, "tighter", unit=bot, rule={"max_usd": "1"}, **limit) == ["hides"]
    assert codes(acme, "of tokens", unit=bot, rule={"max_output_tokens": 1000}, **limit) == []
    assert codes(acme, "elsewhere", unit=make_unit(acme, "other"), rule={"max_usd": "3"}, **limit) == []
    (hides,) = found(acme, "of all", rule={"max_usd": "0.50"}, **limit)
    assert hides.code == "hides"
    assert set(hides.message.removeprefix("Beside it, ").removesuffix(" decides nothing more.").split(", ")) == {
        "'of the team'", "'of the bot'", "'tighter'", "'elsewhere'",
    }  # fmt: skip


def test_a_selector_that_is_narrower_hides_nothing(database: Database) -> None:
    acme = make_organization()
    limit = {"kind": "per_request_limit"}
    make_active(acme, "in production", rule={"max_usd": "1"}, selector={"environments": ["production"]}, **limit)
    assert codes(acme, "everywhere", rule={"max_usd": "2"}, **limit) == []
    narrow = {"environments": ["production"], "models": ["openai/gpt-4.1*"]}
    assert codes(acme, "there", rule={"max_usd": "3"}, selector=narrow, **limit) == ["hidden"]
    make_active(acme, "of openai", rule={"max_output_tokens": 10}, selector={"models": ["openai/*"]}, **limit)
    assert codes(acme, "dearer", rule={"max_output_tokens": 20}, selector={"models": ["openai/gpt-*"]}, **limit) == [
        "hidden"
    ]


def test_a_review_above_what_is_denied_is_never_asked_for(database: Database) -> None:
    acme = make_organization()
    make_active(acme, "limit", kind="per_request_limit", rule={"max_usd": "2"})
    assert codes(acme, "too late", kind="review", rule={"above_usd": "2"}) == ["hidden"]
    assert codes(acme, "in time", kind="review", rule={"above_usd": "1"}) == ["hides"]
    assert codes(acme, "of all", kind="review", rule={}) == ["hides"]


def test_allowlists_that_leave_nothing_contradict(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    make_active(acme, "of all", rule=CHEAP)
    (finding,) = found(acme, "of the team", unit=team, rule={"models": ["anthropic/*"]})
    assert finding.code == "contradicts"
    assert finding.message == "Together with 'of all' it allows no model: all is denied."
    assert codes(acme, "wider", unit=team, rule={"models": ["openai/*"]}) == ["contradicts"]


def test_allowlists_for_different_requests_do_not_contradict(database: Database) -> None:
    acme = make_organization()
    make_active(acme, "staging", rule=CHEAP, selector={"environments": ["staging"]})
    elsewhere = {"environments": ["production"], "models": ["anthropic/*", "openai/*"]}
    assert codes(acme, "production", rule={"models": ["anthropic/*"]}, selector=elsewhere) == []


def test_rules_of_times_apart_do_not_meet(database: Database) -> None:
    acme, now = make_organization(), datetime.now(UTC)
    activate(make_draft(acme, "today", rule=CHEAP), effective_until=now + timedelta(1))
    tomorrow = make_draft(acme, "tomorrow", rule={"models": ["anthropic/*"]})
    assert activate(tomorrow, effective_from=now + timedelta(1)).findings == ()
    overlapping = make_draft(acme, "both", rule={"models": ["anthropic/*"]})
    assert [finding.code for finding in activate(overlapping).findings] == ["hides", "contradicts"]


def test_what_a_newer_release_wrote_is_left_out(database: Database) -> None:
    acme = make_organization()
    make_active(acme, "old", rule=CHEAP)
    database.connect().execute(
        "INSERT INTO policies_policyversion (id, organization_id, policy_id, number, selector, rule, state, created_by,"
        " created_at) SELECT gen_random_uuid(), organization_id, policy_id, 2, '{\"hats\": []}', rule, 'shadow', '',"
        " created_at FROM policies_policyversion;"
        "UPDATE policies_policyversion SET state = 'retired' WHERE number = 1;"
        "UPDATE policies_policyversion SET state = 'active' WHERE number = 2"
    )
    assert codes(acme, "new", rule={"models": ["anthropic/*"]}) == []


def test_a_draft_is_told_the_same_before_it_binds_anybody(database: Database) -> None:
    draft = make_draft(make_organization(), rule={"models": []})
    assert [finding.code for finding in checking.check(draft)] == ["denies_everything"]
