"""The demo's two requests, as any program would send them: with the official OpenAI client."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from spendra.development.demo.errors import DemoError

MODEL = "gpt-4.1-mini"
_MAX_TOKENS = 60
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Answered:
    """What the client was told of one request. `usage` is the provider's own, as JSON."""

    title: str
    model: str
    service_tier: str | None
    usage: Mapping[str, object]
    reservation_id: str
    upstream_request_id: str


def send_both(gateway_url: str, key: str) -> list[Answered]:
    """A plain and a streamed one. DemoError where one of them is not answered whole."""
    # The gateway is on this machine: a proxy that the environment names has nothing to do here.
    direct = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(
        base_url=f"{gateway_url}/v1", api_key=key, max_retries=0, timeout=_TIMEOUT_SECONDS, http_client=direct
    ) as client:
        try:
            return [_send_plain(client), _send_streamed(client)]
        except openai.OpenAIError as error:
            raise DemoError(f"A governed request was not answered: {error}") from error


def _send_plain(client: openai.OpenAI) -> Answered:
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": "In one sentence: why reserve money before a call?"}],
    )
    return _answered("plain", answer.parse(), answer.headers)


def _send_streamed(client: openai.OpenAI) -> Answered:
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL,
        max_tokens=_MAX_TOKENS,
        messages=[{"role": "user", "content": "In one sentence: why settle the real cost afterwards?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(answer.parse())
    if not chunks:
        raise DemoError("The streamed request was answered with an empty stream.")
    return _answered("streamed", chunks[-1], answer.headers)


def _answered(title: str, last: ChatCompletion | ChatCompletionChunk, headers: httpx.Headers) -> Answered:
    if last.usage is None:
        raise DemoError(f"The provider did not say what the {title} request used.")
    return Answered(
        title=title,
        model=last.model,
        service_tier=last.service_tier,
        usage=last.usage.model_dump(),
        reservation_id=headers["x-spendra-reservation"],
        upstream_request_id=headers.get("x-spendra-upstream-request-id", ""),
    )
