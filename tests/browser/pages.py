"""Which pages stand for all: each list, and of each room a row, its acts, an addition."""

from collections.abc import Iterator

from tests.browser.operating import Operator

LISTS = (
    "orgs/organization", "orgs/unit", "keys/key", "budgets/budget", "budgets/period", "budgets/reservation",
    "budgets/settlequarantine", "ledger/ledgerentry", "ledger/spendevent", "catalog/catalogmodel",
    "catalog/priceversion", "providers/provideraccount", "identity/person", "audit/auditrecord", "audit/auditlink",
    "policies/refusal", "budgets/governancechange",
)  # fmt: skip
ADDITIONS = (
    "orgs/organization", "orgs/unit", "keys/key", "budgets/budget", "catalog/priceversion", "providers/provideraccount",
)  # fmt: skip


def every_kind_of_page(operator: Operator) -> Iterator[str]:
    """Opens one after the other, and gives the path of each while it is before the operator."""
    assert operator.company.chat().status_code == 200
    for path in ("/admin/", *(f"/admin/{name}/add/" for name in ADDITIONS)):
        operator.open(path)
        yield path
    for name in LISTS:
        yield from _list_and_row(operator, f"/admin/{name}/")


def _list_and_row(operator: Operator, path: str) -> Iterator[str]:
    operator.open(path)
    yield path
    for row in operator.links(f"#result_list a[href^='{path}'][href*='/change/']")[:1]:
        operator.open(row)
        acts = operator.links(".object-tools a[href*='/act/']")
        yield row
        for act in acts:
            operator.open(act)
            yield act
