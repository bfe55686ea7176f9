"""Which pages stand for all: each list, and of each room a row, an act, an addition."""

from tests.browser.operating import Operator

LISTS = (
    "orgs/organization", "orgs/unit", "keys/key", "budgets/budget", "budgets/period", "budgets/reservation",
    "budgets/settlequarantine", "ledger/ledgerentry", "ledger/spendevent", "catalog/catalogmodel",
    "catalog/priceversion", "providers/provideraccount", "identity/person", "audit/auditrecord",
)  # fmt: skip
ADDITIONS = ("orgs/organization", "orgs/unit", "keys/key", "budgets/budget", "providers/provideraccount")


def every_kind_of_page(operator: Operator) -> list[str]:
    assert operator.company.chat().status_code == 200
    paths = ["/admin/", *(f"/admin/{name}/" for name in LISTS), *(f"/admin/{name}/add/" for name in ADDITIONS)]
    for name in LISTS:
        operator.open(f"/admin/{name}/")
        rows = operator.links(f"#result_list a[href^='/admin/{name}/'][href*='/change/']")[:1]
        paths += rows
        for row in rows:
            operator.open(row)
            paths += operator.links(".object-tools a[href*='/act/']")
    return paths
