"""A chat request's body, read strictly where it decides a price or a grant, and left alone elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from apps.catalog.types import RequestFacts
from apps.gateway import facts, strict_json
from spendra.kernel.errors import RequestMalformed

MAX_MODEL_LENGTH = 200
MAX_CHOICES = 128
MAX_OUTPUT_TOKENS = 10_000_000
LIMIT_KEYS = ("max_tokens", "max_completion_tokens")

_MODEL = re.compile(r"[!-~]+", re.ASCII)
_TIER = re.compile(r"[a-z0-9_.-]{1,30}", re.ASCII | re.IGNORECASE)


@dataclass(slots=True, repr=False)
class ChatRequest:
    """Without a repr: `body` and `data` hold the prompt."""

    body: bytes
    data: Mapping[str, object]
    model: str
    stream: bool
    include_usage: bool
    output_limit: int | None
    output_limit_key: str | None
    has_prediction: bool  # rejected predictions are billed as output, beyond every limit
    facts: RequestFacts
    tools: frozenset[str] | None  # the hosted ones, by type; None where they can't be told

    def forget_content(self) -> None:
        """Keeps what the end of a call still needs: a prompt is not kept as long as its answer takes."""
        self.body, self.data = b"", {}

    def texts(self) -> list[str]:
        """Every text that a tokenizer could see: the messages' strings as they are, everything else as JSON."""
        others = (
            value for key, value in self.data.items() if key != "messages" and isinstance(value, str | list | dict)
        )
        return [*strict_json.strings(self.data["messages"]), *(orjson.dumps(value).decode() for value in others)]


def parse_chat_request(body: bytes) -> ChatRequest:
    """The request that `body` is; RequestMalformed with the parameter at fault, RequestTooLarge for too many values.

    What it doesn't know it leaves alone. Linear in the length of the body.
    """
    data = strict_json.load_object(body)
    model = _read_model(data)
    _refuse_fallbacks(data, model)
    messages = _read_messages(data)
    limit_key, limit = _read_output_limit(data)
    stream = _read_bool(data, "stream")
    return ChatRequest(
        body=body,
        data=data,
        model=model,
        stream=stream,
        include_usage=_read_include_usage(data),
        output_limit=limit,
        output_limit_key=limit_key,
        has_prediction=data.get("prediction") is not None,
        facts=facts.gather(
            data,
            messages,
            n=_read_integer(data, "n", highest=MAX_CHOICES) or 1,
            output_limit=limit,
            service_tier=_read_service_tier(data),
        ),
        tools=facts.hosted_tools(data),
    )


def _read_model(data: Mapping[str, object]) -> str:
    model = data.get("model")
    if model is None:
        raise RequestMalformed('The body names no model. Add one, such as "model": "gpt-4o-mini".', param="model")
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        raise RequestMalformed(
            "model must be a model's id: text of visible ASCII characters, without spaces.", param="model"
        )
    if len(model) > MAX_MODEL_LENGTH:
        raise RequestMalformed(
            f"model is longer than {MAX_MODEL_LENGTH} characters. Send the id of a model.", param="model"
        )
    return model


def _refuse_fallbacks(data: Mapping[str, object], model: str) -> None:
    """OpenRouter answers with another of `models` where the first one fails: no grant, rule or price has seen those."""
    models = data.get("models")
    if models is None or (isinstance(models, list) and all(name == model for name in models)):
        return
    raise RequestMalformed(
        "models names other models to fall back to, and none of them would be checked. Leave it out, and ask for one "
        "model in model.",
        param="models",
    )


def _read_messages(data: Mapping[str, object]) -> list[Mapping[str, object]]:
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestMalformed(
            'messages must be a list of at least one message, such as [{"role": "user", "content": "Hi"}].',
            param="messages",
        )
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise RequestMalformed(
                f"messages[{index}] must be an object with role and content.", param=f"messages[{index}]"
            )
    return messages


def _read_output_limit(data: Mapping[str, object]) -> tuple[str | None, int | None]:
    limits = [(key, limit) for key in LIMIT_KEYS if (limit := _read_integer(data, key, highest=MAX_OUTPUT_TOKENS))]
    if len(limits) > 1:
        raise RequestMalformed(
            "max_tokens and max_completion_tokens are both set. Send only max_completion_tokens.", param="max_tokens"
        )
    return limits[0] if limits else (None, None)


def _read_include_usage(data: Mapping[str, object]) -> bool:
    options = data.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise RequestMalformed(
            'stream_options must be an object such as {"include_usage": true}.', param="stream_options"
        )
    return _read_bool(options, "include_usage", param="stream_options.include_usage")


def _read_service_tier(data: Mapping[str, object]) -> str | None:
    tier = data.get("service_tier")
    if tier is None or (isinstance(tier, str) and _TIER.fullmatch(tier)):
        return tier
    raise RequestMalformed("service_tier must be a tier's name such as auto, default or flex.", param="service_tier")


def _read_bool(data: Mapping[str, object], key: str, *, param: str | None = None) -> bool:
    value = data.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise RequestMalformed(f"{param or key} must be true or false.", param=param or key)


def _read_integer(data: Mapping[str, object], key: str, *, highest: int) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
        raise RequestMalformed(f"{key} must be a whole number from 1 to {highest:,}.", param=key)
    return value
