"""Every list of these rooms and every page behind it, over the demo's data, as an operator sees them."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.test import Client

from apps.audit.models import AuditLink, AuditRecord
from apps.orgs.models import Organization
from apps.outbox.models import Delivery
from spendra.development import demo_data
from spendra.kernel.governed_admin import GovernedAdmin
from spendra.kernel.ids import uuid7
from tests.databases import Database

ROOMS = {"audit", "identity", "orgs", "keys", "providers", "outbox"}
APPEND_ONLY = ("audit/auditrecord", "outbox/outboxmessage")


class Fields(HTMLParser):
    """The labels of a page, its inputs without one, and how often each id occurs."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.inputs: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids += [told["id"]] if told.get("id") else []
        if tag == "label" and told.get("for"):
            self.labelled.add(told["for"] or "")
        is_field = tag in {"input", "select", "textarea"} and "aria-label" not in told
        if is_field and told.get("type") not in {"hidden", "submit"}:
            self.inputs.add(told.get("id") or f"{tag} without an id: {told.get('name')}")


@pytest.fixture
def operator(database: Database) -> Client:
    seeded = demo_data.seed(acting="command:test")
    now = datetime.now(UTC)
    Delivery.objects.create(
        consumer="test", message_id=uuid7(), topic="test", payload={}, created_at=now, next_attempt_at=now, attempts=1
    )
    browser = Client()
    assert browser.login(username=seeded.sign_in_email, password=seeded.password)
    return browser


def test_every_list_its_search_and_each_first_row_opens(operator: Client) -> None:
    lists = [model._meta for model in admin.site._registry if model._meta.app_label in ROOMS]
    assert len(lists) == 12
    for opts in lists:
        url = f"/admin/{opts.app_label}/{opts.model_name}/"
        page = operator.get(url)
        assert page.status_code == 200, url
        assert operator.get(f"{url}?q=acme").status_code == 200, url
        first = re.search(rf'href="({url}[^"]+/change/)[^"]*"', page.content.decode())
        if opts.model.objects.exists():
            assert first is not None, url
            assert operator.get(first[1]).status_code == 200, first[1]


def test_every_act_has_a_page_whose_inputs_have_labels(operator: Client) -> None:
    for model, model_admin in admin.site._registry.items():
        if not isinstance(model_admin, GovernedAdmin) or model._meta.app_label not in ROOMS:
            continue
        url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        subject = model.objects.first()
        pages = [f"{url}{subject.pk}/act/{act}/" for act in model_admin.acts]
        for page in [*pages, *([f"{url}add/"] if model_admin.creation else [])]:
            answer = operator.get(page)
            assert answer.status_code == 200, page
            fields = Fields()
            fields.feed(answer.content.decode())
            assert fields.inputs <= fields.labelled, page
            assert len(fields.ids) == len(set(fields.ids)), page


def test_facts_are_read_only(operator: Client) -> None:
    record = AuditRecord.objects.first()
    for name in APPEND_ONLY:
        assert operator.get(f"/admin/{name}/add/").status_code == 403
    for end in ("delete", "change"):
        assert operator.post(f"/admin/audit/auditrecord/{record.pk}/{end}/", {"post": "yes"}).status_code == 403


def test_a_record_is_found_and_shows_what_changed(operator: Client) -> None:
    record = AuditRecord.objects.get(action="orgs.create_organization")
    page = operator.get(f"/admin/audit/auditrecord/{record.pk}/change/").content.decode()
    assert "&quot;time_zone&quot;: &quot;Europe/Berlin&quot;" in page
    assert bytes(AuditLink.objects.get(record_id=record.pk).hash).hex() in page
    found = operator.get("/admin/audit/auditrecord/?q=orgs.create_organization").content.decode()
    assert str(record.pk) in found
    assert "orgs.create_unit" not in found


def test_records_name_their_organization_and_are_narrowed_to_it(operator: Client) -> None:
    acme = Organization.objects.get()
    page = operator.get("/admin/audit/auditrecord/?q=orgs.create_organization").content.decode()
    assert '<td class="field-organization">acme</td>' in page
    assert str(acme.id) not in page.partition("result_list")[2].replace(f">{acme.id}</td>", "")
    listed = operator.get(f"/admin/audit/auditrecord/?organization={acme.id}").context["cl"].result_list
    assert {row.organization_slug for row in listed} == {"acme"}
    [whole_installation] = operator.get("/admin/audit/auditrecord/?q=catalog.load").context["cl"].result_list
    assert whole_installation.organization_slug is None
