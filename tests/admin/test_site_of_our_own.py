import html

import pytest
from django.test import Client
from django_q.models import Schedule

from apps.audit.models import AuditRecord
from apps.identity.models import Person
from spendra import schedules
from tests.databases import Database
from tests.identity.signing_in import EMAIL, PASSWORD, signed_in


@pytest.fixture
def browser(database: Database) -> Client:
    return signed_in()


def test_sections_come_in_the_order_in_which_a_request_meets_them(browser: Client) -> None:
    page = browser.get("/admin/")
    assert [section["name"] for section in page.context["app_list"]] == [
        "Organizations", "Keys", "Policies", "Budgets", "Ledger", "Catalog", "Providers", "Identity", "Audit", "Outbox",
        "Background tasks",
    ]  # fmt: skip
    [budgets] = [section for section in page.context["app_list"] if section["name"] == "Budgets"]
    names = [listed["name"] for listed in budgets["models"]]
    assert names.index("Budgets") < names.index("Periods") < names.index("Reservations")
    assert "<title>Administration | Spendra</title>" in page.content.decode()


def test_tasks_are_shown_and_nobody_can_name_a_function_for_the_worker(browser: Client) -> None:
    schedules.install()
    task = Schedule.objects.get(func="apps.budgets.tasks.open_periods_ahead")
    assert task.name in browser.get("/admin/django_q/schedule/").content.decode()
    assert browser.get("/admin/django_q/schedule/add/").status_code == 403
    for kind in ("schedule", "ormq", "success", "failure"):
        assert browser.get(f"/admin/django_q/{kind}/").status_code == 200
        assert browser.get(f"/admin/django_q/{kind}/add/").status_code == 403
    assert browser.post(f"/admin/django_q/schedule/{task.pk}/change/", {"func": "os.system"}).status_code == 403
    assert browser.post(f"/admin/django_q/schedule/{task.pk}/delete/", {"post": "yes"}).status_code == 403


def test_an_id_that_no_row_can_have_leads_to_no_row(browser: Client) -> None:
    for kind in ("django_q/failure", "orgs/unit", "audit/auditrecord"):
        # As Django answers every unknown row: with a message, and back to the start.
        assert browser.get(f"/admin/{kind}/%00/change/").status_code == 302


def test_groups_are_not_there(browser: Client) -> None:
    assert browser.get("/admin/auth/group/").status_code == 404


def test_instants_have_24_hours_and_say_utc(browser: Client) -> None:
    page = browser.get(f"/admin/identity/person/{Person.objects.get().pk}/change/").content.decode()
    assert f"{Person.objects.get().created_at:%Y-%m-%d %H:%M:%S} UTC" in page


def test_a_change_of_ones_own_password_is_audited_and_keeps_the_session(browser: Client) -> None:
    fresh = "another correct horse"
    asked = {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh}
    assert browser.post("/admin/password_change/", asked).status_code == 302
    assert AuditRecord.objects.get(action="identity.set_password").actor == EMAIL
    assert browser.get("/admin/").status_code == 200
    assert Client().login(username=EMAIL, password=fresh)


def test_a_weak_password_of_ones_own_is_refused(browser: Client) -> None:
    asked = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    answer = browser.post("/admin/password_change/", asked)
    assert "too short" in html.unescape(answer.content.decode())
    assert not AuditRecord.objects.filter(action="identity.set_password").exists()


@pytest.mark.parametrize(
    ("query", "told"),
    [("", "There are no outbox messages."), ("?q=nothing", "Nothing is found.")],
)
def test_an_empty_list_says_so(browser: Client, query: str, told: str) -> None:
    assert told in browser.get(f"/admin/outbox/outboxmessage/{query}").content.decode()


def test_the_history_of_a_row_leads_to_its_audit_records_and_to_nothing_else(browser: Client) -> None:
    person = Person.objects.get()
    assert "History" in browser.get(f"/admin/identity/person/{person.pk}/change/").content.decode()
    record = AuditRecord.objects.get(action="identity.create_person")
    assert "History" not in browser.get(f"/admin/audit/auditrecord/{record.pk}/change/").content.decode()


def test_pages_carry_nothing_from_elsewhere(browser: Client) -> None:
    for page in ("/admin/", "/admin/keys/key/", "/admin/budgets/budget/add/"):
        content = browser.get(page).content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in content
        assert "https://" not in content
