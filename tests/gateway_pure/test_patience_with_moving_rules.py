"""A request follows rules that move for a while, and rules that don't a few times."""

from dataclasses import dataclass

import pytest

from apps.gateway.attempts import MOVING_RULES_SECONDS, SAME_RULES_BEFORE_GIVING_UP, Patience
from spendra.kernel.errors import Busy


@dataclass(frozen=True)
class Rules:
    token: str


CATALOG = Rules("catalog")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [7.0]
    monkeypatch.setattr("apps.gateway.attempts.time.monotonic", lambda: now[0])
    return now


def test_rules_that_move_are_followed_until_the_time_is_over(clock: list[float]) -> None:
    patience = Patience()
    for number in range(100):
        clock[0] = 7.0 + number * MOVING_RULES_SECONDS / 99
        patience.spend(Rules(str(number)), CATALOG)
    clock[0] += 0.1
    with pytest.raises(Busy):
        patience.spend(Rules("100"), CATALOG)


@pytest.mark.parametrize("others", [0, 1])
def test_rules_that_fail_it_and_stay_in_force_are_tried_a_few_times(clock: list[float], others: int) -> None:
    patience = Patience()
    for number in range(SAME_RULES_BEFORE_GIVING_UP):
        patience.spend(Rules("same"), CATALOG)
        for other in range(others):
            patience.spend(Rules(f"{number}-{other}"), CATALOG)
    with pytest.raises(Busy):
        patience.spend(Rules("same"), CATALOG)


def test_a_catalog_that_moves_is_followed_too(clock: list[float]) -> None:
    patience = Patience()
    for number in range(100):
        patience.spend(Rules("same"), Rules(str(number)))
