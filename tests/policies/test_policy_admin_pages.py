import html
import json

from apps.policies.models import Approval, Freeze, Policy, PolicyVersion, Review
from tests.databases import Database
from tests.identity.signing_in import EMAIL, signed_in
from tests.keys.building import make_key
from tests.orgs.building import make_organization, make_unit
from tests.policies.asking import ask
from tests.policies.building import make_active, make_draft

POLICIES, VERSIONS = "/admin/policies/policy/", "/admin/policies/policyversion/"
FREEZES, REVIEWS = "/admin/policies/freeze/", "/admin/policies/review/"


def test_a_policy_is_added_edited_put_in_shadow_activated_and_retired(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "Data", kind="team")
    browser = signed_in()
    fields = {"organization": acme.id, "name": "cheap", "kind": "allowlist", "unit": "Data", "selector": ""}
    answer = browser.post(f"{POLICIES}add/", {**fields, "rule": '{"models": ["gpt-4.1-mini"]}'}, follow=True)
    assert "Version 1 of cheap is draft." in answer.content.decode()
    version = PolicyVersion.objects.get()
    assert (version.created_by, version.policy.unit.name) == (EMAIL, "Data")
    page = f"{VERSIONS}{version.id}/"
    assert f"{page}change/" in browser.get(f"{POLICIES}{version.policy_id}/change/").content.decode()

    said = {"selector": '{"environments": ["staging"]}', "rule": '{"models": []}', "revision": 1}
    answer = browser.post(f"{page}act/edit/", said, follow=True)
    assert "Mind: It denies every request that it is for." in answer.content.decode()
    for act, revision, state in (("shadow", 2, "shadow"), ("activate", 3, "active"), ("retire", 4, "retired")):
        assert f'name="revision" value="{revision}"' in browser.get(f"{page}act/{act}/").content.decode()
        browser.post(f"{page}act/{act}/", {"revision": revision, "reason": "enough"})
        version.refresh_from_db()
        assert version.state == state
    assert "History" in browser.get(f"{page}change/").content.decode()
    assert "policies.retire" in browser.get(f"{page}history/", follow=True).content.decode()


def test_a_new_version_begins_from_the_newest(database: Database) -> None:
    version = make_active(make_organization())
    browser, page = signed_in(), f"{POLICIES}{version.policy_id}/"
    form = html.unescape(browser.get(f"{page}act/draft/").content.decode())
    assert json.dumps(version.rule) in form
    browser.post(f"{page}act/draft/", {"revision": 2, "selector": "{}", "rule": '{"models": ["anthropic/*"]}'})
    assert Policy.objects.get().versions.get(number=2).state == "draft"
    assert "Draft a version" not in browser.get(f"{page}change/").content.decode()


def test_whoever_looked_at_an_older_policy_is_told_at_the_form(database: Database) -> None:
    version = make_draft(make_organization())
    Policy.objects.update(revision=2)
    answer = signed_in().post(f"{VERSIONS}{version.id}/act/activate/", {"revision": 1})
    assert "Somebody has changed the policy 'cheap models' since you saw it" in html.unescape(answer.content.decode())
    version.refresh_from_db()
    assert version.state == "draft"


def test_what_cannot_be_is_said_at_its_field(database: Database) -> None:
    acme, browser = make_organization(), signed_in()
    for kind, selector, rule, sentence in (
        ("allowlist", "{", "{}", "Enter a valid JSON."),
        ("allowlist", "[]", '{"models": []}', "A selector is an object"),
        ("allowlist", '{"hats": []}', '{"models": []}', "A selector has no 'hats'"),
        ("allowlist", "", "", "An allowlist needs models, tools or endpoints."),
        ("review", "", '{"above_usd": "much"}', "above_usd must be an amount in text"),
    ):
        fields = {"organization": acme.id, "name": "new", "kind": kind, "selector": selector, "rule": rule}
        assert sentence in html.unescape(browser.post(f"{POLICIES}add/", fields).content.decode())
    assert not Policy.objects.exists()
    browser.post(f"{POLICIES}add/", {"organization": acme.id, "name": "all", "kind": "review", "rule": ""})
    assert PolicyVersion.objects.get().rule == {}


def test_a_key_is_frozen_and_thawed(database: Database) -> None:
    acme = make_organization()
    key_id = make_key(acme).record.key_id
    browser = signed_in()
    fields = {"organization": acme.id, "key_id": key_id, "reason": "stolen"}
    answer = browser.post(f"{FREEZES}add/", fields, follow=True)
    assert f"The key {key_id} is frozen." in answer.content.decode()
    frozen = Freeze.objects.get()
    assert (frozen.frozen_by, frozen.reason) == (EMAIL, "stolen")
    assert key_id in browser.get(f"{FREEZES}?state=frozen").content.decode()
    assert key_id not in browser.get(f"{FREEZES}?state=thawed").content.decode()
    answer = browser.post(f"{FREEZES}add/", {**fields, "unit": "Data"})
    assert "There is no unit" in html.unescape(answer.content.decode())
    browser.post(f"{FREEZES}{frozen.id}/act/thaw/", {"reason": "found"})
    frozen.refresh_from_db()
    assert (frozen.thawed_by, frozen.thaw_reason) == (EMAIL, "found")
    assert "act/thaw/" not in browser.get(f"{FREEZES}{frozen.id}/change/").content.decode()


def test_reviews_are_approved_and_denied(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    key_id = make_key(acme).record.key_id
    first, second = ask(connection, acme, key_id=key_id), ask(connection, acme, key_id=key_id, model="gpt-5")
    browser = signed_in()
    assert 'value="3.00"' in browser.get(f"{REVIEWS}{first}/act/approve/").content.decode()
    until = {"valid_until_0": "2099-01-01", "valid_until_1": "12:00:00"}
    wrong = browser.post(f"{REVIEWS}{first}/act/approve/", {**until, "max_usd": "much"})
    assert "is not an amount in USD" in html.unescape(wrong.content.decode())
    browser.post(f"{REVIEWS}{first}/act/approve/", {**until, "max_usd": "2.50", "note_text": "go on"})
    approval = Approval.objects.get()
    assert (approval.review_id, approval.max_nanos, f"{approval.valid_until:%Y}") == (first, 2_500_000_000, "2099")
    assert "2.50 USD until 2099-01-01 12:00 UTC" in browser.get(f"{REVIEWS}{first}/change/").content.decode()
    browser.post(f"{REVIEWS}{second}/act/deny/", {"note_text": "too dear"})
    assert [(review.state, review.note) for review in Review.objects.order_by("id")] == [
        ("approved", "go on"), ("denied", "too dear"),
    ]  # fmt: skip


def test_no_page_deletes_or_writes_past_the_use_cases(database: Database) -> None:
    version = make_draft(make_organization())
    browser = signed_in()
    for page in (f"{POLICIES}{version.policy_id}", f"{VERSIONS}{version.id}"):
        assert browser.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
        assert browser.post(f"{page}/change/", {"name": "other", "state": "active"}).status_code == 403
    for listed in ("approval", "approvaluse"):
        assert browser.get(f"/admin/policies/{listed}/add/").status_code == 403
