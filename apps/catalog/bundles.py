"""The bundle: the catalog as one JSON document, in the image and between installations.

{"schema": 1, "version": "…", "date": "YYYY-MM-DD", "sources": {name: version}, "models": [
  {"provider", "name", "aliases", "context_window", "max_output_tokens", "retired_on", "prices": [
    {"effective_from": instant, or null: ever since, "lines": [[tier, usage class, over tokens, nanos per million]]}]}]}
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

from apps.catalog.types import STANDARD_TIER, USAGE_CLASSES
from spendra.kernel.errors import Invalid

IMAGE_BUNDLE = Path(__file__).parent / "bundle" / "catalog.json"
SCHEMA = 1
EVER_SINCE = datetime(1970, 1, 1, tzinfo=UTC)
MAX_PRICE = 10**18
_T = TypeVar("_T", date, datetime)

_PROVIDER = re.compile(r"[a-z0-9_-]{1,40}")
_TIER = re.compile(r"(?!(auto|unknown|default)$)[a-z0-9_-]{1,30}")


@dataclass(frozen=True, slots=True, order=True)
class PriceLine:
    tier: str
    usage_class: str
    over_tokens: int
    nanos_per_million: int


@dataclass(frozen=True, slots=True)
class DatedPrices:
    effective_from: datetime
    lines: tuple[PriceLine, ...]  # sorted


@dataclass(frozen=True, slots=True)
class BundleModel:
    provider: str
    name: str
    aliases: tuple[str, ...]
    context_window: int | None
    max_output_tokens: int | None
    retired_on: date | None
    prices: tuple[DatedPrices, ...]  # by effective_from


@dataclass(frozen=True, slots=True)
class Bundle:
    version: str
    date: date
    sources: Mapping[str, str]
    models: tuple[BundleModel, ...]


def read(path: Path) -> Bundle:
    """The bundle in a file. Invalid, with one sentence that names the fault, where it isn't one."""
    try:
        return parse(json.loads(path.read_bytes()))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path} is not JSON: {error}.") from error


def parse(document: object) -> Bundle:
    """Checks everything before anything is stored; Invalid names the first fault."""
    fields = _object(document, "The bundle")
    if fields.get("schema") != SCHEMA:
        _fail("The bundle", f"has schema {fields.get('schema')!r}, and this version of Spendra reads schema {SCHEMA}")
    bundle = Bundle(
        version=_text(fields.get("version"), "The bundle's version", longest=200),
        date=_date(fields.get("date"), "The bundle's date"),
        sources={str(name): str(value) for name, value in _object(fields.get("sources"), "sources").items()},
        models=tuple(_model(model) for model in _list(fields.get("models"), "models")),
    )
    _refuse_repeated_names(bundle.models)
    return bundle


def write(bundle: Bundle, path: Path) -> None:
    """One model a line, sorted: a later bundle shows in a diff as what changed."""
    head = {"schema": SCHEMA, "version": bundle.version, "date": bundle.date.isoformat(), "sources": bundle.sources}
    models = sorted(bundle.models, key=lambda model: (model.provider, model.name))
    lines = ",\n".join(json.dumps(_plain(model), separators=(",", ":")) for model in models)
    path.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "models": [\n{lines}\n]}}\n', encoding="utf-8")


def _plain(model: BundleModel) -> dict[str, object]:
    return {
        "provider": model.provider,
        "name": model.name,
        "aliases": sorted(model.aliases),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "retired_on": model.retired_on and model.retired_on.isoformat(),
        "prices": [
            {
                "effective_from": None if dated.effective_from == EVER_SINCE else dated.effective_from.isoformat(),
                "lines": [
                    [line.tier, line.usage_class, line.over_tokens, line.nanos_per_million] for line in dated.lines
                ],
            }
            for dated in model.prices
        ],
    }


def _model(value: object) -> BundleModel:
    fields = _object(value, "A model")
    name = _text(fields.get("name"), "The name of a model", longest=200)
    where = f"The model {name!r}"
    provider = _text(fields.get("provider"), f"{where}: provider", longest=40)
    if not _PROVIDER.fullmatch(provider):
        _fail(where, f"has the provider {provider!r}: use small letters, digits, - and _")
    aliases = _list(fields.get("aliases"), f"{where}: aliases")
    prices = _list(fields.get("prices"), f"{where}: prices")
    retired_on = fields.get("retired_on")
    model = BundleModel(
        provider=provider,
        name=name,
        aliases=tuple(_text(alias, f"{where}: an alias", longest=200) for alias in aliases),
        context_window=_limit(fields.get("context_window"), f"{where}: context_window"),
        max_output_tokens=_limit(fields.get("max_output_tokens"), f"{where}: max_output_tokens"),
        retired_on=None if retired_on is None else _date(retired_on, f"{where}: retired_on"),
        prices=tuple(_dated_prices(dated, where) for dated in prices),
    )
    starts = [dated.effective_from for dated in model.prices]
    if starts != sorted(set(starts)):
        _fail(where, "has prices that are not in order of effective_from, each once")
    return model


def _dated_prices(value: object, where: str) -> DatedPrices:
    fields = _object(value, f"{where}: a price")
    start = fields.get("effective_from")
    lines = tuple(sorted(_line(line, where) for line in _list(fields.get("lines"), f"{where}: lines")))
    keys = [(line.tier, line.usage_class, line.over_tokens) for line in lines]
    if len(set(keys)) != len(keys):
        _fail(where, "names a price of one tier, class and size twice")
    plain = {line.usage_class for line in lines if line.tier == STANDARD_TIER}
    if not {"input", "output"} <= plain:
        _fail(where, "lacks a standard price of input or output")
    return DatedPrices(
        effective_from=EVER_SINCE if start is None else _instant(start, f"{where}: effective_from"), lines=lines
    )


def _line(value: object, where: str) -> PriceLine:
    match value:
        case [str(tier), str(usage_class), over, nanos]:
            pass
        case _:
            _fail(where, "has a price line that is not [tier, usage class, over tokens, nanos per million]")
    if not _TIER.fullmatch(tier):
        _fail(where, f"has a price for the service tier {tier!r}, which is no name of one")
    if usage_class not in USAGE_CLASSES:
        _fail(where, f"has a price for {usage_class!r}: the usage classes are {', '.join(USAGE_CLASSES)}")
    return PriceLine(
        tier,
        usage_class,
        _whole(over, f"{where}: over tokens", lowest=0, highest=2**31 - 1),
        _whole(nanos, f"{where}: the price of {usage_class}", lowest=0, highest=MAX_PRICE),
    )


def _refuse_repeated_names(models: Iterable[BundleModel]) -> None:
    names = Counter((model.provider, name) for model in models for name in (model.name, *model.aliases))
    for (provider, name), times in names.items():
        if times > 1:
            _fail("The bundle", f"names {provider}/{name} {times} times")


def _fail(what: str, fault: str) -> NoReturn:
    raise Invalid(f"{what} {fault}.")


def _object(value: object, what: str) -> dict[str, object]:
    return value if isinstance(value, dict) else _fail(what, "is not a JSON object")


def _list(value: object, what: str) -> list[object]:
    return value if isinstance(value, list) else _fail(what, "is not a JSON array")


def _text(value: object, what: str, *, longest: int) -> str:
    if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() and value == value.strip():
        return value
    _fail(what, f"is not a text of 1 to {longest} characters")


def _whole(value: object, what: str, *, lowest: int, highest: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
        return value
    _fail(what, f"is not a whole number from {lowest} to {highest}")


def _limit(value: object, what: str) -> int | None:
    return None if value is None else _whole(value, what, lowest=1, highest=2**31 - 1)


def _date(value: object, what: str) -> date:
    return _parsed(value, what, date.fromisoformat, "2026-01-31")


def _instant(value: object, what: str) -> datetime:
    instant = _parsed(value, what, datetime.fromisoformat, "2026-01-31T00:00:00+00:00")
    return instant if instant.tzinfo else _fail(what, "has no time zone")


def _parsed(value: object, what: str, parse: Callable[[str], _T], example: str) -> _T:
    try:
        return parse(value if isinstance(value, str) else "")
    except ValueError:
        _fail(what, f"is not written like {example}")
