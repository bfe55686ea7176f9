"""The sandbox provider's count of charges is exact, whatever happens to the answer."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from spendra.development.sandbox_provider.serving import sandbox_process

# gpt-4.1-mini: 0.40 USD a million input tokens, 0.10 cached, 1.60 output
INPUT, CACHED, OUTPUT = 400, 100, 1600  # nanos a token


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with sandbox_process() as url:
        yield url


@pytest.fixture
def url(provider: str) -> str:
    httpx.post(f"{provider}/charges/reset")
    return provider


def ask(url: str, faults: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello there"}], **fields}
    headers = {"authorization": "Bearer sk-sandbox", "x-sandbox": faults}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers)


def charges(url: str) -> Any:
    return httpx.get(f"{url}/charges").json()


def test_a_plain_request_is_charged_its_usage(url: str) -> None:
    answer = ask(url, max_tokens=5)
    counted = charges(url)
    request = counted["by_request"][answer.headers["x-request-id"]]
    assert counted["requests"] == 1
    assert counted["charged_nanos"] == request["charged_nanos"] == str(8 * INPUT + 5 * OUTPUT)
    assert request["completion_id"] == answer.json()["id"]
    assert request["model"] == "gpt-4.1-mini-2025-04-14"


def test_cached_tokens_cost_less(url: str) -> None:
    usage = ask(url, messages=[{"role": "user", "content": "[cached]"}], max_tokens=5).json()["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cached == 4
    assert charges(url)["charged_nanos"] == str(
        (usage["prompt_tokens"] - cached) * INPUT + cached * CACHED + 5 * OUTPUT
    )


def test_a_charge_is_rounded_up_once(url: str) -> None:
    """gpt-5-nano, flex: 25 nanos a token in, 200 out, and 2.5 for each of the five cached ones."""
    messages = [{"role": "user", "content": "[cached]abcdefgh"}]
    usage = ask(url, model="gpt-5-nano", service_tier="flex", messages=messages).json()["usage"]
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]) == (10, 5)
    assert charges(url)["charged_nanos"] == str(5 * 25 + 13 + usage["completion_tokens"] * 200)


def test_a_streamed_request_costs_what_the_plain_one_does(url: str) -> None:
    ask(url)
    plain = charges(url)["charged_nanos"]
    httpx.post(f"{url}/charges/reset")
    ask(url, stream=True)
    assert charges(url)["charged_nanos"] == plain


def test_refused_requests_are_charged_nothing(url: str) -> None:
    for faults in ("status=429;retry-after=1", "status=500", "no-such-fault"):
        ask(url, faults)
    ask(url, model="gpt-nonsense")
    assert charges(url) == {"requests": 0, "charged_nanos": "0", "by_request": {}}


def test_a_client_that_leaves_pays_for_what_was_generated(url: str) -> None:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello there"}], "stream": True}
    headers = {"authorization": "Bearer sk-sandbox", "x-sandbox": "chunk-delay=0.03;tokens=60"}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        lines = answer.iter_lines()
        seen = [next(lines) for _ in range(12)]
    time.sleep(0.1)
    (request,) = charges(url)["by_request"].values()
    time.sleep(0.2)
    assert [request] == list(charges(url)["by_request"].values())
    generated = request["usage"]["completion_tokens"]
    assert sum('"content":"' in line and '"content":""' not in line for line in seen) <= generated < 20
    assert request["charged_nanos"] == str(8 * INPUT + generated * OUTPUT)


def test_a_cut_stream_is_charged_up_to_the_cut(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(url, "cut-after=3", stream=True)
    assert charges(url)["charged_nanos"] == str(8 * INPUT + 2 * OUTPUT)  # the first event carries only the role


@pytest.mark.parametrize("faults", ["cut-after=0", "cut-after=1", "hang", "delay=5"])
def test_a_plain_answer_that_never_arrives_whole_is_charged_whole(url: str, faults: str) -> None:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 5}
    headers = {"authorization": "Bearer sk-sandbox", "x-sandbox": faults}
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadTimeout)):
        httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=0.3)
    assert charges(url)["charged_nanos"] == str(8 * INPUT + 5 * OUTPUT)


def test_another_service_tier_has_prices_of_its_own(url: str) -> None:
    """gpt-4.1-mini, priority: 0.70 USD in, 2.80 USD out."""
    assert ask(url, max_tokens=5, service_tier="priority").json()["service_tier"] == "priority"
    assert charges(url)["charged_nanos"] == str(8 * 700 + 5 * 2800)


def test_a_reset_starts_a_new_count(url: str) -> None:
    ask(url)
    assert httpx.post(f"{url}/charges/reset").json()["requests"] == 0
    ask(url, max_tokens=5)
    assert charges(url)["charged_nanos"] == str(8 * INPUT + 5 * OUTPUT)
