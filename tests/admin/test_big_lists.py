"""Lists of tables that grow with traffic read a bounded stretch, by an index, wherever one is and whatever one asks."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.audit.models import AuditRecord
from apps.budgets.models import Budget
from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization
from spendra.kernel.big_table_admin import BigTable
from tests.admin import many_rows
from tests.budgets import money
from tests.databases import Database
from tests.identity.signing_in import signed_in

ROWS, LOOKED_AT = 3_000, 250
# What one statement may read: a stretch, a page and the row that tells that there are more.
BOUND = LOOKED_AT + 51
AUDIT, ENTRIES = "/admin/audit/auditrecord/", "/admin/ledger/ledgerentry/"


@pytest.fixture
def browser(database: Database, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("spendra.kernel.keyset_admin.MOST_LOOKED_AT", LOOKED_AT)
    for place, id in enumerate(many_rows.ORGANIZATIONS):
        company = Organization.objects.create(id=id, slug=f"company-{place}", name="Company")
    budget = money.make_budget(company, cap=1)
    with database.connect() as plain:
        many_rows.fill(plain, ROWS, budget=budget.id)
    return signed_in()


def url_of(model_admin: BigTable) -> str:
    return f"/admin/{model_admin.opts.app_label}/{model_admin.opts.model_name}/"


def big_tables() -> list[BigTable]:
    return [model_admin for model_admin in admin.site._registry.values() if isinstance(model_admin, BigTable)]


def queries_asked(model_admin: BigTable) -> Iterator[str]:
    """All that a list offers: its filters alone, in pairs, and terms that are there, that are rare and that are not."""
    row = model_admin.model.objects.order_by("pk").first()
    terms = [
        str(row.pk) if row else "7",
        many_rows.RARE,
        str(Budget.objects.get().id),
        "rare",
        "eve@example.com",
        "keys.issue",
        "key-3",
        "nothing",
    ]
    yield from ("", *(f"q={quote(term)}" for term in terms))
    offered = [f"organization={id}" for id in many_rows.ORGANIZATIONS]
    offered += [f"{name}__exact={value}" for name in ("status", "kind") for value in ("final", "estimated", "charge")]
    offered += ["state=open", "window=current", f"q=rare&organization={many_rows.RARE}"]
    offered += [f"status__exact=estimated&organization={many_rows.FREQUENT}", "state=open&q=rare"]
    yield from offered


def reads_of(plan: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Each node of a plan that touches a table, with the rows that it had in hand."""
    if "Relation Name" in plan or "Index Name" in plan:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        yield (
            f"{plan['Node Type']} of {plan.get('Relation Name')}",
            plan["Actual Rows"] * plan["Actual Loops"] + removed,
        )
    for below in plan.get("Plans", []):
        yield from reads_of(below)


def too_much(statements: list[str]) -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for sql in statements:
            if not sql.startswith("SELECT"):
                continue
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".replace("%", "%%"))
            [plan] = cursor.fetchone()[0]
            found += [f"{node}: {rows} rows: {sql}" for node, rows in reads_of(plan["Plan"]) if rows > BOUND]
    return found


def test_no_page_of_a_list_reads_more_than_a_stretch(browser: Client) -> None:
    for model_admin in big_tables():
        for query in queries_asked(model_admin):
            address = f"{url_of(model_admin)}?{query}"
            older = asked_for_a_page(browser, address)
            if older is not None:
                asked_for_a_page(browser, url_of(model_admin) + older)


def asked_for_a_page(browser: Client, address: str) -> str | None:
    """Where the next one is, having seen what this one read; None also for a filter that the list does not offer."""
    with CaptureQueriesContext(connection) as asked:
        page = browser.get(address)
    if page.status_code == 400:
        return None
    assert page.status_code == 200, address
    assert too_much([query["sql"] for query in asked]) == [], address
    older: str | None = page.context["cl"].older_url
    return older


def test_the_list_of_budgets_reads_few_of_their_windows(browser: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert browser.get("/admin/budgets/budget/").status_code == 200
    assert too_much([query["sql"] for query in asked]) == []


def test_the_big_tables_are_these() -> None:
    assert {model_admin.opts.model_name for model_admin in big_tables()} >= {
        "auditrecord", "auditlink", "auditcheckpoint", "outboxmessage", "ledgerentry", "spendevent", "period",
        "reservation", "settlequarantine", "governancechange", "refusal",
    }  # fmt: skip


def walked(browser: Client, url: str, query: str | None = "?") -> list[Any]:
    found: list[Any] = []
    while query is not None:
        listed = browser.get(url + query).context["cl"]
        found += [row.pk for row in listed.result_list]
        query = listed.older_url
    return found


def test_older_leads_through_every_row_once_newest_first(browser: Client) -> None:
    estimated = LedgerEntry.objects.filter(status="estimated")
    assert walked(browser, ENTRIES, "?status__exact=estimated") == list(
        estimated.order_by("-id").values_list("id", flat=True)
    )
    rare = AuditRecord.objects.filter(organization_id=many_rows.RARE)
    assert walked(browser, AUDIT, f"?organization={many_rows.RARE}") == list(
        rare.order_by("-id").values_list("id", flat=True)
    )
    of_organization = LedgerEntry.objects.filter(organization_id=many_rows.FREQUENT).order_by("-booked_at", "-id")
    first = browser.get(f"{ENTRIES}?organization={many_rows.FREQUENT}").context["cl"]
    second = browser.get(ENTRIES + first.older_url).context["cl"]
    listed = [row.pk for row in [*first.result_list, *second.result_list]]
    assert listed == list(of_organization.values_list("id", flat=True)[:100])


def test_what_comes_meanwhile_moves_no_page(browser: Client) -> None:
    first = browser.get(AUDIT).context["cl"]
    following = [row.pk for row in browser.get(AUDIT + first.older_url).context["cl"].result_list]
    signed_in("bo@example.com")
    assert [row.pk for row in browser.get(AUDIT + first.older_url).context["cl"].result_list] == following


def test_a_page_says_how_far_it_looked_and_leads_on(browser: Client) -> None:
    page = browser.get(f"{ENTRIES}?status__exact=estimated").content.decode()
    assert "Nothing is found yet." in page
    assert re.search(r"0 ledger entries\s+among the 250 looked through", page)
    assert ">look further back</a>" in page
    assert ">Older</a>" in browser.get(ENTRIES).content.decode()


def test_a_deep_page_leads_back_to_the_newest(browser: Client) -> None:
    listed = browser.get(f"{ENTRIES}?kind__exact=charge").context["cl"]
    deep = browser.get(ENTRIES + listed.older_url)
    assert f'href="{ENTRIES}' not in deep.context["cl"].newest_url
    assert deep.context["cl"].newest_url == "?kind__exact=charge"
    assert ">Newest</a>" in deep.content.decode()


def test_a_place_that_is_none_leads_back_to_the_list(browser: Client) -> None:
    for before in ("", "nonsense", "1,2", "2026-01-01", "'", "%00", "9" * 40):
        for url in (AUDIT, ENTRIES, "/admin/budgets/period/"):
            assert browser.get(f"{url}?before={before}", follow=True).status_code == 200, (url, before)


def test_no_url_sorts_by_a_column_or_looks_into_one_without_an_index(browser: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(f"{ENTRIES}?o=2&_facets=True").status_code == 200
    assert too_much([query["sql"] for query in asked]) == []
    for lookup in ("reason__icontains=x", "at__gte=2020-01-01", "actor__contains=a", "before__x=1"):
        assert browser.get(f"{AUDIT}?{lookup}").status_code in {302, 400}, lookup
