"""Promise 1 through real gateways: agents of overlapping scopes spend until nothing is left, and no cap is passed."""

import asyncio
from collections import Counter
from itertools import cycle

import openai

from apps.orgs.models import Unit
from apps.orgs.units import create_unit, move
from tests.concurrency.callers import watched
from tests.databases import Database
from tests.exactness.books import above_a_cap, booked, check_books, check_caps, wait_until_settled
from tests.exactness.load import Answer, Caller, first_request, run_until_refused, statuses
from tests.gateway.company import Company, body
from tests.gateway.conftest import Sandbox

AT_ONCE = 48
REQUESTS = ({}, {"stream": True}, {"max_tokens": 24}, {"stream": True, "stream_options": {"include_usage": True}})


def make_agents(company: Company) -> list[Unit]:
    """Two agents of one team, one of the other, and one of both, all below one branch."""
    create = {"organization": company.organization, "acting": "test"}
    branch = create_unit(kind="branch", name="Europe", **create)
    red, blue = (create_unit(kind="team", name=name, parents=[branch], **create) for name in ("Red", "Blue"))
    parents = ([red], [red], [blue], [red, blue])
    agents = [
        create_unit(kind="agent", name=f"Agent {number}", parents=above, **create)
        for number, above in enumerate(parents)
    ]
    move(company.actor, organization=company.organization, parents=[blue], acting="test")
    return [branch, red, blue, *agents]


def test_agents_of_overlapping_scopes_never_pass_any_of_their_caps(
    company: Company, urls: list[str], sandbox: Sandbox, shared_database: Database
) -> None:
    first, one = first_request(company)
    reserved, spent = one.amount_nanos, one.booked_nanos
    branch, red, blue, *agents = make_agents(company)
    wide = [
        company.cap(spent * 10_000, period_kind="year"),
        company.cap(spent * 400, unit=branch, period_kind="month", hardness="soft"),
    ]
    caps = [
        company.cap(spent * 320 + reserved, unit=branch),
        company.cap(one.booked_tokens * 150 + one.amount_tokens, unit=red, period_kind="week", measure="tokens"),
        company.cap(170, unit=blue, period_kind="week", measure="requests"),
        company.cap(spent * 90 + reserved, applies_to_each="agent", period_kind="month"),
    ]
    keys = [company.another_key(actor=agent).key for agent in agents]
    callers = [
        Caller(url, key, dict(request))
        for url, key, request, _ in zip(
            cycle(urls), cycle(keys), cycle([*REQUESTS, REQUESTS[0]]), range(AT_ONCE), strict=False
        )
    ]
    with watched(shared_database, above_a_cap(company.organization)) as passed:
        run_until_refused(callers)
    assert passed == []
    assert set(statuses(callers)) <= {200, 402, 429}
    check_books(company.organization, sandbox.url, [first, *callers])
    check_caps(company.organization)
    named = Counter(last_error(caller)["rule"] for caller in callers)
    assert named.keys() <= {str(cap.id) for cap in caps}
    assert len(named) >= 2, "the caps were to meet several"
    assert not {str(cap.id) for cap in wide} & named.keys()


def last_error(caller: Caller) -> dict[str, str]:
    """The refusal that ended a caller: what was asked did not fit into what is left."""
    answer: Answer = caller.answers[-1]
    error = answer.error["spendra"]
    assert answer.status == 402
    assert int(error["asked"]) > int(error["remaining"])
    return dict(error)


def test_three_hundred_requests_of_the_official_client_end_as_200_or_402(
    company: Company, urls: list[str], shared_database: Database
) -> None:
    _, one = first_request(company)
    cap = booked(company.organization) + 100 * one.booked_nanos
    company.cap(cap)
    clients = [openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=company.key, max_retries=0) for url in urls]
    codes: Counter[int] = Counter()

    async def ask(number: int, turn: asyncio.Semaphore) -> None:
        async with turn:
            client, code = clients[number % len(clients)], 429
            while code == 429:
                code = await status(client)
                await asyncio.sleep(0.1 if code == 429 else 0)
            codes[code] += 1

    async def run() -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(ask(number, turn) for number in range(300)))

    with watched(shared_database, above_a_cap(company.organization)) as passed:
        asyncio.run(run())
    wait_until_settled(company.organization)
    assert passed == []
    assert set(codes) == {200, 402}
    assert codes.total() == 300
    assert 0.8 * cap < booked(company.organization) <= cap


async def status(client: openai.AsyncOpenAI) -> int:
    try:
        await client.chat.completions.create(**body())
    except openai.APIStatusError as error:
        return error.status_code
    return 200
