"""Which requests a rule is for, whatever its scope: pure, and the same for policies and for budgets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

from apps.keys.models import EnvironmentLabel
from apps.keys.patterns import matcher, normalize, wildcard
from apps.orgs.models import ACTOR_KINDS
from spendra.kernel.errors import Invalid

if TYPE_CHECKING:
    from apps.policies.types import RequestView

MOST_ENTRIES = 200
_TOOL = re.compile(r"[a-z0-9_*.-]{1,80}")
_KEY_ID = re.compile(r"[A-Za-z0-9]{1,40}")
_MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class Selector:
    """Each member narrows: a request must be among every one that names anything. An empty one does not narrow."""

    models: tuple[str, ...] = ()  # `provider/model`, `*` for any run of characters in either half
    tools: tuple[str, ...] = ()  # hosted tool types; `*` for any run of characters, so alone for any hosted tool
    environments: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    actor_kinds: tuple[str, ...] = ()

    def matches(self, request: "RequestView") -> bool | None:
        """None where it cannot be known: the tools decide, and those of the request can't be told."""
        if (
            (self.environments and request.environment not in self.environments)
            or (self.actor_kinds and request.actor_kind not in self.actor_kinds)
            or (self.key_ids and request.key_id not in self.key_ids)
            or (self.models and not names_model(self.models, request.provider, request.model, request.named_model))
        ):
            return False
        if not self.tools:
            return True
        return None if request.tools is None else tools_outside(self.tools, request.tools) != request.tools

    def mismatch(self, request: "RequestView") -> str:
        """Why a request that does not match doesn't: half a sentence about the first member that it is not among."""
        if self.environments and request.environment not in self.environments:
            return f"it is for {told(self.environments)}; this key's environment is {request.environment}"
        if self.actor_kinds and request.actor_kind not in self.actor_kinds:
            return f"it is for {told(self.actor_kinds)}; this key belongs to an actor of the kind {request.actor_kind}"
        if self.key_ids and request.key_id not in self.key_ids:
            return f"it is for the keys {told(self.key_ids)}, not for {request.key_id}"
        if self.models and not names_model(self.models, request.provider, request.model, request.named_model):
            return f"it is for {told(self.models)}; the request is for {request.provider}/{request.model}"
        return f"it is for requests with {told(self.tools)}; this one has {told(sorted(request.tools or ()))}"

    def as_json(self) -> dict[str, list[str]]:
        """What `parse` reads; members that do not narrow are left out."""
        return {field.name: list(values) for field in fields(self) if (values := getattr(self, field.name))}


EVERYTHING = Selector()


def parse(data: object) -> Selector:
    """Invalid, with a sentence that names the member, for anything that is no selector."""
    if not isinstance(data, Mapping):
        raise Invalid('A selector is an object such as {"environments": ["production"]}.', param="selector")
    if unknown := sorted(map(str, data.keys() - _ENTRIES.keys())):
        raise Invalid(f"A selector has no {unknown[0]!r}: use {', '.join(_ENTRIES)}.", param="selector")
    return Selector(**{name: entries(values, _ENTRIES[name], f"selector.{name}") for name, values in data.items()})


def entries(values: object, entry: Callable[[str], str], param: str) -> tuple[str, ...]:
    """A list of texts, each as `entry` writes it, once each in the order named. `param` is said where it is none."""
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise Invalid(f"{param} must be a list of texts.", param=param.partition(".")[0])
    if len(values) > MOST_ENTRIES:
        raise Invalid(f"{param} has {len(values)} entries: {MOST_ENTRIES} are the most.", param=param.partition(".")[0])
    try:
        return tuple(dict.fromkeys(map(entry, values)))
    except Invalid as error:
        raise Invalid(f"{param}: {error.message}", param=param.partition(".")[0]) from error


def model_pattern(text: str) -> str:
    try:
        return normalize(text)
    except Invalid as error:
        raise Invalid(f"{text!r} is no model: write provider/model such as openai/gpt-4.1, or anthropic/*.") from error


def tool_pattern(text: str) -> str:
    if not _TOOL.fullmatch(text):
        raise Invalid(f"{text!r} is no type of a hosted tool: write it like web_search, or * for any.")
    return text


def names_model(patterns: tuple[str, ...], provider: str, model: str, named_model: str) -> bool:
    """By the id that the client named or by the catalog's, as grants do."""
    if _names_model(patterns, provider, model):
        return True
    return named_model != model and _names_model(patterns, provider, named_model)


# Names are those that the catalog knows, so that a client cannot flush what is remembered here.
@lru_cache(maxsize=65536)
def _names_model(patterns: tuple[str, ...], provider: str, model: str) -> bool:
    return any(matcher(pattern).match(f"{provider}/{model}") for pattern in patterns)


def tools_outside(patterns: tuple[str, ...], tools: frozenset[str]) -> frozenset[str]:
    """The tools that no pattern names. Tools are the client's words, without end: only patterns are remembered."""
    outside = tools.difference(patterns)
    for pattern in patterns if outside else ():
        if "*" in pattern:
            outside = frozenset(tool for tool in outside if not _tool_matcher(pattern).match(tool))
    return outside


@lru_cache(maxsize=4096)
def _tool_matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{wildcard(pattern)}\\Z")


def told(values: "tuple[str, ...] | list[str]") -> str:
    """A list for a sentence that somebody reads: the first few, and how many more."""
    if not values:
        return "none"
    more = f" and {len(values) - _MOST_TOLD} more" if len(values) > _MOST_TOLD else ""
    return ", ".join(values[:_MOST_TOLD]) + more


def _environment(text: str) -> str:
    return _one_of(text, EnvironmentLabel.values, "environment")


def _actor_kind(text: str) -> str:
    return _one_of(text, sorted(ACTOR_KINDS), "kind of actor")


def _one_of(text: str, known: list[str], what: str) -> str:
    if text not in known:
        raise Invalid(f"{text!r} is no {what}: choose among {', '.join(known)}.")
    return text


def _key_id(text: str) -> str:
    if not _KEY_ID.fullmatch(text):
        raise Invalid("A key is named by its id, the part between spk_live_ and the secret.")
    return text


_ENTRIES: dict[str, Callable[[str], str]] = {
    "models": model_pattern,
    "tools": tool_pattern,
    "environments": _environment,
    "key_ids": _key_id,
    "actor_kinds": _actor_kind,
}
