"""What Postgres has just called stale. Where rules move, whole batches wait that were decided by the same ones: to ask
for each of them would only be told so again, and cost a round trip that others wait behind."""

import time

from apps.budgets.types import ReservationRequest, Verdict
from spendra.kernel.errors import SpendraError

# Longer than a request waits for its turn, and no longer: a database that comes back older has its old tokens again.
REMEMBERED_SECONDS = 0.25


class StaleTokens:
    """Of one lane: the latest tokens that moved, by organization. They are random: none comes back by itself."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[tuple[str, str], Verdict, float]] = {}

    def note(self, request: ReservationRequest, answer: Verdict | SpendraError) -> None:
        if isinstance(answer, SpendraError) or answer["verdict"] != "stale":
            return
        if _tokens(request) != (answer["organization_token"], answer["global_token"]):  # else a period, or the time
            until = time.monotonic() + REMEMBERED_SECONDS
            self._latest[request["organization_id"]] = (_tokens(request), answer, until)

    def verdict_on(self, request: ReservationRequest) -> Verdict | None:
        """None where Postgres has to be asked."""
        told = self._latest.get(request["organization_id"])
        if told is None or told[0] != _tokens(request) or time.monotonic() > told[2]:
            return None
        return told[1]


def _tokens(request: ReservationRequest) -> tuple[str, str]:
    return request["organization_token"], request["global_token"]
