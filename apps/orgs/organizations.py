import re

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.orgs.models import Organization, validate_time_zone
from apps.orgs.names import clean_name
from spendra.kernel import clock
from spendra.kernel.errors import Conflict, Invalid

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_MOST_TOKENS = 2**31 - 1
_TRAIL = AuditTrail(
    room="orgs",
    kind="organization",
    organization_field="id",
    fields=(
        "slug", "name", "time_zone", "week_starts_on", "fiscal_year_starts_month", "default_output_tokens",
        "requires_cap", "suspended_at",
    ),
)  # fmt: skip


@transaction.atomic
def create_organization(
    *,
    slug: str,
    name: str,
    acting: str,
    time_zone: str = "UTC",
    week_starts_on: int = 0,
    fiscal_year_starts_month: int = 1,
    default_output_tokens: int | None = None,
    requires_cap: bool = False,
    reason: str = "",
) -> Organization:
    """Creates an organization without units, keys or provider accounts.

    Callers that want it to reach a provider add `providers.accounts.create_default_accounts`.
    Raises Invalid for a value that cannot be, Conflict where the slug is taken.
    """
    if not _SLUG.fullmatch(slug):
        raise Invalid(f"{slug!r} is no slug: use 1 to 60 of a-z, 0-9 and hyphens, such as acme-eu.", param="slug")
    organization = Organization(slug=slug)
    _assign(organization, name, time_zone, default_output_tokens, requires_cap)
    _assign_calendar(organization, week_starts_on, fiscal_year_starts_month)
    try:
        with transaction.atomic():
            organization.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(f"An organization {slug} exists already.", param="slug") from error
    _TRAIL.record("create_organization", organization, after=_TRAIL.state(organization), acting=acting, reason=reason)
    return organization


@transaction.atomic
def change_organization(
    organization: Organization,
    *,
    name: str,
    time_zone: str,
    week_starts_on: int,
    fiscal_year_starts_month: int,
    default_output_tokens: int | None,
    requires_cap: bool,
    acting: str,
    reason: str = "",
) -> Organization:
    """Sets everything but the slug. A new zone, first day of the week or of the year acts from the next period on.

    Raises Invalid for a value that cannot be. Locks the organization's row.
    """
    current = lock(organization)
    before = _TRAIL.state(current)
    _assign(current, name, time_zone, default_output_tokens, requires_cap)
    _assign_calendar(current, week_starts_on, fiscal_year_starts_month)
    if _TRAIL.state(current) != before:
        current.save()
        _TRAIL.record_change("change_organization", current, before=before, acting=acting, reason=reason)
    return current


@transaction.atomic
def suspend_organization(organization: Organization, *, acting: str, reason: str = "") -> Organization:
    """Refuses every request of the organization from the next one on. Idempotent. Locks the organization's row."""
    current = lock(organization)
    if current.suspended_at is None:
        before = _TRAIL.state(current)
        current.suspended_at = clock.now()
        current.save(update_fields=["suspended_at"])
        _TRAIL.record_change("suspend_organization", current, before=before, acting=acting, reason=reason)
    return current


@transaction.atomic
def resume_organization(organization: Organization, *, acting: str, reason: str = "") -> Organization:
    """Ends a suspension. Idempotent. Locks the organization's row."""
    current = lock(organization)
    if current.suspended_at is not None:
        before = _TRAIL.state(current)
        current.suspended_at = None
        current.save(update_fields=["suspended_at"])
        _TRAIL.record_change("resume_organization", current, before=before, acting=acting, reason=reason)
    return current


def lock(organization: Organization) -> Organization:
    """The row as it is now, held until the transaction ends: changes of one organization's units take turns.

    NO KEY: whoever only refers to the organization by a foreign key passes.
    """
    return Organization.objects.select_for_update(no_key=True).get(id=organization.id)


def _assign(
    organization: Organization,
    name: str,
    time_zone: str,
    default_output_tokens: int | None,
    requires_cap: bool,
) -> None:
    try:
        validate_time_zone(time_zone)
    except ValidationError as error:
        raise Invalid(f"{error.messages[0]}.", param="time_zone") from error
    if default_output_tokens is not None and not 1 <= default_output_tokens <= _MOST_TOKENS:
        raise Invalid(f"The default output limit must be 1 to {_MOST_TOKENS} tokens.", param="default_output_tokens")
    organization.name = clean_name(name, of="an organization")
    organization.time_zone = time_zone
    organization.default_output_tokens = default_output_tokens
    organization.requires_cap = requires_cap


def _assign_calendar(organization: Organization, week_starts_on: int, fiscal_year_starts_month: int) -> None:
    if not 0 <= week_starts_on <= 6:
        raise Invalid(f"A week starts on day 0 (Monday) to 6 (Sunday), not {week_starts_on}.", param="week_starts_on")
    if not 1 <= fiscal_year_starts_month <= 12:
        raise Invalid(
            f"A fiscal year starts in month 1 to 12, not {fiscal_year_starts_month}.", param="fiscal_year_starts_month"
        )
    organization.week_starts_on = week_starts_on
    organization.fiscal_year_starts_month = fiscal_year_starts_month
