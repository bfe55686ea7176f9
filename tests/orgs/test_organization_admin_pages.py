import html

from apps.audit.models import AuditRecord
from apps.orgs.models import Organization, Unit
from tests.databases import Database
from tests.identity.signing_in import EMAIL, signed_in
from tests.orgs.building import make_organization, make_unit

ORGANIZATIONS, UNITS = "/admin/orgs/organization/", "/admin/orgs/unit/"


def test_an_organization_is_added_changed_suspended_and_resumed(database: Database) -> None:
    browser = signed_in()
    fields = {
        "name": "Acme", "time_zone": "Europe/Berlin", "week_starts_on": "6", "fiscal_year_starts_month": "4",
        "default_output_tokens": "",
    }  # fmt: skip
    answer = browser.post(f"{ORGANIZATIONS}add/", {"slug": "acme", **fields}, follow=True)
    assert "The organization acme exists." in answer.content.decode()
    acme = Organization.objects.get()
    assert (acme.time_zone, acme.week_starts_on, acme.requires_cap) == ("Europe/Berlin", 6, False)
    assert acme.fiscal_year_starts_month == 4
    assert AuditRecord.objects.get(action="orgs.create_organization").actor == EMAIL

    page = f"{ORGANIZATIONS}{acme.id}/"
    assert "Sunday" in browser.get(f"{page}change/").content.decode()
    browser.post(f"{page}act/change/", {**fields, "name": "Acme GmbH", "requires_cap": "on"})
    acme.refresh_from_db()
    assert (acme.name, acme.requires_cap) == ("Acme GmbH", True)
    browser.post(f"{page}act/suspend/", {"reason": "unpaid"})
    acme.refresh_from_db()
    assert acme.suspended_at is not None
    browser.post(f"{page}act/resume/", {"reason": ""})
    acme.refresh_from_db()
    assert acme.suspended_at is None


def test_a_slug_or_zone_that_cannot_be_is_said_at_its_field(database: Database) -> None:
    make_organization("acme")
    browser = signed_in()
    for slug, zone, sentence in (
        ("acme", "UTC", "An organization acme exists already."),
        ("Acme", "UTC", "'Acme' is no slug"),
        ("globex", "Berlin", "'Berlin' is not a time zone name"),
    ):
        fields = {"slug": slug, "name": "x", "time_zone": zone, "week_starts_on": "0", "fiscal_year_starts_month": "1"}
        answer = browser.post(f"{ORGANIZATIONS}add/", fields)
        assert sentence in html.unescape(answer.content.decode())
    assert Organization.objects.count() == 1


def test_a_unit_is_added_moved_renamed_archived_and_restored(database: Database) -> None:
    acme = make_organization()
    for name in ("Data", "Ops"):
        make_unit(acme, name, kind="team")
    browser = signed_in()
    fields = {"organization": acme.id, "kind": "agent", "name": "bot", "parents": "team:Data\r\nOps\r\n"}
    browser.post(f"{UNITS}add/", fields)
    bot = Unit.objects.get(name="bot")
    page = f"{UNITS}{bot.id}/"
    assert "team Data, team Ops" in browser.get(f"{page}change/").content.decode()
    assert "team:Data\nteam:Ops" in browser.get(f"{page}act/move/").content.decode()
    browser.post(f"{page}act/move/", {"parents": "Ops"})
    assert [edge.parent.name for edge in bot.parent_edges.all()] == ["Ops"]
    browser.post(f"{page}act/rename/", {"name": "robot"})
    browser.post(f"{page}act/archive/", {"reason": "done"})
    bot.refresh_from_db()
    assert (bot.name, bot.archived_at is None) == ("robot", False)
    offered = browser.get(f"{page}change/").content.decode()
    assert "act/restore/" in offered
    assert "act/move/" not in offered
    browser.post(f"{page}act/restore/")
    bot.refresh_from_db()
    assert bot.archived_at is None


def test_a_circle_or_a_parent_of_another_organization_is_said_at_its_field(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    data = make_unit(acme, "Data", kind="team")
    ops = make_unit(acme, "Ops", kind="team", parents=[data])
    theirs = make_unit(globex, "Theirs", kind="team")
    browser = signed_in()
    for parent, sentence in (
        ("Ops", "itself or lies below it"),
        (str(theirs.id), "There is no unit"),
        ("Theirs", "There is no unit 'Theirs' in acme."),
    ):
        answer = browser.post(f"{UNITS}{data.id}/act/move/", {"parents": parent})
        assert answer.status_code == 200
        assert sentence in html.unescape(answer.content.decode())
    assert not data.parent_edges.exists()
    assert ops.parent_edges.exists()
