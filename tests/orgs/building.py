"""Acme, and Globex, which must never see anything of Acme."""

from collections.abc import Sequence

from apps.orgs.models import Organization, Unit
from apps.orgs.organizations import create_organization
from apps.orgs.units import create_unit

ACTING = "ada@example.com"


def make_organization(slug: str = "acme") -> Organization:
    return create_organization(slug=slug, name=slug.title(), acting=ACTING)


def make_unit(organization: Organization, name: str, *, kind: str = "agent", parents: Sequence[Unit] = ()) -> Unit:
    return create_unit(organization=organization, kind=kind, name=name, parents=parents, acting=ACTING)
