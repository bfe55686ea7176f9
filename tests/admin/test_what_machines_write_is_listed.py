"""What triggers, gateways and the worker write of an organization: found by it, opened, and not touched."""

import html

import pytest
from django.test import Client

from apps.audit.checkpoints import sign_checkpoints
from apps.audit.models import AuditCheckpoint, AuditLink, AuditRecord
from apps.budgets.models import GovernanceChange
from apps.orgs.models import Organization
from apps.policies.models import Refusal
from spendra.kernel.ids import uuid7
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.keys.building import make_key
from tests.orgs.building import make_organization

NOBODY = "00000000-0000-0000-0000-000000000000"
LISTS = {
    "audit/auditlink": AuditLink,
    "audit/auditcheckpoint": AuditCheckpoint,
    "budgets/governancechange": GovernanceChange,
    "policies/refusal": Refusal,
}


@pytest.fixture
def acme(database: Database) -> Organization:
    acme = make_organization()
    key = make_key(acme).record
    make_key(make_organization("globex"))
    note = "SELECT policies_note_refusals_v2(jsonb_build_array(jsonb_build_object('id', %s::uuid, 'organization_id', "
    note += "%s::uuid, 'key_id', %s::text, 'provider', 'openai', 'model', 'gpt-4.1', 'code', 'budget_exceeded', "
    note += "'message', 'The cap is 1.50 USD.', 'details', '{}'::jsonb, 'at', now())))"
    database.connect().execute(note, (uuid7(), acme.id, key.key_id))
    return acme


@pytest.fixture
def browser(acme: Organization) -> Client:
    browser = signed_in()
    sign_checkpoints()
    return browser


def test_a_list_is_narrowed_to_an_organization_and_names_it(acme: Organization, browser: Client) -> None:
    for name in LISTS:
        page = browser.get(f"/admin/{name}/?organization={acme.id}")
        slugs = {row.organization_slug for row in page.context["cl"].result_list}
        assert slugs == {"acme"}, name
        assert '<td class="field-organization">acme</td>' in page.content.decode(), name


def test_what_is_of_no_organization_says_so(acme: Organization, browser: Client) -> None:
    for name, words in (("audit/auditlink", "the whole installation"), ("budgets/governancechange", "everybody")):
        page = browser.get(f"/admin/{name}/?organization={NOBODY}").content.decode()
        assert f'<td class="field-organization">{words}</td>' in page, name
        assert '<td class="field-organization">acme</td>' not in page, name


def test_each_row_has_a_page_and_none_is_changed(acme: Organization, browser: Client) -> None:
    for name, model in LISTS.items():
        url = f"/admin/{name}/{model.objects.order_by('pk')[0].pk}"
        assert browser.get(f"{url}/change/").status_code == 200, name
        for end in ("change", "delete"):
            assert browser.post(f"{url}/{end}/", {"post": "yes"}).status_code == 403, name
        assert browser.get(f"/admin/{name}/add/").status_code == 403, name


def test_a_refusal_is_found_by_its_request_its_key_or_its_code(acme: Organization, browser: Client) -> None:
    refusal = Refusal.objects.get()
    for term in (refusal.id, refusal.key_id, "budget_exceeded"):
        [found] = browser.get(f"/admin/policies/refusal/?q={term}").context["cl"].result_list
        assert found == refusal
    assert not browser.get("/admin/policies/refusal/?q=frozen").context["cl"].result_list
    page = html.unescape(browser.get(f"/admin/policies/refusal/{refusal.id}/change/").content.decode())
    assert "The cap is 1.50 USD." in page
    assert "openai/gpt-4.1" in page


def test_a_link_leads_to_its_record(acme: Organization, browser: Client) -> None:
    record = AuditRecord.objects.get(action="keys.issue", organization_id=acme.id)
    [link] = browser.get(f"/admin/audit/auditlink/?q={record.id}").context["cl"].result_list
    page = browser.get(f"/admin/audit/auditlink/{link.pk}/change/").content.decode()
    assert f"/admin/audit/auditrecord/{record.id}/change/" in page
    assert bytes(link.hash).hex() in page


def test_links_of_an_organization_come_by_their_place(acme: Organization, browser: Client) -> None:
    rows = browser.get(f"/admin/audit/auditlink/?organization={acme.id}").context["cl"].result_list
    assert [row.place for row in rows] == list(range(len(rows), 0, -1))
