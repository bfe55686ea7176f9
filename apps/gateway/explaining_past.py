"""A past request: what was decided, by which rules of its day, and what has become of it."""

from typing import Any
from uuid import UUID

from apps.budgets.models import Period, Reservation
from apps.budgets.queries import remaining
from apps.gateway import errors
from apps.gateway.explained import told_rule
from apps.gateway.explaining_past_rules import changed_just_before, policies, scope_of
from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization, Unit
from apps.policies import evaluation
from apps.policies.history import rules_at
from apps.policies.models import ApprovalUse, Refusal
from apps.policies.queries import find_refusal
from apps.policies.types import RequestView
from spendra.kernel.errors import NotFound
from spendra.kernel.money import format_usd

Told = dict[str, Any]

# A request's id is made before its reservation's: by a moment as a rule, by the patience of a gateway at most. Clocks
# may be set back in between.
_BEFORE_MS, _AFTER_MS = 2_000, 120_000


def explain_past(organization: Organization, request_id: str) -> Told:
    """Of an x-request-id or a reservation's id. NotFound for one that is another organization's, or that nothing was
    kept of: refusals are kept for thirty days."""
    try:
        wanted = UUID(request_id)
    except ValueError:
        raise _not_found(organization, request_id) from None
    if refusal := find_refusal(organization, wanted):
        return _refused(organization, refusal)
    reservation = find_reservation(organization, wanted)
    if reservation is None:
        raise _not_found(organization, request_id)
    return _granted(organization, reservation)


def find_reservation(organization: Organization, wanted: UUID) -> Reservation | None:
    """By its own id, or by that of its request: looked for among the reservations made just after it, by their key."""
    own = Reservation.objects.filter(organization_id=organization.id)
    first, last = _bound(wanted, -_BEFORE_MS), _bound(wanted, _AFTER_MS)
    near = own.filter(id__gte=first, id__lt=last, request_id=wanted.hex).order_by("id")
    return own.filter(id=wanted).first() or near.first()


def _bound(wanted: UUID, more_ms: int) -> UUID:
    """The least id of that many milliseconds later."""
    milliseconds = (wanted.int >> 80) + more_ms
    return UUID(int=max(0, min(milliseconds, 2**48 - 1)) << 80)


def _not_found(organization: Organization, request_id: str) -> NotFound:
    return NotFound(f"Nothing is kept of a request {request_id!r} in {organization}.")


def _refused(organization: Organization, refusal: Refusal) -> Told:
    told = {
        "organization": organization.slug,
        "at": refusal.at.isoformat(),
        "request_id": refusal.id.hex,
        "decision": "refuse",
        "refusal": {
            "code": refusal.code,
            "status": _status(refusal.code),
            "message": refusal.message,
            "details": refusal.details,
        },
        "key": {"key_id": refusal.key_id},
        "request": {"provider": refusal.provider, "model": refusal.model},
    }
    return told if refusal.basis is None else told | _decided_on(organization, refusal, refusal.basis)


def _decided_on(organization: Organization, refusal: Refusal, basis: Told) -> Told:
    scope_ids = [UUID(scope) for scope in basis["scope_ids"]]
    names = _names(organization, scope_ids)
    view = RequestView(
        provider=refusal.provider,
        model=basis["model"],
        named_model=refusal.model,
        endpoint="chat.completions",
        tools=None if basis["tools"] is None else frozenset(basis["tools"]),
        environment=basis["environment"],
        key_id=refusal.key_id,
        actor_kind=basis["actor_kind"],
        scope_ids=tuple(scope_ids),
        nanos=int(basis["nanos"]),
        input_tokens=basis["input_tokens"],
        output_tokens=basis["output_tokens"] * basis["choices"],
    )
    considered = evaluation.explain(rules_at(organization, refusal.at), view, refusal.at)
    worst = ("nanos", "input_tokens", "output_tokens", "choices", "is_default_output")
    return {
        "scopes": _scopes(scope_ids, names),
        "price_version_id": basis["price_version_id"],
        "worst_case": {**{name: basis[name] for name in worst}, "usd": format_usd(int(basis["nanos"]))},
        "policies": [told_rule(one, scope_of(organization, one.rule, names)) for one in considered],
        "changed_just_before": changed_just_before(organization, scope_ids, refusal.at),
        "caps": _caps(organization, _periods(organization, refusal, basis["budgets"]), names),
    }


def _periods(organization: Organization, refusal: Refusal, budgets: list[Told]) -> list[int]:
    """Those of the budgets that would have counted it, at that time. One that nobody had used yet has none."""
    asked = [(one["budget_id"], one["unit_id"]) for one in budgets]
    running = Period.objects.filter(
        organization_id=organization.id,
        budget_id__in={budget_id for budget_id, _ in asked},
        starts_at__lte=refusal.at,
        ends_at__gt=refusal.at,
    )
    found = {(str(one.budget_id), one.unit_id and str(one.unit_id)): one.id for one in running}
    return [found[name] for name in asked if name in found]


def _status(code: str) -> int | None:
    """None for a code of another release."""
    return next((status for kind, status in errors.STATUSES.items() if getattr(kind, "code", None) == code), None)


def _granted(organization: Organization, reservation: Reservation) -> Told:
    names = _names(organization, reservation.scope_ids)
    use = ApprovalUse.objects.filter(reservation_id=reservation.id).first()
    return {
        "organization": organization.slug,
        "at": reservation.reserved_at.isoformat(),
        "request_id": reservation.request_id,
        "decision": "allow",
        "refusal": None,
        "key": {"key_id": reservation.key_id},
        "request": {"provider": reservation.provider, "model": reservation.model},
        "scopes": _scopes(reservation.scope_ids, names),
        "price_version_id": reservation.price_version_id and str(reservation.price_version_id),
        "worst_case": {
            "nanos": str(reservation.amount_nanos),
            "usd": format_usd(reservation.amount_nanos),
            "tokens": reservation.amount_tokens,
        },
        "reservation": _reservation(reservation),
        "entries": [_entry(entry) for entry in _entries(organization, reservation)],
        "policies": policies(organization, reservation, names, is_approved=use is not None),
        "changed_just_before": changed_just_before(organization, reservation.scope_ids, reservation.reserved_at),
        "approval": use and {"id": str(use.approval_id)},
        "caps": _caps(organization, reservation.period_ids, names),
    }


def _names(organization: Organization, scope_ids: list[UUID]) -> dict[UUID, dict[str, str]]:
    """Of the scopes of that day, as they are called today."""
    units = Unit.objects.filter(organization=organization, id__in=scope_ids)
    named = {unit.id: {"kind": str(unit.kind), "name": unit.name} for unit in units}
    return {scope: named.get(scope, {"kind": "organization", "name": organization.slug}) for scope in scope_ids}


def _scopes(scope_ids: list[UUID], names: dict[UUID, dict[str, str]]) -> list[Told]:
    """From the actor up, as for a request now."""
    upwards = sorted(scope_ids, key=lambda scope: names[scope]["kind"] == "organization")
    return [{"id": str(scope), **names[scope]} for scope in upwards]


def _reservation(reservation: Reservation) -> Told:
    return {
        "id": str(reservation.id),
        "state": reservation.state,
        "end_cause": reservation.end_cause,
        "is_late": reservation.is_late,
        "booked_nanos": str(reservation.booked_nanos),
        "booked_usd": format_usd(reservation.booked_nanos),
        "booked_tokens": reservation.booked_tokens,
        "ended_at": reservation.ended_at and reservation.ended_at.isoformat(),
    }


def _entries(organization: Organization, reservation: Reservation) -> list[LedgerEntry]:
    entries = LedgerEntry.objects.filter(organization_id=organization.id, reservation_id=reservation.id)
    return list(entries.order_by("booked_at", "id"))


def _entry(entry: LedgerEntry) -> Told:
    return {
        "id": str(entry.id),
        "kind": entry.kind,
        "status": entry.status,
        "cause": entry.cause,
        "amount_nanos": str(entry.amount_nanos),
        "amount_usd": format_usd(entry.amount_nanos),
        "booked_at": entry.booked_at.isoformat(),
    }


def _caps(organization: Organization, period_ids: list[int], names: dict[UUID, dict[str, str]]) -> list[Told]:
    """Of the periods that count it, or would have, as they are now; windows of rates may be forgotten."""
    periods = Period.objects.filter(organization_id=organization.id, id__in=period_ids)
    found = {period.id: period for period in periods.select_related("budget")}
    states = remaining(organization, [period for period in period_ids if period in found])
    return [_cap(organization, found[state["id"]], state, names) for state in states]


def _cap(organization: Organization, period: Period, state: Any, names: dict[UUID, dict[str, str]]) -> Told:
    unit = period.unit_id or period.budget.unit_id
    scope = names.get(unit) if unit else None
    is_endless = state["period_kind"] in ("total", "fixed")
    return {
        "rule": state["budget_id"],
        "scope": f"{scope['kind']} {scope['name']}" if scope else f"organization {organization.slug}",
        "hardness": state["hardness"],
        "measure": state["measure"],
        "period": state["period_kind"],
        "label": state["label"],
        "cap": str(state["cap"]),
        "settled": str(state["settled"]),
        "reserved": str(state["reserved"]),
        "remaining": str(max(0, state["cap"] - state["settled"])),
        "resets_at": None if is_endless else state["ends_at"],
    }
