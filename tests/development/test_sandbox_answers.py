"""The official client can't tell the sandbox provider from OpenAI."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from spendra.development.sandbox_provider.serving import sandbox_process

HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with sandbox_process() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-sandbox", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "gpt-4.1-mini", "messages": HELLO, **fields})


def test_a_plain_answer_carries_text_usage_and_the_dated_model(client: openai.OpenAI) -> None:
    answer = ask(client, max_tokens=5)
    assert answer.model == "gpt-4.1-mini-2025-04-14"
    assert answer.choices[0].message.content == "reserve before forwarding, settle what "
    assert answer.choices[0].finish_reason == "length"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (8, 5, 13)
    assert answer.service_tier == "default"
    assert answer._request_id.startswith("req_")


def test_a_stream_adds_up_to_the_plain_answer(client: openai.OpenAI) -> None:
    chunks = list(ask(client, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == ask(client).choices[0].message.content
    assert len(chunks) > 10
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_tells_its_usage_only_where_asked(client: openai.OpenAI) -> None:
    assert all(chunk.usage is None for chunk in ask(client, stream=True))
    *_, last = ask(client, stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == ask(client).usage


def test_a_stream_ends_with_done(url: str) -> None:
    body = {"model": "gpt-4.1-mini", "messages": HELLO, "stream": True}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-sandbox"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


def test_the_asynchronous_client_streams_too(url: str) -> None:
    async def collect() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-sandbox", max_retries=0) as client:
            return [chunk async for chunk in await ask(client, stream=True)]

    assert asyncio.run(collect())[-1].choices[0].finish_reason == "stop"


def test_every_choice_is_counted(client: openai.OpenAI) -> None:
    answer = ask(client, n=3, max_tokens=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 15
    *chunks, usage = ask(client, n=3, max_tokens=5, stream=True, stream_options={"include_usage": True})
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1, 2}
    assert usage.usage.completion_tokens == 15


def test_a_reasoning_model_spends_its_limit_on_thoughts_first(client: openai.OpenAI) -> None:
    answer = ask(client, model="gpt-5-mini", max_completion_tokens=66)
    assert answer.usage.completion_tokens == 66
    assert answer.usage.completion_tokens_details.reasoning_tokens == 64
    assert answer.choices[0].message.content == "reserve before "


def test_a_marked_prompt_is_half_cached(client: openai.OpenAI) -> None:
    answer = ask(client, messages=[{"role": "user", "content": "[cached]" + "x" * 400}])
    assert answer.usage.prompt_tokens_details.cached_tokens == answer.usage.prompt_tokens // 2


@pytest.mark.parametrize("text", ["a", "é" * 500, "漢字" * 300, "x" * 10_000])
def test_a_prompt_never_has_more_tokens_than_bytes(client: openai.OpenAI, text: str) -> None:
    answer = ask(client, messages=[{"role": "user", "content": text}])
    assert answer.usage.prompt_tokens <= len(text.encode()) + 6


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    assert {"gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"} <= {model.id for model in client.models.list()}


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        ask(client, model="gpt-nonsense")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    "fields", [{"messages": []}, {"max_tokens": 0}, {"max_tokens": 10_000_000}, {"n": 129}, {"messages": ["hello"]}]
)
def test_what_openai_refuses_is_refused(client: openai.OpenAI, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, **fields)


@pytest.mark.parametrize("credential", ["", "Bearer", "Basic abc", "Bearer spk_live_abc_secret"])
def test_no_credential_or_one_of_spendras_own_is_refused(url: str, credential: str) -> None:
    body = {"model": "gpt-4.1-mini", "messages": HELLO}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": credential})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_request_can_be_seen_as_it_arrived(client: openai.OpenAI, url: str) -> None:
    answer = ask(client, user="alice")
    seen = httpx.get(f"{url}/requests/{answer._request_id}").json()
    assert '"user":"alice"' in seen["body"]
    assert seen["headers"]["authorization"] == "Bearer sk-sandbox"


def test_a_body_may_come_in_chunks(url: str) -> None:
    pieces = [b'{"model":"gpt-4.1-mini",', b'"messages":[{"role":"user",', b'"content":"hi"}]}']
    headers = {"authorization": "Bearer sk-sandbox"}
    answer = httpx.post(f"{url}/v1/chat/completions", content=iter(pieces), headers=headers)
    assert answer.status_code == 200


def test_what_is_not_json_is_refused(url: str) -> None:
    headers = {"authorization": "Bearer sk-sandbox"}
    answer = httpx.post(f"{url}/v1/chat/completions", content=b"{", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
