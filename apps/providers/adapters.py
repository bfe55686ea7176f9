"""One adapter a provider: where its chat API stands, how we sign in, and what its usage means."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.catalog.types import RequestFacts, Usage
from spendra.kernel.errors import ProviderNotConfigured

MAX_TOKENS = 10**9

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Adapter:
    """`base_url` and what follows it are those of the provider's own SDK, whose variable may move the base."""

    base_url: str
    chat_path: str
    output_limit_key: str = "max_tokens"


_ADAPTERS = {
    "openai": Adapter("https://api.openai.com/v1", "/chat/completions", output_limit_key="max_completion_tokens"),
    "openrouter": Adapter("https://openrouter.ai/api/v1", "/chat/completions"),
    "google": Adapter("https://generativelanguage.googleapis.com", "/v1beta/openai/chat/completions"),
    "anthropic": Adapter("https://api.anthropic.com", "/v1/chat/completions"),
}


def adapter(provider: str) -> Adapter:
    """ProviderNotConfigured where there is none for that provider."""
    try:
        return _ADAPTERS[provider]
    except KeyError:
        known = ", ".join(sorted(_ADAPTERS))
        raise ProviderNotConfigured(f"Spendra can't reach the provider {provider!r}. Use one of: {known}.") from None


def chat_url(provider: str, base_url: str = "") -> str:
    found = adapter(provider)
    return (base_url or found.base_url).rstrip("/") + found.chat_path


def credential_header(provider: str, secret: str) -> tuple[bytes, bytes]:
    """ProviderNotConfigured where the secret is empty or can't stand in a header; the message never shows it."""
    secret = secret.strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        raise ProviderNotConfigured(
            f"The credentials of the provider {provider} are empty or hold line breaks or other characters that a "
            "header can't carry. Ask an administrator to set them again."
        )
    return b"authorization", b"Bearer " + secret.encode()


def read_usage(usage: Json | None, *, service_tier: str | None, facts: RequestFacts) -> Usage | None:
    """What an OpenAI-shaped usage counts, each unit in one class; None where it can't be so, and nothing is known.

    `service_tier` is the answer's. Google leaves thinking out of `completion_tokens` but not out of `total_tokens`, so
    the output is all of the total beyond the prompt. Where the details overlap (cached audio) the dearer reading holds.
    """
    counts = _counts(usage or {})
    if counts is None:
        return None
    prompt, completion, total, cached, written, audio, image, reasoning, audio_out, image_out = counts
    text = prompt - cached - written - audio - image
    overlap = max(-text, 0)
    text_out = max(completion, total - prompt) - reasoning - audio_out - image_out
    if overlap > min(cached, audio) or text_out < 0:
        return None
    return Usage(
        input=max(text, 0),
        cached_input=cached - overlap,
        cache_write_5m=written,
        audio_input=audio,
        image_input=image,
        output=text_out,
        reasoning=reasoning,
        audio_output=audio_out,
        image_output=image_out,
        web_search=facts.web_searches,
        service_tier=service_tier or facts.service_tier,
    )


def _counts(usage: Json) -> list[int] | None:
    prompt, completion = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens"), _or_zero(usage.get("total_tokens"))]
    counts += [_or_zero(prompt.get(f"{name}_tokens")) for name in ("cached", "cache_write", "audio", "image")]
    counts += [_or_zero(completion.get(f"{name}_tokens")) for name in ("reasoning", "audio", "image")]
    valid = [count for count in counts if type(count) is int and 0 <= count <= MAX_TOKENS]
    return valid if len(valid) == len(counts) else None


def _details(usage: Json, name: str) -> Json:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _or_zero(count: object) -> object:
    return 0 if count is None else count
