"""Changes of the graph of units. Each takes the organization's row first: two changes that are harmless alone can
close a circle together (tests/orgs/test_no_cycle_from_two_transactions.py)."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction

from apps.audit.recording import AuditTrail
from apps.orgs import organizations
from apps.orgs.models import ACTOR_KINDS, Organization, Unit, UnitEdge, UnitKind
from apps.orgs.names import clean_name
from apps.orgs.queries import units_by_id, units_called
from spendra.kernel import clock
from spendra.kernel.errors import Conflict, Invalid

PLACES = frozenset({UnitKind.BRANCH, UnitKind.TEAM, UnitKind.PROJECT})
# An employee's agents belong to the employee, an agent's subagents to the agent; people and places belong to places.
BELONG_TO_PLACES_ONLY = PLACES | {UnitKind.EMPLOYEE}
_TRAIL = AuditTrail(room="orgs", kind="unit")

_REACHES = """
    WITH RECURSIVE above (id) AS (
        SELECT unnest(%s::uuid[])
        UNION SELECT edge.parent_id FROM orgs_unitedge edge JOIN above ON edge.child_id = above.id
    ) SELECT EXISTS (SELECT FROM above WHERE id = %s)
"""


@transaction.atomic
def create_unit(*, organization: Organization, kind: str, name: str, acting: str, parents: Sequence[Unit] = ()) -> Unit:
    """Adds a unit below `parents`, or directly below the organization where there are none.

    NotFound for a parent of another organization, Invalid for an archived or unfit one, Conflict for a name that the
    organization already has for that kind (archived units keep theirs). Locks the organization's row.
    """
    above = list(dict.fromkeys(_locked(organization, *parents)))
    if kind not in UnitKind.values:
        raise Invalid(f"{kind!r} is no kind of unit: choose one of {', '.join(UnitKind.values)}.", param="kind")
    name = _unit_name(name, kind)
    if Unit.objects.filter(organization=organization, kind=kind, name=name).exists():
        raise Conflict(f"{organization} already has the {kind} {name!r}, maybe archived.", param="name")
    unit = Unit(organization=organization, kind=kind, name=name)
    _refuse_unfit(unit, above)
    unit.save(force_insert=True)
    _link(unit, above)
    _TRAIL.record("create_unit", unit, acting=acting, after={"kind": kind, "name": name, "parents": _names(above)})
    return unit


@transaction.atomic
def find_or_create_actor(
    *, organization: Organization, name: str, acting: str, kind: str | None = None, parents: Sequence[Unit] = ()
) -> Unit:
    """The actor of that name (of that kind, where one is said), or a new one: an agent unless told otherwise.

    Invalid where several kinds share the name, or where the actor there is archived or not below `parents`: spend
    would escape the scopes that the caller expects. Locks the organization's row, so that two callers create one.
    """
    above = _locked(organization, *parents)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in UnitKind.values:
        kind, name = prefix, rest.strip()
    kinds = sorted(ACTOR_KINDS) if kind is None else [_actor_kind(kind)]
    found = units_called(organization, name, kinds=kinds)
    if len(found) > 1:
        raise Invalid(f"Several actors of {organization} are called {name!r}: say its kind.", param="kind")
    if not found:
        kind = kind or UnitKind.AGENT
        return create_unit(organization=organization, kind=kind, name=name, parents=above, acting=acting)
    (actor,) = found
    if actor.archived_at is not None:
        raise Invalid(f"The {actor} is archived. Restore it, or choose another name.", param="actor")
    if not set(above) <= set(_parents(actor)):
        raise Invalid(f"The {actor} exists, and belongs to other units than asked. Move it first.", param="parents")
    return actor


@transaction.atomic
def add_parent(unit: Unit, *, organization: Organization, parent: Unit, acting: str) -> None:
    """Lets `unit` belong to `parent` as well. Idempotent. Errors and locks as for `move`."""
    current, added = _locked(organization, unit, parent)
    _set_parents(current, [*_parents(current), added], acting=acting, action="add_parent")


@transaction.atomic
def remove_parent(unit: Unit, *, organization: Organization, parent: Unit, acting: str) -> None:
    """Ends that `unit` belongs to `parent`. Idempotent. Errors and locks as for `move`."""
    current, removed = _locked(organization, unit, parent)
    kept = [above for above in _parents(current) if above != removed]
    _set_parents(current, kept, acting=acting, action="remove_parent")


@transaction.atomic
def move(unit: Unit, *, organization: Organization, parents: Sequence[Unit], acting: str) -> None:
    """Lets `unit` belong to exactly `parents`. What was spent before stays where it was.

    NotFound for a unit of another organization; Invalid for an archived or unfit parent, or one below the unit: no
    circles. Locks the organization's row.
    """
    current, *after = _locked(organization, unit, *parents)
    _set_parents(current, after, acting=acting, action="move_unit")


@transaction.atomic
def rename(unit: Unit, *, organization: Organization, name: str, acting: str) -> Unit:
    """Conflict where the organization already has that name for the kind. Locks the organization's row."""
    (current,) = _locked(organization, unit)
    name = _unit_name(name, current.kind)
    if name == current.name:
        return current
    if Unit.objects.filter(organization=organization, kind=current.kind, name=name).exists():
        raise Conflict(f"{organization} already has the {current.kind} {name!r}, maybe archived.", param="name")
    before = {"name": current.name}
    current.name = name
    current.save(update_fields=["name"])
    _TRAIL.record("rename_unit", current, acting=acting, before=before, after={"name": name})
    return current


@transaction.atomic
def archive(unit: Unit, *, organization: Organization, acting: str, reason: str = "") -> Unit:
    """Ends a unit; its history stays, and keys of an archived actor are refused. Idempotent.

    Invalid while units that are not archived belong to it. Locks the organization's row.
    """
    (current,) = _locked(organization, unit)
    if current.archived_at is not None:
        return current
    below = Unit.objects.filter(parent_edges__parent=current, archived_at=None).count()
    if below:
        raise Invalid(f"{below} units still belong to the {current}. Move or archive them first.")
    current.archived_at = clock.now()
    current.save(update_fields=["archived_at"])
    _TRAIL.record("archive_unit", current, acting=acting, after={"archived_at": current.archived_at}, reason=reason)
    return current


@transaction.atomic
def restore(unit: Unit, *, organization: Organization, acting: str, reason: str = "") -> Unit:
    """Brings an archived unit back, with its keys. Idempotent. Invalid while one of its parents is archived."""
    (current,) = _locked(organization, unit)
    if current.archived_at is None:
        return current
    _refuse_unfit(current, _parents(current))
    before = {"archived_at": current.archived_at}
    current.archived_at = None
    current.save(update_fields=["archived_at"])
    _TRAIL.record("restore_unit", current, acting=acting, before=before, after={"archived_at": None}, reason=reason)
    return current


def _locked(organization: Organization, *units: Unit) -> list[Unit]:
    """The units as they are now, the organization's row held; NotFound for another organization's."""
    organizations.lock(organization)
    return units_by_id(organization, [unit.id for unit in units])


def _set_parents(unit: Unit, parents: Sequence[Unit], *, acting: str, action: str) -> None:
    before, after = _parents(unit), list(dict.fromkeys(parents))
    if set(after) == set(before):
        return
    if unit.archived_at is not None:
        raise Invalid(f"The {unit} is archived: restore it first.")
    _refuse_unfit(unit, after)
    if _reaches(after, unit):
        raise Invalid(f"The {unit} cannot belong to a unit that is itself or lies below it.", param="parents")
    UnitEdge.objects.filter(child=unit).exclude(parent__in=after).delete()
    _link(unit, [parent for parent in after if parent not in before])
    _TRAIL.record(action, unit, acting=acting, before={"parents": _names(before)}, after={"parents": _names(after)})


def _reaches(units: Sequence[Unit], target: Unit) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_REACHES, [[unit.id for unit in units], target.id])
        return bool(cursor.fetchone()[0])


def _refuse_unfit(unit: Unit, parents: Sequence[Unit]) -> None:
    for parent in parents:
        if parent.archived_at is not None:
            raise Invalid(f"The {parent} is archived: nothing new can belong to it.", param="parents")
        if unit.kind in BELONG_TO_PLACES_ONLY and parent.kind not in PLACES:
            raise Invalid(
                f"The {unit} cannot belong to the {parent}: branches, teams, projects and employees belong to "
                "branches, teams and projects only.",
                param="parents",
            )


def _actor_kind(kind: str) -> str:
    if kind not in ACTOR_KINDS:
        raise Invalid(f"{kind!r} is no kind of actor: choose one of {', '.join(sorted(ACTOR_KINDS))}.", param="kind")
    return kind


def _unit_name(name: str, kind: str) -> str:
    name = clean_name(name, of=f"a unit ({kind})")
    if name.partition(":")[0] in UnitKind.values or _is_uuid(name):
        raise Invalid(f"{name!r} reads like a reference to a unit: leave out the kind, and ids.", param="name")
    return name


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _parents(unit: Unit) -> list[Unit]:
    return list(Unit.objects.filter(child_edges__child=unit).order_by("child_edges__id"))


def _link(unit: Unit, parents: Sequence[Unit]) -> None:
    UnitEdge.objects.bulk_create(
        UnitEdge(organization_id=unit.organization_id, parent=parent, child=unit) for parent in parents
    )


def _names(units: Sequence[Unit]) -> list[str]:
    return [f"{unit.kind}:{unit.name}" for unit in units]
