"""Many callers at once, in one event loop, over real connections to real gateway processes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pyreqwest.client import Client, ClientBuilder

from apps.budgets.models import Reservation
from tests.gateway.company import Company, body

RETRY_SECONDS = 0.01


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])

    @property
    def completion_id(self) -> str:
        """Of a plain answer, or of the first event of a stream."""
        first = self.body.removeprefix(b"data: ").split(b"\n\n", 1)[0]
        return str(json.loads(first)["id"])


@dataclass
class Caller:
    """One client with one key. Remembers what it was answered."""

    url: str
    key: str
    request: dict[str, Any] = field(default_factory=dict)
    sandbox: str = ""
    answers: list[Answer] = field(default_factory=list)

    async def ask(self, client: Client) -> Answer:
        head = {"authorization": f"Bearer {self.key}", "x-sandbox": self.sandbox}
        request = client.post(f"{self.url}/v1/chat/completions").headers(head).body_json(body(**self.request)).build()
        response = await request.send()
        answer = Answer(response.status, bytes(await response.bytes()))
        self.answers.append(answer)
        return answer

    async def ask_until_refused(self, client: Client) -> None:
        """Until settled money leaves no room. Asks again where only running requests are in the way."""
        while (answer := await self.ask(client)).status in (200, 429):
            if answer.status == 429:
                await asyncio.sleep(RETRY_SECONDS)

    async def ask_while(self, client: Client, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            if (await self.ask(client)).status != 200:
                await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def a_client() -> AsyncIterator[Client]:
    async with ClientBuilder().no_proxy().http1_only().max_connections(512).build() as client:
        yield client


def run_until_refused(callers: Sequence[Caller]) -> None:
    async def run() -> None:
        async with a_client() as client:
            await asyncio.gather(*(caller.ask_until_refused(client) for caller in callers))

    asyncio.run(run())


def run_while(callers: Sequence[Caller], goes_on: Callable[[], bool]) -> None:
    async def run() -> None:
        async with a_client() as client:
            await asyncio.gather(*(caller.ask_while(client, goes_on) for caller in callers))

    asyncio.run(run())


def run_once(callers: Sequence[Caller]) -> None:
    async def run() -> None:
        async with a_client() as client:
            await asyncio.gather(*(caller.ask(client) for caller in callers))

    asyncio.run(run())


def first_request(company: Company, **request: Any) -> tuple[Caller, Reservation]:
    """One alone, and what it reserved and came to."""
    caller = Caller(company.gateway_url, company.key, request)
    run_once([caller])
    (reservation,) = company.wait_for_ends(1)
    return caller, reservation


def statuses(callers: Sequence[Caller]) -> Counter[int]:
    return Counter(answer.status for caller in callers for answer in caller.answers)


def granted(callers: Sequence[Caller]) -> list[Answer]:
    return [answer for caller in callers for answer in caller.answers if answer.status == 200]
