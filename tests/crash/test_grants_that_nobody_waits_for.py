"""What Postgres grants to a request that has gone in the meantime is taken back at once, by whoever asked for it."""

import asyncio
import signal
from pathlib import Path

import httpx

from apps.budgets.models import Reservation
from apps.gateway.booking import Booking
from apps.gateway.rules_store import RulesStore
from tests.budgets import money
from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage, beside, eventually
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway


def test_a_request_that_a_drain_cuts_while_it_reserves_is_voided(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    with LossyLine(stage.database.url) as line:
        gateway = start_gateway(database_url=line.url, environment={"SPENDRA_DRAIN_SECONDS": "4"})
        company.gateway_url = gateway.url
        caller = Caller(company)
        assert caller.send().status_code == 200
        company.wait_for_ends(1)
        with line.held_back("spendra reserve") as waits:
            cut = beside(caller.send)
            assert waits.wait(10)
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGTERM)
            eventually(lambda: "Cutting 1 requests" in gateway.log.read_text())
            assert isinstance(cut.result(), httpx.TransportError)
        # Only now does Postgres hear of it, and grants it.
        assert gateway.process.wait(10) == 1
    _, taken_back = check([caller], stage.sandbox.url, seconds=1)
    assert [one.state for one in taken_back.reservations] == ["voided"]
    assert not taken_back.is_charged


def test_a_request_that_is_cancelled_in_the_turn_in_which_its_verdict_comes_is_voided(database: Database) -> None:
    connection = database.connect()
    money.beat(connection)
    organization = money.make_organization()
    period = money.open_period(connection, money.make_budget(organization, 1000))
    tokens = money.tokens_of(connection, organization)
    first, second = (money.a_request(organization, tokens, [period]) for _ in range(2))

    async def play() -> None:
        store = RulesStore(database.url)
        booking = Booking(database.url, store)
        waiting = asyncio.create_task(booking.reserve(second))
        # The first verdict of the batch cancels who waits for the second, which is there but not yet delivered.
        (lane,) = {booking._reserving[int(second["organization_id"][-1], 16) % 2][0]}
        lane.submit(first).add_done_callback(lambda _: waiting.cancel())
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert await booking.close(5) == 0
        await store.close()

    asyncio.run(play())
    states = dict(Reservation.objects.values_list("id", "state"))
    assert {str(one): state for one, state in states.items()} == {first["id"]: "open", second["id"]: "voided"}
    assert money.counters(connection, period) == (0, first["nanos"])


def test_what_was_granted_before_a_fault_of_ours_is_voided(
    database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    with RunningGateway(database.url, sandbox.url, tmp_path / "log") as gateway:
        company = make_company(gateway.url)
        assert company.chat().status_code == 200
        company.wait_for_ends(1)
        before = sandbox.requests()
        connection = database.connect()
        newest = "SELECT max(proname) FROM pg_proc WHERE proname ~ '^budgets_reserve_v[0-9]$'"
        (reserve,) = connection.execute(newest).fetchone() or ()
        connection.execute(f"ALTER FUNCTION {reserve} RENAME TO reserve_of_before")
        connection.execute(
            f"CREATE FUNCTION {reserve}(wanted bigint[], requests jsonb) RETURNS jsonb LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM reserve_of_before(wanted, requests); RETURN '{}'; END $$"
        )
        answer = company.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert [one.state for one in company.wait_for_ends(2)] == ["settled", "voided"]
        assert sandbox.requests() == before
