"""What a policy says about the requests that it is for, a class a kind: pure. As JSON, money is nanos in text."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from apps.policies.selectors import entries, model_pattern, tool_pattern
from spendra.kernel.errors import Invalid
from spendra.kernel.money import MAX_AMOUNT_NANOS, parse_usd

_MOST_TOKENS = 2**31 - 1
_MOST_PERCENT = 1000
_MOST_THRESHOLDS = 20
_ENDPOINT = re.compile(r"[a-z][a-z._]{0,59}")
_NANOS = re.compile(r"[0-9]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowlist:
    """None: that list is not given. A request outside any given list is denied; an empty list allows nothing."""

    models: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    endpoints: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, object]:
        lists = {"models": self.models, "tools": self.tools, "endpoints": self.endpoints}
        return {name: list(values) for name, values in lists.items() if values is not None}


@dataclass(frozen=True, slots=True)
class PerRequestLimit:
    max_nanos: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None

    def as_json(self) -> dict[str, object]:
        limits = {
            "max_nanos": None if self.max_nanos is None else str(self.max_nanos),
            "max_input_tokens": self.max_input_tokens,
            "max_output_tokens": self.max_output_tokens,
        }
        return {name: value for name, value in limits.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ReviewAbove:
    above_nanos: int | None = None  # None: every request

    def as_json(self) -> dict[str, object]:
        return {} if self.above_nanos is None else {"above_nanos": str(self.above_nanos)}


@dataclass(frozen=True, slots=True)
class Alert:
    """At which percentages of a budget of the scope a fact is written. Decides nothing."""

    thresholds: tuple[int, ...]

    def as_json(self) -> dict[str, object]:
        return {"thresholds": list(self.thresholds)}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A rule that this release does not understand, written by a newer one: undecidable, so it denies."""

    why: str


Written: TypeAlias = Allowlist | PerRequestLimit | ReviewAbove | Alert
Content: TypeAlias = Written | Unreadable


def parse(kind: str, data: object) -> Written:
    """Invalid for an unknown kind, and for anything that is no rule of that kind. Money also as `…_usd`, for people."""
    if kind not in _PARSERS:
        raise Invalid(f"{kind!r} is no kind of policy: choose among {', '.join(_PARSERS)}.", param="kind")
    if not isinstance(data, Mapping):
        raise Invalid("A rule is an object of named members.", param="rule")
    known, parser = _PARSERS[kind]
    if unknown := sorted(map(str, data.keys() - set(known))):
        raise Invalid(f"The rule of a policy of the kind {kind} has no {unknown[0]!r}: use {', '.join(known)}.",
                      param="rule")  # fmt: skip
    return parser(data)


def _allowlist(data: Mapping[str, Any]) -> Allowlist:
    if not data:
        raise Invalid("An allowlist needs models, tools or endpoints.", param="rule")
    as_written = {"models": model_pattern, "tools": tool_pattern, "endpoints": _endpoint}
    return Allowlist(**{name: entries(values, as_written[name], f"rule.{name}") for name, values in data.items()})


def _per_request_limit(data: Mapping[str, Any]) -> PerRequestLimit:
    if not data:
        raise Invalid("A limit needs max_usd, max_input_tokens or max_output_tokens.", param="rule")
    return PerRequestLimit(
        max_nanos=_nanos(data, "max"),
        max_input_tokens=_number(data, "max_input_tokens", _MOST_TOKENS),
        max_output_tokens=_number(data, "max_output_tokens", _MOST_TOKENS),
    )


def _review(data: Mapping[str, Any]) -> ReviewAbove:
    return ReviewAbove(_nanos(data, "above"))


def _alert(data: Mapping[str, Any]) -> Alert:
    thresholds = data.get("thresholds")
    if not isinstance(thresholds, list | tuple) or not 1 <= len(thresholds) <= _MOST_THRESHOLDS:
        raise Invalid(f"An alert needs thresholds: 1 to {_MOST_THRESHOLDS} percentages such as [80, 100].",
                      param="rule")  # fmt: skip
    if not all(_is_whole(value) and 1 <= value <= _MOST_PERCENT for value in thresholds):
        raise Invalid(f"A threshold is a whole percentage from 1 to {_MOST_PERCENT}.", param="rule")
    return Alert(tuple(sorted(set(thresholds))))


_PARSERS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Written]]] = {
    "allowlist": (("models", "tools", "endpoints"), _allowlist),
    "per_request_limit": (("max_usd", "max_nanos", "max_input_tokens", "max_output_tokens"), _per_request_limit),
    "review": (("above_usd", "above_nanos"), _review),
    "alert": (("thresholds",), _alert),
}


def _endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise Invalid(f"{text!r} is no endpoint: write it like chat.completions.")
    return text


def _nanos(data: Mapping[str, Any], name: str) -> int | None:
    given = [member for member in (f"{name}_usd", f"{name}_nanos") if member in data]
    if not given:
        return None
    if len(given) > 1:
        raise Invalid(f"Give {given[0]} or {given[1]}, not both.", param="rule")
    nanos = _parsed_nanos(data[given[0]], is_usd=given[0].endswith("_usd"))
    if nanos is None or not 0 <= nanos <= MAX_AMOUNT_NANOS:
        raise Invalid(f'{given[0]} must be an amount in text, such as "2.50" USD or "2500000000" nanos.', param="rule")
    return nanos


def _parsed_nanos(value: object, *, is_usd: bool) -> int | None:
    if _is_whole(value) and not is_usd:
        assert isinstance(value, int)
        return value
    if not isinstance(value, str):
        return None
    try:
        return parse_usd(value) if is_usd else int(value) if _NANOS.fullmatch(value) else None
    except ValueError:
        return None


def _number(data: Mapping[str, Any], name: str, most: int) -> int | None:
    if name not in data:
        return None
    value = data[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Invalid(f"{name} must be a whole number from 0 to {most}.", param="rule")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
