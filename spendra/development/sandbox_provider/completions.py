"""What the provider makes of a chat completion request: tokens, text, the plain answer, the events of the stream."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from spendra.development.sandbox_provider.errors import ApiError
from spendra.development.sandbox_provider.faults import Faults
from spendra.development.sandbox_provider.prices import PricedModel, Usage

CACHED_MARKER = "[cached]"  # anywhere in the messages: half of the prompt was cached
MAX_CHOICES = 128
MAX_EVENTS_A_CHOICE = 64
REASONING_TOKENS = 64
FINGERPRINT = "fp_sandbox"
CREATED = 1_760_000_000
WORDS = ("reserve ", "before ", "forwarding, ", "settle ", "what ", "was ", "charged, ", "never ", "more. ")


@dataclass(frozen=True, slots=True)
class Completion:
    """One request's answer, decided before its first byte. A word of text is a token."""

    id: str
    model: str
    tier: str
    prompt_tokens: int
    cached_tokens: int
    visible_tokens: tuple[int, ...]  # of each choice
    reasoning_tokens: int  # of all choices
    finish_reason: str
    wants_usage: bool

    def usage(self, *, visible_tokens: int, reasoning_tokens: int) -> Usage:
        return Usage(self.prompt_tokens, self.cached_tokens, visible_tokens + reasoning_tokens, reasoning_tokens)

    def whole_usage(self) -> Usage:
        return self.usage(visible_tokens=sum(self.visible_tokens), reasoning_tokens=self.reasoning_tokens)


@dataclass(frozen=True, slots=True)
class Event:
    """One chunk of a stream, and what has been generated once it exists."""

    payload: dict[str, Any]
    usage: Usage


def plan(
    body: Mapping[str, Any], *, completion_id: str, asked: PricedModel, answering: PricedModel, faults: Faults
) -> Completion:
    """ApiError 400 for what OpenAI refuses too. `answering` is another model than `asked` where a fault names one."""
    choices = _whole_number(body, "n", highest=MAX_CHOICES) or 1
    limit_name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    limit = _whole_number(body, limit_name, highest=asked.max_output_tokens)
    prompt_tokens, cached_tokens = _count_prompt(body)
    reasoning = REASONING_TOKENS if _reasons(asked.name) else 0
    wanted = 16 + prompt_tokens % 17 if faults.tokens is None else faults.tokens
    if limit is not None and faults.overage:
        wanted = limit
    if limit is not None:
        reasoning = min(reasoning, limit)
    visible = wanted if limit is None else min(wanted, limit - reasoning)
    name = str(body["model"])
    return Completion(
        id=completion_id,
        model=faults.model or (asked.dated_name if name == asked.name else name),
        tier=_tier(body, answering),
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        visible_tokens=(visible + faults.overage,) + (visible,) * (choices - 1),
        reasoning_tokens=reasoning * choices,
        finish_reason="stop" if visible == wanted else "length",
        wants_usage=isinstance(options := body.get("stream_options"), dict) and bool(options.get("include_usage")),
    )


def _whole_number(body: Mapping[str, Any], name: str, *, highest: int | None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1 or (highest is not None and value > highest):
        raise ApiError(400, f"Invalid value for {name!r}: {value!r}.", code="invalid_value", param=name)
    return value


def _count_prompt(body: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt and cached tokens: four bytes of text a token, never more tokens than the body has bytes."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise ApiError(400, "'messages' must be a list with a message in it.", param="messages")
    texts = [text for message in messages for text in _texts(message)]
    if body.get("tools"):
        texts.append(orjson.dumps(body["tools"]).decode())
    count = 3 + sum(3 + len(text.encode("utf-8", "replace")) // 4 for text in texts)
    return count, count // 2 if any(CACHED_MARKER in text for text in texts) else 0


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)


def _reasons(model: str) -> bool:
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


def _tier(body: Mapping[str, Any], model: PricedModel) -> str:
    asked = body.get("service_tier")
    return asked if isinstance(asked, str) and asked != "standard" and model.has_tier(asked) else "default"


def _text(start: int, tokens: int) -> str:
    return "".join(itertools.islice(itertools.cycle(WORDS), start % len(WORDS), start % len(WORDS) + tokens))


def plain_answer(completion: Completion, *, with_usage: bool) -> bytes:
    choices: list[dict[str, Any]] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": _text(0, tokens), "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": completion.finish_reason,
        }
        for index, tokens in enumerate(completion.visible_tokens)
    ]
    answer: dict[str, Any] = {**_identity(completion, "chat.completion"), "choices": choices}
    if with_usage:
        answer["usage"] = render_usage(completion.whole_usage())
    return orjson.dumps(answer)


def stream_events(completion: Completion) -> Iterator[Event]:
    """Chunk by chunk, as generated: reasoning first, then text, then the reason to stop. The usage chunk is not one."""
    identity = _identity(completion, "chat.completion.chunk")
    if completion.wants_usage:
        identity["usage"] = None
    generated = 0

    def event(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> Event:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = completion.usage(visible_tokens=generated, reasoning_tokens=completion.reasoning_tokens)
        return Event({**identity, "choices": [choice]}, usage)

    for index, tokens in enumerate(completion.visible_tokens):
        yield event(index, {"role": "assistant", "content": "", "refusal": None})
        step = -(-tokens // MAX_EVENTS_A_CHOICE) or 1
        for start in range(0, tokens, step):
            size = min(step, tokens - start)
            generated += size
            yield event(index, {"content": _text(start, size)})
        yield event(index, {}, completion.finish_reason)


def usage_payload(completion: Completion) -> dict[str, Any]:
    """The last chunk of a stream whose request asked for it."""
    usage = render_usage(completion.whole_usage())
    return {**_identity(completion, "chat.completion.chunk"), "choices": [], "usage": usage}


def _identity(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": CREATED,
        "model": completion.model,
        "service_tier": completion.tier,
        "system_fingerprint": FINGERPRINT,
    }


def render_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
