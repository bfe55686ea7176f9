"""What was refused to whom, so that a refusal can be explained later: noted in memory, written down each second on a
connection of its own, and never in the way of a request. What a killed process has not written yet is lost."""

import asyncio
import logging
import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

import orjson
import psycopg

from apps.budgets.connecting import HotConnection
from apps.gateway import metrics
from apps.gateway.deciding import Decided
from spendra.kernel.errors import Refused, RequestMalformed

log = logging.getLogger(__name__)

EVERY_SECONDS = 1
MOST_A_SECOND = 50  # of one organization: a client in a loop must not push out what others were refused
MOST_WAITING = 2_000
MOST_IN_BATCH = 256
LONGEST_TEXT = 4_000
_NOTE = "SELECT policies_note_refusals_v2(%s::jsonb)::text"
# What Postgres can't keep, and what somebody may have pasted where a name belongs.
_UNKEPT = re.compile("[\x00\ud800-\udfff]")
_SECRET = re.compile(r"\b(?:spk|sk|pk|rk)[-_][A-Za-z0-9_-]{16,}")


@dataclass(slots=True)
class Asked:
    """What is known so far of one request: nothing of its content."""

    request_id: str
    organization_id: UUID | None = None  # once the key's secret was right
    key_id: str = ""
    provider: str = ""
    model: str = ""
    decided: Decided | None = None  # what the rules said last, once they were asked
    reservation_id: str = ""  # once it was granted
    booked_nanos: int | None = None  # once it was settled


class _Noted(TypedDict):
    id: str
    organization_id: str
    key_id: str
    provider: str
    model: str
    code: str
    message: str
    details: object
    basis: object
    at: str


class Refusals:
    def __init__(self, url: str) -> None:
        self._connection = HotConnection(url, name="spendra gateway refusals")
        self._waiting: deque[_Noted] = deque()
        self._this_second: Counter[UUID] = Counter()
        self._task = asyncio.create_task(self._run())

    def note(self, asked: Asked, error: Exception, at: datetime) -> None:
        """Returns at once. Only what a known key was refused is noted; what is too much is counted, and forgotten."""
        if asked.organization_id is None or not isinstance(error, Refused):
            return
        self._this_second[asked.organization_id] += 1
        if self._this_second[asked.organization_id] > MOST_A_SECOND or len(self._waiting) >= MOST_WAITING:
            metrics.unnoted_refusals.inc()
            return
        self._waiting.append(_noted(asked, asked.organization_id, error, at))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self._this_second.clear()
            await self._write()

    async def _write(self) -> None:
        """Once, also where Postgres does not answer: by then there are newer ones."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_BATCH))]
            try:
                await self._connection.ask(_NOTE, (orjson.dumps(batch).decode(),))
            except (psycopg.Error, TypeError) as error:
                metrics.unnoted_refusals.inc(len(batch))
                log.warning("noting %s refusals failed: %s", len(batch), error)

    async def close(self) -> None:
        """With a last word to Postgres, where it answers."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._write()
        await self._connection.close()


def _noted(asked: Asked, organization_id: UUID, error: Refused, at: datetime) -> _Noted:
    return _Noted(
        id=asked.request_id,
        organization_id=str(organization_id),
        key_id=asked.key_id,
        provider=asked.provider,
        model=_clean(asked.model),
        code=error.code,
        message=_clean(_said(error)),
        details=_cleaned(error.details),
        basis=asked.decided and _basis(asked.decided),
        at=at.isoformat(),
    )


def _basis(decided: Decided) -> dict[str, object]:
    """By which the rules of that time can be asked again: nothing of the request's content."""
    route, estimate = decided.route, decided.estimate
    return {
        "scope_ids": route.scope_ids,
        "model": route.entry.model,
        "environment": route.view.environment,
        "actor_kind": route.view.actor_kind,
        "tools": None if decided.tools is None else [_clean(tool) for tool in sorted(decided.tools)],
        "price_version_id": route.price_version_id,
        "nanos": str(estimate.nanos),
        "input_tokens": estimate.input_tokens,
        "output_tokens": estimate.output_tokens,
        "choices": estimate.choices,
        "is_default_output": estimate.is_default_output,
        "budgets": [
            {"budget_id": str(one.budget.id), "unit_id": one.unit_id and str(one.unit_id)}
            for one in decided.choice.budgets
        ],
    }


def _said(error: Refused) -> str:
    """What is malformed may be quoted in the answer, but it is a part of the body: that is kept nowhere."""
    if isinstance(error, RequestMalformed) and error.param is not None:
        return error.message.replace(repr(error.param), "(not kept)")
    return error.message


def _clean(text: str) -> str:
    return _SECRET.sub("(secret)", _UNKEPT.sub("", text))[:LONGEST_TEXT]


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean(str(name)): _cleaned(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(member) for member in value]
    return value if value is None or isinstance(value, bool | int) else _clean(str(value))
