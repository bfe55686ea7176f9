"""A lane that has just been told that rules have moved does not ask for what was decided by the same ones."""

from typing import Any, cast

import pytest

from apps.budgets.types import ReservationRequest, Verdict
from apps.gateway import stale_tokens
from apps.gateway.stale_tokens import StaleTokens
from spendra.kernel.errors import Busy

STALE: Verdict = {"verdict": "stale", "organization_token": "2", "global_token": "g"}


def a_request(organization: str = "acme", token: str = "1", global_token: str = "g") -> ReservationRequest:
    said: dict[str, Any] = {"organization_id": organization, "organization_token": token, "global_token": global_token}
    return cast("ReservationRequest", said)


def test_who_was_decided_by_the_same_rules_is_told_the_same() -> None:
    stale = StaleTokens()
    stale.note(a_request(), STALE)
    assert stale.verdict_on(a_request()) == STALE
    assert stale.verdict_on(a_request(token="2")) is None
    assert stale.verdict_on(a_request(global_token="h")) is None
    assert stale.verdict_on(a_request("globex")) is None


def test_a_period_or_a_time_that_is_over_says_nothing_of_the_rules() -> None:
    stale = StaleTokens()
    stale.note(a_request(token="2"), STALE)
    assert stale.verdict_on(a_request(token="2")) is None


def test_other_answers_say_nothing_of_the_rules() -> None:
    stale = StaleTokens()
    stale.note(a_request(), {"verdict": "granted"})
    stale.note(a_request(), Busy("away"))
    assert stale.verdict_on(a_request()) is None


def test_a_database_that_comes_back_older_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_tokens, "REMEMBERED_SECONDS", -1)
    stale = StaleTokens()
    stale.note(a_request(), STALE)
    assert stale.verdict_on(a_request()) is None
