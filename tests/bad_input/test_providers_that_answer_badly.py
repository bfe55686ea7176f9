"""What the provider says is not to be trusted either: whatever comes, the client gets an answer, the call is booked."""

import json
from collections.abc import Iterator

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker

from spendra.kernel.money import parse_usd
from tests import databases
from tests.bad_input.conftest import LIMITS, must_not_have_logged
from tests.bad_input.rude_provider import RudeProvider, whole
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

COMPLETION = "completion-that-must-not-be-logged"
STREAM = {"stream": True}
EVENTS = b"content-type: text/event-stream\r\n"


@pytest.fixture(scope="module")
def rude() -> Iterator[RudeProvider]:
    provider = RudeProvider()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def rude_gateway(
    shared_database: Database, rude: RudeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log = tmp_path_factory.mktemp("rude") / "gateway.log"
    with RunningGateway(shared_database.url, rude.url, log, environment=LIMITS) as gateway:
        yield gateway
        must_not_have_logged(gateway, COMPLETION, "sk-sandbox")


@pytest.fixture
def company(
    rude_gateway: RunningGateway, shared_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[Company]:
    with django_db_blocker.unblock(), databases.as_default(shared_database):
        yield make_company(rude_gateway.url)


def _asked(company: Company, rude: RudeProvider, answer: bytes, **fields: object) -> httpx.Response:
    rude.answer = answer
    response = company.chat(**fields)
    assert response.status_code != 500
    assert response.headers["x-request-id"]
    (reservation,) = company.wait_for_ends(1)
    assert response.headers["x-spendra-reservation"] == str(reservation.id)
    if response.status_code >= 400:
        booked = reservation.booked_nanos if reservation.state == "settled" else None
        told = response.headers.get("x-spendra-cost-usd")
        assert (told and parse_usd(told)) == booked
    return response


def _completion(**fields: object) -> bytes:
    said = {"role": "assistant", "content": COMPLETION}
    whole_answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    return json.dumps(whole_answer | fields).encode()


NO_JSON = {
    "a page": whole(b"<html>502</html>", headers=b"content-type: text/html\r\n"),
    "nothing": whole(b""),
    "half of it": whole(_completion()[:60]),
    "an array": whole(b"[" + _completion() + b"]"),
    "a number": whole(b"12"),
    "null": whole(b"null"),
    "NaN": whole(b'{"usage": NaN}'),
    "wrong UTF-8": whole(_completion().replace(b"completion-that", b"\xff\xfe")),
    "deep nesting": whole(b"[" * 100_000),
    "no content": b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
}


@pytest.mark.parametrize("answer", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_not_json_is_502_and_booked_as_reserved(company: Company, rude: RudeProvider, answer: bytes) -> None:
    response = _asked(company, rude, answer)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_malformed")
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", company.reservations()[0].amount_nanos)


BROKEN = {
    "nothing at all": b"",
    "no HTTP": b"nonsense\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "less than it said": whole(_completion()).replace(b"content-length: ", b"content-length: 9"),
    "a chunk that is none": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a bad header name": b"HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 2\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "an error that breaks off": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 99\r\n\r\n{}",
    "no gzip": whole(_completion(), headers=b"content-encoding: gzip\r\n"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_answer_is_502_and_booked_as_reserved(company: Company, rude: RudeProvider, answer: bytes) -> None:
    response = _asked(company, rude, answer)
    assert response.status_code == 502
    assert response.json()["error"]["code"] in ("upstream_broke_off", "upstream_malformed")
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", company.reservations()[0].amount_nanos)


USAGES = {
    "none": None,
    "a list": [],
    "empty": {},
    "negative": {"prompt_tokens": -5, "completion_tokens": 7},
    "fractions": {"prompt_tokens": 1.5, "completion_tokens": 2.5},
    "texts": {"prompt_tokens": "5", "completion_tokens": "7"},
    "booleans": {"prompt_tokens": True, "completion_tokens": False},
    "beyond 64 bits": {"prompt_tokens": 10**30, "completion_tokens": 1},
    "more cached than there was": {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 500},
    },
    "details that are none": {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": [1]},
    "a cost": {"prompt_tokens": 5, "completion_tokens": 7, "cost": "free"},
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
def test_a_usage_that_cannot_be_is_booked_all_the_same(
    company: Company, rude: RudeProvider, usage: object, stream: bool
) -> None:
    answer = _completion(usage=usage)
    if stream:
        answer = b"data: " + _completion(usage=usage, choices=[]) + b"\n\ndata: [DONE]\n\n"
    response = _asked(company, rude, whole(answer, headers=EVENTS if stream else b""), stream=stream)
    assert response.status_code == 200
    (entry,) = company.entries()
    assert entry.amount_nanos > 0
    if usage and "prompt_tokens_details" not in usage and "cost" not in usage:
        assert entry.status == "estimated"


STRANGE = {
    "a model with a NUL": _completion(model="gpt\0"),
    "an endless model": _completion(model="g" * 100_000),
    "a model that is none": _completion(model=5),
    "a tier with a NUL": _completion(service_tier="flex\0"),
    "an endless tier": _completion(service_tier="t" * 10_000),
    "choices that are none": _completion(choices="none"),
    "a choice that is none": _completion(choices=[None, 5, {"message": []}]),
    "an error beside": _completion(error={"message": "x"}),
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE.keys())
def test_a_strange_answer_is_passed_on_and_booked(company: Company, rude: RudeProvider, answer: bytes) -> None:
    response = _asked(company, rude, whole(answer))
    assert response.status_code == 200
    assert response.content == answer
    (entry,) = company.entries()
    assert entry.amount_nanos > 0


@pytest.mark.parametrize("value", [b"caf\xe9", "café €".encode(), b"\x80\xff", b"", b"a\tb"], ids=repr)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_strange_header_does_not_cost_the_answer(
    company: Company, rude: RudeProvider, value: bytes, stream: bool
) -> None:
    headers = b"x-strange: " + value + b"\r\nx-ordinary: yes\r\n"
    body = b"data: [DONE]\n\n" if stream else _completion()
    response = _asked(company, rude, whole(body, headers=headers), stream=stream)
    assert response.status_code == 200
    assert response.headers["x-ordinary"] == "yes"


@pytest.mark.parametrize("status", ["301 Moved", "304 Not Modified", "399 Odd"])
def test_a_redirect_is_not_followed(company: Company, rude: RudeProvider, status: str) -> None:
    rude.requests = 0
    response = _asked(company, rude, whole(b"", status=status, headers=f"location: {rude.url}/else\r\n".encode()))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_malformed")
    assert rude.requests == 1


PASSED_AS_THEY_ARE = {
    "an event that is not JSON": b"data: {nonsense\n\ndata: [DONE]\n\n",
    "an error event": b'data: {"error": {"message": "overloaded"}}\n\n',
}


@pytest.mark.parametrize("body", PASSED_AS_THEY_ARE.values(), ids=PASSED_AS_THEY_ARE.keys())
def test_events_that_no_price_can_be_read_from_are_passed_on_and_booked_as_estimated(
    company: Company, rude: RudeProvider, body: bytes
) -> None:
    response = _asked(company, rude, whole(body, headers=EVENTS), **STREAM)
    assert response.status_code == 200
    assert response.content == body
    assert [entry.status for entry in company.entries()] == ["estimated"]


LONG_ANSWER = _completion(
    choices=[{"index": 0, "message": {"role": "assistant", "content": "word " * 8000}, "finish_reason": "stop"}],
    usage={"prompt_tokens": 5, "completion_tokens": 8000, "total_tokens": 8005},
)
NO_EVENTS = {
    "a word": b"hello",
    "wrong UTF-8": b"data: \xff\xfe\n\n",
    "NULs": b"\0\0\0\n\ndata: \0\n\n",
    "one line of a megabyte": b"data: " + b"x" * 2**20 + b"\n\n",
    "comments": b": keep-alive\n\n: keep-alive\n\n",
    "JSON instead of a stream": LONG_ANSWER,
    "nothing": b"",
}


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("body", NO_EVENTS.values(), ids=NO_EVENTS.keys())
def test_a_stream_without_an_event_ends_with_an_error_and_is_booked_not_below_its_charge(
    company: Company, rude: RudeProvider, body: bytes, include_usage: bool
) -> None:
    asked = {"stream": True, "max_tokens": 8000, "stream_options": {"include_usage": include_usage}}
    response = _asked(company, rude, whole(body, headers=EVENTS), **asked)
    assert response.status_code == 200
    passed, _, error = response.content.rpartition(b"\n\ndata: ")
    assert passed == body
    assert json.loads(error)["error"]["code"] == "upstream_malformed"
    (entry,) = company.entries()
    assert entry.status == "estimated"
    if body == LONG_ANSWER:
        assert entry.amount_nanos >= _charge_of_long_answer(company, rude)


def test_a_whole_answer_to_a_stream_is_passed_on_and_booked_by_what_it_says(
    company: Company, rude: RudeProvider
) -> None:
    """As a proxy answers that knows no streams."""
    response = _asked(company, rude, whole(LONG_ANSWER), stream=True, max_tokens=8000)
    assert (response.status_code, response.content) == (200, LONG_ANSWER)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("final", _charge_of_long_answer(company, rude))


def _charge_of_long_answer(company: Company, rude: RudeProvider) -> int:
    plain = make_company(company.gateway_url)
    _asked(plain, rude, whole(LONG_ANSWER), max_tokens=8000)
    return plain.entries()[0].amount_nanos


@pytest.mark.parametrize("answer", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_neither_events_nor_json_is_502_and_booked_as_reserved(
    company: Company, rude: RudeProvider, answer: bytes
) -> None:
    labelled = answer if b"content-type" in answer else answer.replace(b"\r\n", b"\r\ncontent-type: text/html\r\n", 1)
    response = _asked(company, rude, labelled, **STREAM)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_malformed")
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", company.reservations()[0].amount_nanos)


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_that_breaks_off_within_an_event_ends_with_an_error_that_can_be_read(
    company: Company, rude: RudeProvider, include_usage: bool
) -> None:
    event = b"data: " + _completion(choices=[], usage=None) + b"\n\n"
    cut = b"HTTP/1.1 200 OK\r\n" + EVENTS + b"content-length: 9999\r\n\r\n" + event + b'data: {"choi'
    response = _asked(company, rude, cut, stream=True, stream_options={"include_usage": include_usage})
    assert response.status_code == 200
    before, _, error = response.content.rpartition(b"\n\ndata: ")
    assert json.loads(error)["error"]["code"] == "upstream_broke_off"
    assert before == event + (b'data: {"choi' if include_usage else b""), (
        "what is held back can't be read without an end"
    )


@pytest.mark.parametrize("fault", ["split", "split;crlf", "split;comment;usage-every-chunk"])
def test_a_stream_cut_at_every_byte_is_booked_exactly(gateway: RunningGateway, sandbox: Sandbox, fault: str) -> None:
    company = make_company(gateway.url)
    chunks = list(
        company.client().chat.completions.create(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            max_tokens=16,
            extra_headers={"x-sandbox": fault},
        )
    )
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("final", sandbox.charge_of(chunks[0].id))
