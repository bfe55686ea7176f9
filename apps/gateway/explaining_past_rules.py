"""What the policies of its day said of a granted request: as far as it follows from what is kept of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.budgets.models import Reservation
from apps.catalog.models import ModelAlias
from apps.gateway.explained import told_rule
from apps.keys.models import Key
from apps.orgs.models import Organization
from apps.policies import evaluation
from apps.policies.history import rules_at
from apps.policies.types import Considered, PolicyRule, RequestView

Told = dict[str, Any]
Names = dict[UUID, dict[str, str]]

_UNTOLD = ("denied", "review", "undecidable")
# A version's time is read as its change begins; it binds from the commit on, and until then what it replaces does.
_COMMITTED_WITHIN = timedelta(seconds=1)


def policies(organization: Organization, reservation: Reservation, names: Names, *, is_approved: bool) -> list[Told]:
    """What each version of that day said. Neither the tools of a request, nor how its tokens were divided, nor by which
    name of the model it asked is kept: where that decides, an active version is known to have let it pass, and of one
    in shadow nothing can be said."""
    at = reservation.reserved_at
    rules = rules_at(organization, at)
    said = (evaluation.explain(rules, view, at) for view in _views(organization, reservation, names))
    return [
        told_rule(_said(of_one_rule, is_approved=is_approved), scope_of(organization, of_one_rule[0].rule, names))
        for of_one_rule in zip(*said, strict=True)
    ]


def changed_just_before(organization: Organization, scope_ids: Sequence[UUID], at: datetime) -> list[Told]:
    """The versions of these scopes of which it can't be told whether the request was decided with them, or still with
    those before."""
    rules, earlier = (
        [rule for rule in rules_at(organization, when) if rule.unit_id is None or rule.unit_id in scope_ids]
        for when in (at, at - _COMMITTED_WITHIN)
    )
    ended = [_told_change(rule, "ended") for rule in earlier if rule not in rules]
    return [*ended, *(_told_change(rule, "began") for rule in rules if rule not in earlier)]


def scope_of(organization: Organization, rule: PolicyRule, names: Names) -> str:
    if rule.unit_id is None:
        return f"organization {organization.slug}"
    named = names.get(rule.unit_id)
    return f"{named['kind']} {named['name']}" if named else f"unit {rule.unit_id}"


def _told_change(rule: PolicyRule, change: str) -> Told:
    return {
        "policy": rule.name,
        "version": rule.number,
        "version_id": str(rule.version_id),
        "is_shadow": rule.is_shadow,
        "change": change,
    }


def _views(organization: Organization, reservation: Reservation, names: Names) -> list[RequestView]:
    """All that it can have been: under each name of its model, its tokens all of output and input, or neither."""
    key = Key.objects.filter(organization=organization, key_id=reservation.key_id).first()
    view = RequestView(
        provider=reservation.provider,
        model=reservation.model,
        named_model=reservation.model,
        endpoint="chat.completions",
        tools=None,
        environment=key.environment_label if key else "",
        key_id=reservation.key_id,
        actor_kind=names.get(reservation.actor_id, {}).get("kind", ""),
        scope_ids=tuple(reservation.scope_ids),
        nanos=reservation.amount_nanos,
        input_tokens=0,
        output_tokens=0,
    )
    aliases = ModelAlias.objects.filter(
        provider=reservation.provider, model__provider=reservation.provider, model__name=reservation.model
    )
    asked_as = [reservation.model, *aliases.values_list("alias", flat=True)]
    return [
        replace(view, named_model=name, input_tokens=tokens, output_tokens=tokens)
        for name in asked_as
        for tokens in (0, reservation.amount_tokens)
    ]


def _said(candidates: Sequence[Considered], *, is_approved: bool) -> Considered:
    """Of what one rule says to each: the first, where it doesn't matter."""
    first = candidates[0]
    is_known = {one.outcome for one in candidates} == {first.outcome} and first.outcome != "undecidable"
    if first.rule.is_shadow:
        untold = "Whether it would have let the request pass depends on what is not kept of it."
        return first if is_known else replace(first, outcome="undecidable", reason=untold)
    if first.outcome == "review" and is_approved:
        return replace(first, reason=f"{first.reason} An approval let it pass.")
    if is_known and first.outcome not in _UNTOLD:
        return first
    return replace(first, outcome="passed", reason="It let the request pass, by what is not kept of it.")
