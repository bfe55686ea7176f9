"""A Postgres that is silent on a line that stands is given up in a bounded time; what it hears late, it does once."""

import time

import pytest

from apps.budgets.connecting import CALL_SECONDS
from tests.crash.books import Caller, Line, check
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage, beside, eventually

# A silent call is given up, and so is the one that asks again.
GIVEN_UP_SECONDS = 2 * CALL_SECONDS + 3
EVERYTHING = ""


def causes(lines: list[Line]) -> list[list[str]]:
    return [[entry.cause for entry in line.entries] for line in lines]


def wait_for_second_call(line: LossyLine, application: str) -> None:
    """Until the first was given up: the next one takes a connection of its own."""
    eventually(lambda: line.connections(application) > 1, CALL_SECONDS + 5)


def test_a_reserve_that_hears_nothing_asks_again_and_reserves_once(
    stage: Stage, caller: Caller, line: LossyLine
) -> None:
    with line.held_back("spendra reserve") as waits:
        answer = beside(caller.send)
        assert waits.wait(10)
        wait_for_second_call(line, "spendra reserve")
    # Postgres now hears both.
    assert answer.result().status_code == 200
    assert caller.send().status_code == 200
    caller.company.wait_for_ends(3)
    assert causes(check([caller], stage.sandbox.url)) == [["settled"]] * 3


@pytest.mark.parametrize("silent", ["spendra reserve", EVERYTHING])
def test_a_reserve_that_hears_nothing_for_long_is_refused_in_a_bounded_time_and_holds_nothing(
    stage: Stage, caller: Caller, line: LossyLine, silent: str
) -> None:
    with line.held_back(silent):
        refused = beside(caller.send).result(GIVEN_UP_SECONDS)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    # What was given up arrives only now: before its void, or after it where only reserves were silent.
    eventually(lambda: caller.send().status_code == 200)
    caller.company.wait_for_ends(3)
    first, given_up, *_, last = check([caller], stage.sandbox.url)
    assert [one.state for one in given_up.reservations] == ["voided"]
    assert not given_up.is_charged
    assert causes([first, last]) == [["settled"]] * 2


def test_who_waits_behind_a_silent_reserve_is_refused_together_with_it(
    stage: Stage, caller: Caller, line: LossyLine
) -> None:
    give_up_at = time.monotonic() + GIVEN_UP_SECONDS
    with line.held_back("spendra reserve") as waits:
        asked = beside(caller.send)
        assert waits.wait(10)
        waiting = beside(caller.send)
        for refused in (asked, waiting):
            answer = refused.result(max(0, give_up_at - time.monotonic()))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    eventually(lambda: caller.send().status_code == 200)
    first, *given_up, last = causes(check([caller], stage.sandbox.url))
    assert [first, last] == [["settled"]] * 2
    assert not any(given_up)


def test_a_settle_that_hears_nothing_is_sent_again_and_books_once(
    stage: Stage, caller: Caller, line: LossyLine
) -> None:
    with line.held_back("spendra settle") as waits:
        assert caller.send().status_code == 200
        assert waits.wait(10)
        wait_for_second_call(line, "spendra settle")
    caller.company.wait_for_ends(2)
    assert caller.send().status_code == 200
    caller.company.wait_for_ends(3)
    assert causes(check([caller], stage.sandbox.url)) == [["settled"]] * 3
