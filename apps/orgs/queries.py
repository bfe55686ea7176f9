from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import QuerySet

from apps.orgs.models import Organization, Unit, UnitKind
from spendra.kernel.errors import Invalid, NotFound


def organization_by_slug(slug: str) -> Organization:
    organization = Organization.objects.filter(slug=slug).first() if slug.isprintable() else None
    if organization is None:
        raise NotFound(f"There is no organization {slug!r}.")
    return organization


def find_unit(organization: Organization, text: str, *, kinds: Collection[str] = UnitKind.values) -> Unit:
    """The unit that a person means by an id, `kind:name`, or a name. Archived units are found too.

    NotFound where there is none; Invalid where a name is that of several, naming them.
    """
    found = units_called(organization, text, kinds=kinds)
    if not found:
        raise NotFound(f"There is no {' or '.join(kinds) if len(kinds) < 5 else 'unit'} {text!r} in {organization}.")
    if len(found) > 1:
        choices = ", ".join(f"{unit.kind}:{unit.name}" for unit in found)
        raise Invalid(f"{text!r} is the name of {len(found)} units of {organization}. Say which: {choices}.")
    return found[0]


def units_called(organization: Organization, text: str, *, kinds: Collection[str] = UnitKind.values) -> list[Unit]:
    text = text.strip()
    if not text.isprintable():
        return []
    units = Unit.objects.filter(organization=organization, kind__in=kinds)
    kind, colon, name = text.partition(":")
    if colon and kind in UnitKind.values:
        return list(units.filter(kind=kind, name=name.strip()))
    return list(units.filter(name=text)) or _with_id(units, text)


def units_by_id(organization: Organization, ids: Sequence[UUID]) -> list[Unit]:
    """In the order asked. NotFound where one is not there, or is another organization's."""
    found = Unit.objects.filter(organization=organization).in_bulk(list(ids))
    for unit_id in ids:
        if unit_id not in found:
            raise NotFound(f"There is no unit {unit_id} in {organization}.")
    return [found[unit_id] for unit_id in ids]


def _with_id(units: "QuerySet[Unit]", text: str) -> list[Unit]:
    try:
        return list(units.filter(id=UUID(text)))
    except ValueError:
        return []
