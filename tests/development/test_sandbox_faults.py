"""Each fault that a test can ask for with the header `x-sandbox`."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from spendra.development.sandbox_provider.serving import sandbox_process


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox_process() as url:
        yield url


def ask(url: str, faults: str, **fields: Any) -> httpx.Response:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello"}], **fields}
    headers = {"authorization": "Bearer sk-sandbox", "x-sandbox": faults}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=2)


def payloads(answer: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_a_status_is_an_error_in_openais_shape(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-sandbox", max_retries=0)
    with client, pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": "hello"}],
            extra_headers={"x-sandbox": "status=429;retry-after=1"},
        )
    assert refused.value.response.headers["retry-after"] == "1"
    assert refused.value.code == "rate_limit_exceeded"


def test_an_error_status_may_come_late(url: str) -> None:
    began_at = time.monotonic()
    assert ask(url, "status=503;delay=0.2", stream=True).status_code == 503
    assert time.monotonic() - began_at >= 0.2


def test_a_delay_holds_the_first_byte_back(url: str) -> None:
    began_at = time.monotonic()
    assert ask(url, "delay=0.2").status_code == 200
    assert time.monotonic() - began_at >= 0.2


def test_a_chunk_delay_spreads_the_events(url: str) -> None:
    began_at = time.monotonic()
    ask(url, "chunk-delay=0.02;tokens=5", stream=True)
    assert time.monotonic() - began_at >= 8 * 0.02


def test_a_hanging_request_is_never_answered(url: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        ask(url, "hang")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_cut_answer_breaks_off(url: str, is_stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(url, "cut-after=3", stream=is_stream)


def test_no_usage_leaves_the_usage_out(url: str) -> None:
    assert "usage" not in ask(url, "no-usage").json()
    answer = ask(url, "no-usage", stream=True, stream_options={"include_usage": True})
    assert all(not payload["usage"] for payload in payloads(answer))


def test_usage_in_every_chunk_is_cumulative(url: str) -> None:
    counts = [chunk["usage"]["completion_tokens"] for chunk in payloads(ask(url, "usage-every-chunk", stream=True))]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] > 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_malformed_answer_is_not_json(url: str, is_stream: bool) -> None:
    answer = ask(url, "malformed", stream=is_stream)
    assert answer.status_code == 200
    assert answer.text.startswith("<html>")


def test_a_malformed_chunk_comes_between_whole_ones(url: str) -> None:
    events = ask(url, "malformed-chunk", stream=True).text.split("\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[1].removeprefix("data: "))
    assert json.loads(events[2].removeprefix("data: "))


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_split_answer_is_the_same_answer(url: str, is_stream: bool) -> None:
    whole, split = ask(url, "tokens=3", stream=is_stream), ask(url, "tokens=3;split", stream=is_stream)
    assert len(whole.text) == len(split.text)


def test_lines_may_end_with_crlf(url: str) -> None:
    text = ask(url, "crlf", stream=True).text
    assert text.endswith("data: [DONE]\r\n\r\n")
    assert text.count("\n") == text.count("\r\n")


def test_comments_come_between_events(url: str) -> None:
    assert ask(url, "comment", stream=True).text.startswith(": SANDBOX PROCESSING\n\ndata: ")


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_may_be_compressed(url: str, is_stream: bool) -> None:
    answer = ask(url, "gzip", stream=is_stream)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.startswith("data: {" if is_stream else "{")


def test_a_compressed_stream_can_be_read_event_by_event(url: str) -> None:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    headers = {"authorization": "Bearer sk-sandbox", "x-sandbox": "gzip;chunk-delay=0.02"}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        assert next(answer.iter_text()).count("data: ") == 1


def test_another_model_may_answer(url: str) -> None:
    assert ask(url, "model=gpt-4.1").json()["model"] == "gpt-4.1"
    assert ask(url, "model=some-new-model").json()["model"] == "some-new-model"


def test_tokens_are_generated_as_asked_within_the_limit(url: str) -> None:
    assert ask(url, "tokens=200").json()["usage"]["completion_tokens"] == 200
    assert ask(url, "tokens=200", max_tokens=50).json()["usage"]["completion_tokens"] == 50


def test_a_long_stream_has_few_events(url: str) -> None:
    answer = ask(url, "tokens=100000", stream=True, stream_options={"include_usage": True})
    events = payloads(answer)
    assert len(events) < 100
    assert events[-1]["usage"]["completion_tokens"] == 100_000


def test_overage_goes_past_the_limit(url: str) -> None:
    assert ask(url, "overage=7", max_tokens=50).json()["usage"]["completion_tokens"] == 57


@pytest.mark.parametrize(
    "faults", ["no-such", "status", "status=x", "delay=", "no-usage=yes", "cut_after=3", "delay=1;;", "tokens=-1"]
)
def test_a_misspelt_fault_is_refused(url: str, faults: str) -> None:
    answer = ask(url, faults)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_sandbox_fault"
