"""How many endings may wait for Postgres in one process, before nothing more is admitted. No database here: none is
reached, which is what lets them pile up."""

import asyncio
import itertools

from apps.budgets.types import ReservationRequest
from apps.gateway.booking import MOST_OWED, Booking
from apps.gateway.process import GatewayProcess
from apps.gateway.rules_store import RulesStore
from spendra.kernel.errors import Busy
from spendra.kernel.ids import uuid7

NOBODY = "postgresql://nobody@127.0.0.1:9/none"
_numbers = itertools.count(1)


def _reservation(organization: int) -> ReservationRequest:
    return {
        "id": str(uuid7()),
        "organization_id": f"00000000-0000-7000-8000-{organization:012x}",
        "price_version_id": None,
        "period_ids": [],
    }  # type: ignore[typeddict-item]


async def _backlog_reasons(owed: int) -> tuple[list[str], BaseException | None]:
    store = RulesStore(NOBODY)
    money = Booking(NOBODY, store)
    process = GatewayProcess(uuid7(), store, money)
    for _ in range(owed):
        money.void(_reservation(next(_numbers) % 100))
    reasons = [reason for reason in process.reasons_not_ready() if reason.startswith("backlog")]
    refused = None
    try:
        async with asyncio.timeout(0.2):
            await money.reserve(_reservation(1_000))
    except (Busy, TimeoutError) as error:
        refused = error
    return reasons, refused


def test_a_process_to_which_too_much_is_owed_is_not_ready_and_admits_nobody() -> None:
    reasons, refused = asyncio.run(_backlog_reasons(MOST_OWED))
    assert reasons == [f"backlog: {MOST_OWED} endings wait to be booked"]
    assert isinstance(refused, Busy)
    assert "can't be booked just now" in refused.message


def test_one_less_is_borne() -> None:
    reasons, refused = asyncio.run(_backlog_reasons(MOST_OWED - 1))
    assert reasons == []
    assert not (isinstance(refused, Busy) and "can't be booked just now" in refused.message)
