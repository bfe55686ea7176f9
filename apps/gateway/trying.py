"""What reserve would say: asked of the very function, in a transaction that is rolled back."""

from collections.abc import Sequence
from typing import cast

import orjson
from django.db import OperationalError, connection, transaction

from apps.budgets.types import ReservationRequest, Verdict
from spendra.kernel.errors import Busy


def try_reserve(reservation: ReservationRequest) -> Verdict:
    """The verdict at this moment. Nothing stays reserved; the periods are locked for one round trip, as by any request.

    Busy where another change holds one of them. A transaction of its own.
    """
    item = {**reservation, "positions": list(range(1, len(reservation["period_ids"]) + 1))}
    try:
        return _reserve(reservation["period_ids"], orjson.dumps([item]).decode())
    except OperationalError as error:
        raise Busy("a cap of this request is locked by another change, or the database is away; try again") from error


def _reserve(period_ids: Sequence[int], items: str) -> Verdict:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '250ms'")
        cursor.execute("SELECT budgets_reserve_v3(%s::bigint[], %s::jsonb)::text", [list(period_ids), items])
        answer = cursor.fetchone()[0]
        transaction.set_rollback(True)
    return cast("Verdict", orjson.loads(answer)["verdicts"][0])
