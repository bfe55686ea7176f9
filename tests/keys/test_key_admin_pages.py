import html
import re

from django.test import Client

from apps.audit.models import AuditRecord
from apps.keys import format as key_format
from apps.keys.models import Key
from apps.keys.queries import grants_of
from tests.databases import Database
from tests.identity.signing_in import EMAIL, signed_in
from tests.keys.building import make_key
from tests.orgs.building import make_organization, make_unit

ADD = "/admin/keys/key/add/"


def page_of(key: Key, act: str = "") -> str:
    return f"/admin/keys/key/{key.id}/" + (f"act/{act}/" if act else "change/")


def text(browser: Client, url: str) -> str:
    answer = browser.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return html.unescape(answer.content.decode())


def test_an_issued_key_is_shown_once(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "bot")
    make_unit(acme, "Atlas", kind="project")
    browser = signed_in()
    assert '<label for="id_actor">Actor:</label>' in text(browser, ADD)
    answer = browser.post(
        ADD,
        {
            "organization": acme.id,
            "actor": "bot",
            "grants": "gpt-4.1-mini\r\n\r\nanthropic/*",
            "environment_label": "production",
            "expires_after_days": "30",
            "project": "Atlas",
            "max_reservation_usd": "1.50",
            "default_output_tokens": "",
        },
    )
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    shown = re.search(r'value="(spk_test_[^"]+)"', answer.content.decode())
    assert shown is not None
    key = Key.objects.get(key_id=key_format.parse(shown[1])[0])
    assert (key.max_reservation_nanos, key.environment_label) == (1_500_000_000, "production")
    assert grants_of(key) == ["anthropic/*", "openai/gpt-4.1-mini"]
    assert AuditRecord.objects.get(action="keys.issue").actor == EMAIL
    secret = key_format.parse(shown[1])[1]
    for url in (page_of(key), "/admin/keys/key/", "/admin/audit/auditrecord/"):
        assert key.key_id in text(browser, url)
        assert secret not in text(browser, url)


def test_what_a_use_case_refuses_is_said_at_its_field(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "bot")
    browser = signed_in()
    for field, value, sentence in (
        ("actor", "nobody", "There is no agent or automation or employee or subagent 'nobody' in acme."),
        ("grants", "a b", "'a b' is no grant"),
        ("max_reservation_usd", "1,50", "'1,50' is not an amount in USD"),
    ):
        fields = {"organization": acme.id, "actor": "bot", "environment_label": "staging", field: value}
        answer = browser.post(ADD, fields)
        assert answer.status_code == 200
        assert sentence in html.unescape(answer.content.decode())
        assert "Nothing was done" in answer.content.decode()
    assert not Key.objects.exists()


def test_a_key_is_revoked_from_its_page(database: Database) -> None:
    key = make_key(make_organization()).record
    browser = signed_in()
    assert page_of(key, "revoke") in text(browser, page_of(key))
    assert "A revoked key never comes back" in text(browser, page_of(key, "revoke"))
    assert Key.objects.get().revoked_at is None
    answer = browser.post(page_of(key, "revoke"), {"reason": "leaked"}, follow=True)
    assert f"The key {key.key_id} is revoked." in answer.content.decode()
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditRecord.objects.get(action="keys.revoke").reason == "leaked"
    assert page_of(key, "revoke") not in text(browser, page_of(key))


def test_grants_are_added_and_withdrawn_from_the_page_of_a_key(database: Database) -> None:
    key = make_key(make_organization(), grants=["gpt-4.1"]).record
    browser = signed_in()
    browser.post(page_of(key, "grant"), {"patterns": "anthropic/*\nopenai/o3", "reason": ""})
    assert grants_of(key) == ["anthropic/*", "openai/gpt-4.1", "openai/o3"]
    browser.post(page_of(key, "withdraw"), {"patterns": ["anthropic/*", "openai/o3"], "reason": ""})
    assert grants_of(key) == ["openai/gpt-4.1"]
    answer = browser.post(page_of(key, "withdraw"), {"patterns": ["openai/never"], "reason": ""})
    assert "openai/never is not one of the available choices" in answer.content.decode()


def test_keys_are_found_by_what_people_remember(database: Database) -> None:
    acme = make_organization()
    wanted = make_key(acme, "reviewer", grants=["gpt-4.1"]).record
    other = make_key(acme, "scout").record
    browser = signed_in()
    for query in (wanted.key_id, "reviewer", "gpt-4.1"):
        found = text(browser, f"/admin/keys/key/?q={query}")
        assert wanted.key_id in found
        assert other.key_id not in found


def test_keys_are_listed_by_state(database: Database) -> None:
    acme = make_organization()
    active, revoked, expired = (make_key(acme, name).record for name in ("a", "b", "c"))
    Key.objects.filter(id=revoked.id).update(revoked_at=revoked.created_at)
    Key.objects.filter(id=expired.id).update(expires_at=expired.created_at)
    browser = signed_in()
    for state, wanted in (("active", active), ("revoked", revoked), ("expired", expired)):
        found = text(browser, f"/admin/keys/key/?state={state}")
        assert [key.key_id in found for key in (active, revoked, expired)] == [
            key == wanted for key in (active, revoked, expired)
        ]


def test_no_key_is_deleted_or_edited_past_its_use_cases(database: Database) -> None:
    key = make_key(make_organization()).record
    browser = signed_in()
    assert browser.post(f"/admin/keys/key/{key.id}/delete/", {"post": "yes"}).status_code == 403
    assert browser.post(page_of(key), {"key_id": "other"}).status_code == 403
    answer = browser.post("/admin/keys/key/", {"action": "delete_selected", "_selected_action": [str(key.id)]})
    assert answer.status_code in {200, 302}
    assert Key.objects.get() == key


def test_only_operators_see_or_act(database: Database) -> None:
    key = make_key(make_organization()).record
    staff = signed_in("bo@example.com", is_superuser=False)
    for url in (page_of(key), "/admin/keys/key/", ADD):
        assert staff.get(url).status_code == 403
    assert staff.post(page_of(key, "revoke"), {"reason": ""}).status_code == 403
    assert Client().post(page_of(key, "revoke"), {"reason": ""}).status_code == 302
    assert Key.objects.get().revoked_at is None


def test_the_history_of_a_key_is_its_audit_records(database: Database) -> None:
    acme = make_organization()
    key, other = make_key(acme, "a").record, make_key(acme, "b").record
    answer = signed_in().get(f"/admin/keys/key/{key.id}/history/", follow=True)
    assert key.key_id in answer.content.decode()
    assert other.key_id not in answer.content.decode()


def test_a_page_that_is_not_there_is_a_404(database: Database) -> None:
    key = make_key(make_organization()).record
    browser = signed_in()
    for url in (page_of(key, "nothing"), "/admin/keys/key/abc/act/revoke/", "/admin/keys/key/abc/history/"):
        assert browser.get(url).status_code == 404
