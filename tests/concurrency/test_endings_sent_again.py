"""After a line was made anew the last minute's endings are sent again: nobody waits for them, and they are not owed."""

import asyncio
from typing import Any

from apps.budgets.connecting import HotConnection
from apps.budgets.models import Reservation
from apps.gateway import metrics
from apps.gateway.settle_lane import SettleLane
from tests.budgets import money
from tests.databases import Database

SENT, IN_A_BATCH = 2000, 200
BREAK_OFF = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'spendra settle'"
)


def sent_again() -> float:
    return metrics.endings.labels("already_settled")._value.get()  # type: ignore[no-any-return]


async def until_nothing_is_owed(lane: SettleLane) -> None:
    async with asyncio.timeout(20):
        while len(lane):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def test_what_is_sent_again_is_not_owed_and_keeps_no_ending_that_comes_now(database: Database) -> None:
    connection = database.connect()
    money.beat(connection)
    acme = money.make_organization()
    period = money.open_period(connection, money.make_budget(acme, 10**9))
    tokens = money.tokens_of(connection, acme)

    def reserved(count: int) -> list[Any]:
        requests = [money.a_request(acme, tokens, [period]) for _ in range(count)]
        money.reserve(connection, *requests)
        return [money.an_ending(request) for request in requests]

    async def run() -> None:
        lane = SettleLane(HotConnection(database.url, name="spendra settle"), ended=lambda _: None)
        for _ in range(SENT // IN_A_BATCH):
            for ending in reserved(IN_A_BATCH):
                lane.add(ending)
            await until_nothing_is_owed(lane)
        before = sent_again()
        connection.execute(BREAK_OFF)
        [now] = reserved(1)
        await lane.look_after_line()
        assert (len(lane), lane.oldest_seconds()) == (0, 0)
        lane.add(now)
        await until_nothing_is_owed(lane)
        assert sent_again() - before < SENT / 2
        assert await lane.close(20) == 0
        assert sent_again() - before == SENT

    asyncio.run(run())
    assert Reservation.objects.filter(state="open").count() == 0
    assert money.counters(connection, period) == (60 * (SENT + 1), 0)
