import pytest

from apps.audit.models import AuditRecord
from apps.orgs import organizations
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict, Invalid
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization


def test_an_organization_is_created_with_an_audit_record(database: Database) -> None:
    organization = organizations.create_organization(
        slug="acme", name=" Acme ", time_zone="Europe/Berlin", acting=ACTING, reason="new customer"
    )
    assert Organization.objects.get() == organization
    assert (organization.name, organization.time_zone) == ("Acme", "Europe/Berlin")
    record = AuditRecord.objects.get(organization_id=organization.id)
    assert (record.actor, record.action, record.reason) == (ACTING, "orgs.create_organization", "new customer")
    assert record.after is not None
    assert record.after["slug"] == "acme"


def test_a_slug_is_taken_once(database: Database) -> None:
    organization = make_organization("acme")
    with pytest.raises(Conflict, match="exists already"):
        make_organization("acme")
    assert AuditRecord.objects.get(object_kind="organization").object_id == str(organization.id)


def test_a_slug_that_is_none_is_refused(database: Database) -> None:
    for slug in ("", "-acme", "acme-", "Acme", "a b", "ä", "a" * 61, "a\0b"):
        with pytest.raises(Invalid, match="is no slug"):
            make_organization(slug)


def test_a_value_that_cannot_be_is_refused(database: Database) -> None:
    for field, value in (
        ("name", "  "),
        ("name", "a\0b"),
        ("name", "a" * 201),
        ("time_zone", "Berlin"),
        ("week_starts_on", 7),
        ("fiscal_year_starts_month", 0),
        ("fiscal_year_starts_month", 13),
        ("default_output_tokens", 0),
        ("default_output_tokens", 2**31),
    ):
        with pytest.raises(Invalid) as refusal:
            organizations.create_organization(slug="acme", acting=ACTING, **{"name": "Acme", field: value})
        assert refusal.value.param == field


def test_a_change_is_recorded_with_what_was_before_and_an_empty_one_is_not(database: Database) -> None:
    organization = make_organization()
    for _ in range(2):
        organizations.change_organization(
            organization,
            name="Acme",
            time_zone="Asia/Tokyo",
            week_starts_on=6,
            fiscal_year_starts_month=4,
            default_output_tokens=500,
            requires_cap=True,
            acting=ACTING,
        )
    organization.refresh_from_db()
    assert (organization.time_zone, organization.requires_cap) == ("Asia/Tokyo", True)
    assert organization.fiscal_year_starts_month == 4
    record = AuditRecord.objects.get(action="orgs.change_organization")
    assert record.before is not None
    assert record.after is not None
    assert (record.before["time_zone"], record.after["time_zone"]) == ("UTC", "Asia/Tokyo")


def test_a_suspension_is_begun_and_ended_once(database: Database) -> None:
    organization = make_organization()
    begun = [organizations.suspend_organization(organization, acting=ACTING).suspended_at for _ in range(2)]
    assert begun[0] == begun[1] is not None
    ended = [organizations.resume_organization(organization, acting=ACTING).suspended_at for _ in range(2)]
    assert ended == [None, None]
    actions = (
        AuditRecord.objects.filter(organization_id=organization.id).order_by("at").values_list("action", flat=True)
    )
    assert list(actions)[1:] == ["orgs.suspend_organization", "orgs.resume_organization"]
