"""One bundle out of two sources: genai-prices leads on prices, litellm fills in limits and what the first lacks."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import date

from apps.catalog.building import genai, litellm
from apps.catalog.building.draft import Draft, Tier, Tiers, dated_prices, overlaid
from apps.catalog.bundles import Bundle, BundleModel
from apps.catalog.types import STANDARD_TIER

DIRECT_PROVIDERS = ("anthropic", "google", "openai")
OPENROUTER = "openrouter"
# Models of both lists that don't chat, where the list itself doesn't say so, and bases of fine-tuned ones.
_NO_CHAT = re.compile(
    r"embed|moderation|tts|whisper|transcri|translate|realtime|live|image|imagen|banana|omni|lyria|veo|robotics|"
    r"native-audio|instruct$|davinci|babbage|curie|^ada$|^ft:|\.ft-|:extended|computer-use|^claude-v1$",
)
_ALWAYS_SEARCHES = re.compile(r"-search-(preview|api)")
# Prices that genai-prices leaves out and litellm may add; all others are genai-prices' alone where it knows the model.
_ADDED = frozenset({"cache_write_1h", "audio_input", "cached_audio_input", "audio_output", "web_search"})


def build(prices: genai.Prices, listed: litellm.Models, *, on: date) -> tuple[Bundle, list[str]]:
    """The bundle, and notes on prices left out. ValueError where a source says something that a bundle can't."""
    direct = {provider: _direct(provider, prices, listed.of(provider)) for provider in DIRECT_PROVIDERS}
    drafts = direct | {OPENROUTER: _openrouter(prices, listed.of(OPENROUTER), direct)}
    notes = [
        f"{provider}/{draft.name}: {', '.join(sorted(draft.refused))} left out, not exact in nanos per million"
        for provider, group in drafts.items()
        for draft in group
        if draft.refused
    ]
    bundle = Bundle(
        version=f"{on.isoformat()} {genai.PACKAGE} {prices.version} {litellm.PACKAGE} {listed.version}",
        date=on,
        sources={genai.PACKAGE: prices.version, litellm.PACKAGE: listed.version},
        models=tuple(_model(provider, draft) for provider, group in drafts.items() for draft in group),
    )
    return bundle, notes


def _direct(provider: str, prices: genai.Prices, entries: Mapping[str, litellm.Entry]) -> list[Draft]:
    """The chat models of one provider, each name once."""
    listed = {name: litellm.draft(name, entry) for name, entry in entries.items() if litellm.is_chat(entry)}
    other = entries.keys() - listed.keys()
    drafts: dict[str, Draft] = {}
    for model in prices.models(provider):
        if _chats(model.id, other) and not (provider == "google" and "claude" in model.id):
            drafts[model.id] = genai.draft(model)
    merged: dict[str, Draft] = {}
    for leader in (draft for draft in drafts.values() if draft.is_priced):
        same = [name for name, entry in listed.items() if _is_same(prices, provider, name, entry, leader)]
        merged |= _merged(leader, [listed.pop(name) for name in same])
    for name, entry in listed.items():
        if entry.timeline and _chats(name, other):
            merged.setdefault(name, entry)
    return _named_once(merged, hidden=other)


def _chats(name: str, other: Iterable[str]) -> bool:
    return not _NO_CHAT.search(name) and name not in other


def _is_same(prices: genai.Prices, provider: str, name: str, entry: Draft, leader: Draft) -> bool:
    """Named over there in so many words; or found there by a pattern, which may hit an older one, at the same price."""
    if not _chats(name, ()):
        return False
    if name == leader.name or name in leader.aliases:
        return True
    found = prices.find(provider, name)
    return found is not None and found.id == leader.name and entry.is_priced and _plain(entry) <= _plain(leader)


def _plain(draft: Draft) -> set[tuple[int, int]]:
    """The plain prices of input and output that it has at one time or another."""
    standards = (tiers[STANDARD_TIER] for tiers in draft.timeline.values())
    return {(standard["input", 0], standard["output", 0]) for standard in standards}


def _merged(leader: Draft, same: list[Draft]) -> dict[str, Draft]:
    """The leader with limits, and one more model for every name whose limits or search fee differ from its own."""
    twins = {entry.name: entry for entry in same}
    own = twins.pop(leader.name, None) or max(
        twins.values(), key=lambda entry: (entry.max_output_tokens or 0, entry.name), default=Draft(leader.name)
    )
    models = {leader.name: _completed(leader, own)}
    for name, twin in twins.items():
        if twin.limits == own.limits and bool(_ALWAYS_SEARCHES.search(name)) == bool(
            _ALWAYS_SEARCHES.search(leader.name)
        ):
            models[leader.name].aliases.add(name)
        else:
            models[name] = _completed(deepcopy(leader), twin, name=name)
    return models


def _completed(leader: Draft, entry: Draft, *, name: str | None = None) -> Draft:
    """The larger context window counts: it is used as a bound."""
    model = Draft(
        name=name or leader.name,
        aliases=set() if name else set(leader.aliases),
        context_window=max(leader.context_window or 0, entry.context_window or 0) or None,
        max_output_tokens=entry.max_output_tokens,
        retired_on=entry.retired_on,
        refused=set(leader.refused),
    )
    added = next(iter(entry.timeline.values()), {})
    for start, tiers in leader.timeline.items():
        model.timeline[start] = _with_search_fee(model.name, _filled(tiers, added, hears=entry.hears))
    return model


def _filled(tiers: Tiers, added: Tiers, *, hears: bool) -> Tiers:
    """Adds tiers and classes that only litellm has, where both agree on the plain prices."""
    standard, theirs = tiers[STANDARD_TIER], added.get(STANDARD_TIER, {})
    if any(standard.get((name, 0)) != theirs.get((name, 0)) for name in ("input", "output")):
        return {name: _with_audio(tier, hears=hears) for name, tier in tiers.items()}
    extra = {name: overlaid(standard, _known(tier, standard)) for name, tier in added.items() if name not in tiers}
    filled = {
        name: {key: price for key, price in added.get(name, theirs).items() if _is_addition(key[0], tier)} | tier
        for name, tier in (extra | tiers).items()
    }
    return {name: _with_audio(tier, hears=hears) for name, tier in filled.items()}


def _known(tier: Tier, standard: Tier) -> Tier:
    classes = {usage_class for usage_class, _ in standard}
    return {key: price for key, price in tier.items() if key[0] in classes}


def _is_addition(usage_class: str, tier: Tier) -> bool:
    return usage_class in _ADDED and (usage_class, 0) not in tier


def _with_audio(tier: Tier, *, hears: bool) -> Tier:
    """A model that takes audio and lists no price for it bills audio as any other input. Said outright here, so that in
    the catalog a missing price of audio always means an unknown one."""
    if not hears or ("audio_input", 0) in tier:
        return tier
    return tier | {("audio_input", over): price for (name, over), price in tier.items() if name == "input"}


def _with_search_fee(name: str, tiers: Tiers) -> Tiers:
    """These models search on every request, and their answers don't count it."""
    if not _ALWAYS_SEARCHES.search(name):
        return tiers
    return {
        tier: {key: price for key, price in prices.items() if key[0] != "web_search"}
        | {("request", 0): prices["web_search", 0], ("web_search", 0): 0}
        if ("web_search", 0) in prices
        else prices
        for tier, prices in tiers.items()
    }


def _named_once(models: dict[str, Draft], *, hidden: Iterable[str]) -> list[Draft]:
    """A name that is a model of its own, or known not to chat, is nobody's alias; of two claims the first counts."""
    taken = set(models) | set(hidden)
    for model in models.values():
        model.aliases = {alias for alias in model.aliases - taken if not _NO_CHAT.search(alias)}
        taken |= model.aliases
    return list(models.values())


def _openrouter(
    prices: genai.Prices, entries: Mapping[str, litellm.Entry], direct: Mapping[str, list[Draft]]
) -> list[Draft]:
    models: dict[str, Draft] = {}
    for model in prices.models(OPENROUTER):
        if "/" in model.id and _chats(model.id, ()) and (leader := genai.draft(model)).is_priced:
            entry = litellm.draft(model.id, entries.get(model.id, {}))
            if entry.limits == (None, None):
                entry = _resold(model.id, prices, direct)
            models[model.id] = _completed(leader, entry)
    return _named_once(models, hidden=())


def _resold(name: str, prices: genai.Prices, direct: Mapping[str, list[Draft]]) -> Draft:
    """The limits of the same model where its maker sells it."""
    maker, _, rest = name.lstrip("~").partition("/")
    found = prices.find(maker, rest.partition(":")[0]) if maker in direct else None
    source = next((draft for draft in direct.get(maker, ()) if found and draft.name == found.id), None)
    if source is None:
        return Draft(name)
    return Draft(name, context_window=source.context_window, max_output_tokens=source.max_output_tokens)


def _model(provider: str, draft: Draft) -> BundleModel:
    return BundleModel(
        provider=provider,
        name=draft.name,
        aliases=tuple(sorted(draft.aliases)),
        context_window=draft.context_window,
        max_output_tokens=draft.max_output_tokens,
        retired_on=draft.retired_on,
        prices=dated_prices(draft.timeline),
    )
