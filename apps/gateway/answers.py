"""What an answer says about its price: the model, the tier and the usage; where it has none, how much text came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import orjson

from apps.gateway.strict_json import strings
from spendra.kernel.errors import UpstreamMalformed

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """`content_bytes` bounds the visible output tokens from above: a token is at least a byte.

    Hidden reasoning is in no chunk: of a reasoning model cut off before its usage, that bound says nothing.
    """

    model: str | None
    service_tier: str | None
    usage: Json | None
    content_bytes: int
    is_complete: bool


class AnswerReader:
    """Gathers an answer from its payloads: all chunks of a stream, or the one of a plain answer."""

    __slots__ = ("_model", "_service_tier", "_usage", "content_bytes")

    def __init__(self) -> None:
        self._model: str | None = None
        self._service_tier: str | None = None
        self._usage: Json | None = None
        self.content_bytes = 0

    def read(self, payload: Json) -> None:
        """The first model counts, and the last tier and usage: some providers send a running total."""
        self._model = self._model or _text(payload.get("model"))
        self._service_tier = _text(payload.get("service_tier")) or self._service_tier
        usage = payload.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        self.content_bytes += _content_bytes(payload)

    def lose_sight(self) -> None:
        """From here on the answer is not read: a usage seen before may have been only a running total."""
        self._usage = None

    def answer(self, *, is_complete: bool) -> Answer:
        return Answer(
            model=self._model,
            service_tier=self._service_tier,
            usage=self._usage,
            content_bytes=self.content_bytes,
            is_complete=is_complete,
        )


def read_plain(body: bytes) -> Answer:
    """What a whole JSON answer says; UpstreamMalformed where it is no JSON object."""
    payload = read_payload(body)
    if payload is None:
        raise UpstreamMalformed("The provider's answer is not JSON. Try again; if it stays so, check the base URL.")
    reader = AnswerReader()
    reader.read(payload)
    return reader.answer(is_complete=True)


def read_payload(raw: bytes) -> Json | None:
    """The JSON object in `raw`, or None. A cost that a provider reports never passes through a float."""
    try:
        payload: object = orjson.loads(raw)
        if isinstance(payload, dict) and _states_cost(payload):
            payload = json.loads(raw, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _states_cost(payload: Json) -> bool:
    usage = payload.get("usage")
    return isinstance(usage, dict) and "cost" in usage


def is_usage_only(payload: Json) -> bool:
    """The last chunk, which `include_usage` adds to a stream. (Azure's first chunk has no choices either.)"""
    return payload.get("choices") == [] and isinstance(payload.get("usage"), dict)


def _content_bytes(payload: Json) -> int:
    choices = payload.get("choices")
    if not isinstance(choices, list):
        return 0
    written = [choice.get("delta") or choice.get("message") for choice in choices if isinstance(choice, dict)]
    return sum(_text_bytes(message) for message in written if isinstance(message, dict))


def _text_bytes(message: Json) -> int:
    total = 0
    for key, value in message.items():
        if isinstance(value, str):
            total += len(value.encode()) if key != "role" else 0
        elif value:
            total += sum(len(text.encode()) for text in strings(value))
    return total


def _text(value: object) -> str | None:
    """As it can be stored: Postgres knows no NUL, and would refuse the whole settle."""
    return value[:200].replace("\0", "\ufffd") if isinstance(value, str) and value else None
