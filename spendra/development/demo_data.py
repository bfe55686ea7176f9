"""Acme: a small company in two cities, with people, agents and budgets, for the demo and for looking around."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from apps.audit.models import AuditRecord
from apps.budgets.capping import set_cap
from apps.identity.models import Person
from apps.identity.people import create_person, set_password
from apps.keys.issuing import issue
from apps.orgs.models import Organization, Unit
from apps.orgs.organizations import create_organization
from apps.orgs.queries import find_unit
from apps.orgs.units import create_unit
from apps.providers.accounts import create_default_accounts
from spendra.kernel.errors import Conflict
from spendra.kernel.money import parse_usd

SLUG = "acme"
SIGN_IN_EMAIL = "admin@acme.example"
DEMO_ACTOR = "agent:code-reviewer"
_REASON = "demo data"

# kind, name, what it belongs to. Atlas, Helpdesk and the agents belong to more than one unit: the graph is no tree.
_UNITS = (
    ("branch", "Berlin", ()),
    ("branch", "Lisbon", ()),
    ("team", "Platform", ("branch:Berlin",)),
    ("team", "Research", ("branch:Berlin",)),
    ("team", "Support", ("branch:Lisbon",)),
    ("team", "Growth", ("branch:Lisbon",)),
    ("project", "Atlas", ("team:Platform", "team:Research")),
    ("project", "Helpdesk", ("team:Support", "team:Platform")),
    ("project", "Website", ("team:Growth",)),
    ("employee", "Ada Brandt", ("team:Platform",)),
    ("employee", "Bo Lindqvist", ("team:Research",)),
    ("employee", "Carla Nunes", ("team:Support",)),
    ("employee", "Davi Rocha", ("team:Growth", "team:Support")),
    ("agent", "code-reviewer", ("project:Atlas", "employee:Ada Brandt")),
    ("agent", "research-scout", ("project:Atlas", "employee:Bo Lindqvist")),
    ("agent", "support-triage", ("project:Helpdesk",)),
    ("subagent", "scout-reader", ("agent:research-scout",)),
    ("subagent", "triage-summarizer", ("agent:support-triage",)),
    ("automation", "nightly-report", ("project:Website", "team:Platform")),
)

# scope (None: all of Acme), unit kind of an each-budget, period, hardness, USD.
_CAPS = (
    (None, "", "month", "hard", "20000"),
    (None, "", "month", "soft", "15000"),
    (None, "", "day", "hard", "2500"),
    ("team:Platform", "", "month", "hard", "8000"),
    ("team:Research", "", "month", "hard", "6000"),
    ("team:Support", "", "month", "hard", "4000"),
    ("project:Atlas", "", "month", "hard", "5000"),
    (None, "employee", "day", "hard", "250"),
    (None, "agent", "day", "hard", "500"),
)

_KEYS: tuple[tuple[str, str, str, int | None], ...] = (
    ("employee:Ada Brandt", "openai/gpt-4.1*", "development", None),
    ("agent:support-triage", "openai/gpt-4.1-mini", "production", 90),
    ("automation:nightly-report", "openai/gpt-4.1-nano", "staging", 30),
)


@dataclass(frozen=True, slots=True)
class DemoData:
    organization: Organization
    key: str
    sign_in_email: str
    password: str


@transaction.atomic
def seed(*, acting: str) -> DemoData:
    """Makes Acme where it is not there yet, and otherwise leaves it as it is; a new key and a new password each time.

    Conflict where Acme would come into a database with other organizations: demo data is no guest there. Beside an Acme
    of ours others may have been made since, by whoever tries the demo.
    """
    organization = _acme() or _create_acme(acting)
    issued = issue(
        organization=organization, actor=find_unit(organization, DEMO_ACTOR), grants=["openai/*"], acting=acting
    )
    return DemoData(organization, issued.key, SIGN_IN_EMAIL, _sign_in(acting))


def _acme() -> Organization | None:
    made_here = AuditRecord.objects.filter(action="orgs.create_organization", reason=_REASON)
    return Organization.objects.filter(
        slug=SLUG, id__in=list(made_here.values_list("organization_id", flat=True))
    ).first()


def refuse_real_database() -> None:
    """Conflict where an organization exists that `seed` did not make."""
    made_here = AuditRecord.objects.filter(action="orgs.create_organization", reason=_REASON)
    others = Organization.objects.exclude(id__in=list(made_here.values_list("organization_id", flat=True)))
    if others:
        raise Conflict(
            f"This database holds organizations that are no demo data: {', '.join(map(str, others[:5]))}. "
            "Use an empty database."
        )


def _create_acme(acting: str) -> Organization:
    refuse_real_database()
    acme = create_organization(slug=SLUG, name="Acme", time_zone="Europe/Berlin", acting=acting, reason=_REASON)
    create_default_accounts(acme, acting=acting)
    units = _create_units(acme, acting)
    for scope, each, period_kind, hardness, usd in _CAPS:
        set_cap(
            organization=acme,
            unit=units[scope] if scope else None,
            applies_to_each=each,
            period_kind=period_kind,
            hardness=hardness,
            amount=parse_usd(usd),
            acting=acting,
        )
    _issue_keys(acme, units, acting)
    return acme


def _create_units(acme: Organization, acting: str) -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for kind, name, parents in _UNITS:
        units[f"{kind}:{name}"] = create_unit(
            organization=acme, kind=kind, name=name, parents=[units[parent] for parent in parents], acting=acting
        )
    return units


def _issue_keys(acme: Organization, units: Mapping[str, Unit], acting: str) -> None:
    """Nobody is shown these: they are there to be listed, searched and revoked."""
    for actor, grant, environment_label, days in _KEYS:
        issue(
            organization=acme,
            actor=units[actor],
            grants=[grant],
            environment_label=environment_label,
            expires_in=None if days is None else timedelta(days=days),
            acting=acting,
        )


def _sign_in(acting: str) -> str:
    password = secrets.token_urlsafe(15)
    person = Person.objects.filter(email=SIGN_IN_EMAIL).first()
    if person is None:
        create_person(
            email=SIGN_IN_EMAIL, password=password, name="Acme admin", is_staff=True, is_superuser=True, acting=acting
        )
    else:
        set_password(person, password=password, acting=acting)
    return password
