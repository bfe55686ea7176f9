"""A reply that never comes says nothing about what was done: it is asked for again, or taken back."""

import time

import psycopg

from tests.crash.books import Caller, check
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage, beside, eventually

FENCE = "SELECT pg_advisory_xact_lock(budgets_fence_v1())"


def test_a_reserve_whose_reply_is_lost_is_asked_again_and_reserves_once(
    stage: Stage, caller: Caller, line: LossyLine
) -> None:
    line.lose_replies("spendra reserve", 1)
    assert caller.send().status_code == 200
    lines = check([caller], stage.sandbox.url)
    assert [one.is_estimated for one in lines] == [False, False]


def test_a_reserve_that_is_given_up_is_taken_back(stage: Stage, caller: Caller, line: LossyLine) -> None:
    line.lose_replies("spendra reserve", 2)  # the reply, and the connection over which it is asked for again
    refused = caller.send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    _, given_up = check([caller], stage.sandbox.url)
    assert [one.state for one in given_up.reservations] == ["voided"]
    assert not given_up.is_charged


def test_a_reserve_that_commits_after_it_was_given_up_is_taken_back(
    stage: Stage, caller: Caller, line: LossyLine
) -> None:
    eventually(lambda: _reserves_unheard(stage, caller, line), 60)
    *_, given_up = check([caller], stage.sandbox.url)
    assert [one.state for one in given_up.reservations] == ["voided"]


def _reserves_unheard(stage: Stage, caller: Caller, line: LossyLine) -> bool:
    """False where it did not come about: on a busy machine the lock wait may be over before the line breaks."""
    before = len(caller.company.reservations())
    with psycopg.connect(stage.database.url) as fence:
        with stage.locked("budgets_period", "organization_id = %s", caller.company.organization.id):
            waiting = beside(caller.send)
            stage.wait_for_lock_wait("budgets_reserve_v3")
            fence.execute(FENCE)
            line.break_off("spendra reserve")
            time.sleep(0.1)
        # The one that nobody hears any more holds the periods now; the one that asks again gives up waiting for them.
        refused = waiting.result()
        fence.rollback()
    assert refused.status_code in (200, 503)
    time.sleep(0.5)
    return refused.status_code == 503 and len(caller.company.reservations()) > before


def test_a_settle_whose_reply_is_lost_is_booked_once(stage: Stage, caller: Caller, line: LossyLine) -> None:
    line.lose_replies("spendra settle", 1)
    caller.send()
    eventually(lambda: len(caller.company.entries()) == 2)
    lines = check([caller], stage.sandbox.url)
    assert [[entry.cause for entry in one.entries] for one in lines] == [["settled"], ["settled"]]
