"""Whatever bytes come: never a 500, never a reservation behind a refusal."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.asking import CHAT, PROMPT
from tests.gateway.company import MODEL, Company
from tests.roles.serving import exchange

FUZZ = settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["user", MODEL, PROMPT]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DECISIVE = "model messages max_tokens max_completion_tokens n stream stream_options service_tier prediction user"
OTHERS = "tools functions modalities audio web_search_options metadata models background cache_control plugins"
members = st.sampled_from(f"{DECISIVE} {OTHERS}".split())
parts = st.dictionaries(st.sampled_from(["type", "text", "image_url", "input_audio"]), values, max_size=3)
messages = st.lists(
    st.fixed_dictionaries({"role": values, "content": values | st.lists(parts | values, max_size=3)}) | values,
    max_size=3,
)
ordinary = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": PROMPT}]}
requests = st.builds(
    lambda changed, said, keep: {**ordinary, **({} if keep else {"messages": said}), **changed},
    st.dictionaries(members, values, max_size=4),
    messages,
    st.booleans(),
)


@pytest.fixture
def client(company: Company) -> Iterator[httpx.Client]:
    head = {"authorization": f"Bearer {company.key}", "content-type": "application/json"}
    with httpx.Client(base_url=company.gateway_url, headers=head, timeout=20) as client:
        yield client


def _must_hold(company: Company, answer: httpx.Response, reserved_before: int) -> int:
    """Returns how many reservations there are now."""
    assert answer.status_code != 500, answer.text
    assert answer.headers["x-request-id"]
    reserved = len(company.reservations())
    assert reserved == reserved_before + ("x-spendra-reservation" in answer.headers)
    if "x-spendra-reservation" not in answer.headers:
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]["message"]
    return reserved


def test_random_json(company: Company, client: httpx.Client) -> None:
    reserved = 0

    @FUZZ
    @given(requests | values)
    def run(body: Any) -> None:
        nonlocal reserved
        data = json.dumps(body).encode("utf-8", "surrogatepass")
        reserved = _must_hold(company, client.post(CHAT, content=data), reserved)

    run()
    assert reserved > 0, "some of it was fine"


def test_an_ordinary_body_with_bytes_changed(company: Company, client: httpx.Client) -> None:
    reserved = 0
    body = json.dumps(ordinary).encode()
    places = st.integers(0, len(body) - 1)

    @FUZZ
    @given(st.lists(st.tuples(places, st.binary(max_size=3)), min_size=1, max_size=3))
    def run(changes: list[tuple[int, bytes]]) -> None:
        nonlocal reserved
        data = bytearray(body)
        for place, put in changes:
            data[place : place + 1] = put
        reserved = _must_hold(company, client.post(CHAT, content=bytes(data)), reserved)

    run()


def test_random_bytes_as_a_body(company: Company, client: httpx.Client) -> None:
    @FUZZ
    @given(st.binary(max_size=300))
    def run(body: bytes) -> None:
        assert _must_hold(company, client.post(CHAT, content=body), 0) == 0

    run()


def test_random_bytes_on_the_wire(company: Company) -> None:
    port = int(company.gateway_url.rpartition(":")[2])
    pieces = st.sampled_from(
        [b"POST ", b"/v1/chat/completions", b" HTTP/1.1\r\n", b"host: a\r\n", b"\r\n", b"\r\n\r\n"]
    )

    @FUZZ
    @given(st.lists(pieces | st.binary(max_size=20), max_size=12))
    def run(parts: list[bytes]) -> None:
        answer = exchange(port, b"".join(parts) + b"\r\n\r\n" + b"\0" * 40_000)
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 100"))
        assert b" 500 " not in answer.split(b"\r\n", 1)[0]
        assert b"x-request-id: " in answer

    run()
    assert company.reservations() == []
