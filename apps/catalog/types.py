"""What the catalog hands to other rooms: frozen, free of Django, cheap to read on the hot path."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from spendra.kernel.money import Nanos

STANDARD_TIER = "standard"


@dataclass(frozen=True, slots=True)
class UnitsByClass:
    """One integer a usage class; the field names are exactly the values of `models.UsageClass`."""

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    cached_audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    request: int = 0
    web_search: int = 0


USAGE_CLASSES = tuple(field.name for field in fields(UnitsByClass))


@dataclass(frozen=True, slots=True)
class Usage(UnitsByClass):
    """Units of one answer. Each unit counts in exactly one class: `input` excludes cached tokens, `output` reasoning.

    `cache_write_5m` is the provider's short cache lifetime, `cache_write_1h` any longer one. `service_tier` is the
    answer's, or the request's where the answer names none; None means standard.
    """

    request: int = 1
    service_tier: str | None = None

    @property
    def input_total(self) -> int:
        """Every token of the prompt, cached ones included: what decides the context tier."""
        return (
            self.input
            + self.cached_input
            + self.cache_write_5m
            + self.cache_write_1h
            + self.audio_input
            + self.cached_audio_input
            + self.image_input
        )

    @property
    def output_total(self) -> int:
        return self.output + self.reasoning + self.audio_output + self.image_output

    def nonzero(self) -> dict[str, int]:
        """The classes that occurred, for a spend event."""
        return {name: units for name in USAGE_CLASSES if (units := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the parser found in a request body that decides its bounds. Defaults are the dear side where one is."""

    message_count: int = 1
    tool_count: int = 0
    n: int = 1
    output_limit: int | None = None  # the request's own limit a choice; None when it sets none, or sets `prediction`
    has_unbounded_input: bool = False  # images, files, audio, stored state: the body's bytes don't bound the prompt
    has_audio: bool = False  # audio in, or asked for
    asks_for_caching: bool = True  # any cache control, or a longer cache retention
    service_tier: str | None = None  # as the request says it ("fast" for Anthropic's `speed: fast`)
    web_searches: int = 0  # the most hosted web searches that this request can cause


@dataclass(frozen=True, slots=True)
class Rates(UnitsByClass):
    """Nanos per million units of each class, for prompts of more than `over_tokens`. Classes that the price list leaves
    out are filled in; those in `guessed` are too high rather than right, and make a cost `estimated`."""

    over_tokens: int = 0
    guessed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WorstRates:
    """The dearest rates that a prompt of more than `over_tokens` can meet: at this context size or any smaller."""

    over_tokens: int
    input: int
    input_caching: int
    audio_input: int  # this and the next two where the request has audio
    audio_input_caching: int
    audio_output: int
    output: int
    request: int
    web_search: int


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """One price version, ready for arithmetic."""

    provider: str
    model: str
    version_id: UUID
    has_audio_prices: bool
    tiers: Mapping[str, tuple[Rates, ...]]  # service tier → by context size, ascending, the first from 0
    worst: Mapping[str, tuple[WorstRates, ...]]  # tier of the request, "auto" or "unknown" → the same


@dataclass(frozen=True, slots=True)
class PriceInForce:
    """The prices that hold for one organization over [valid_from, valid_until), None being without end."""

    prices: ModelPrices
    is_own: bool  # the organization's own price, not the catalog's
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A price version as stored; `pricing` compiles its lines at first use, so that loading stays cheap."""

    id: UUID
    organization_id: UUID | None
    version: int
    effective_from: datetime
    lines: str  # "class over_tokens nanos_per_million tier" a line


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    provider: str
    model: str
    context_window: int | None
    max_output_tokens: int | None
    versions: tuple[StoredVersion, ...]  # newest first


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """Every model that can be named. Which price holds is asked with `pricing.price_in_force`."""

    entries: Mapping[tuple[str, str], CatalogEntry]  # (provider, name or alias)

    def resolve(self, provider: str, name: str) -> CatalogEntry | None:
        return self.entries.get((provider, name))


@dataclass(frozen=True, slots=True)
class Cost:
    """`is_estimated`: the tier or a class of the usage has no known price, so this is the dearest it can have been."""

    nanos: Nanos
    is_estimated: bool


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load of a bundle changed."""

    version: str
    models_added: int
    models_changed: int
    aliases_added: int
    price_versions_added: int
    models_newer_here: int  # prices left alone: those in the catalog come from a later source

    @property
    def has_changes(self) -> bool:
        return bool(self.models_added or self.models_changed or self.aliases_added or self.price_versions_added)
