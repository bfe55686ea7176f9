import pytest

from tests.browser.operating import Operator

pytestmark = pytest.mark.system

_ROWS_OF_A_LIST = "#result_list th a[href*='/change/'], #result_list td a[href*='/change/']"


def test_every_list_one_row_of_each_and_every_act_open_without_a_fault(operator: Operator) -> None:
    assert operator.company.chat().status_code == 200
    operator.open("/admin/")
    lists = operator.links("#content-main th a")
    assert len(lists) == 36
    rows = [row for path in lists for row in _first_row(operator, path)]
    assert len(rows) >= 16
    acts = [act for row in rows for act in _acts(operator, row)]
    assert len(acts) >= 12
    for act in [*acts, *_additions(operator)]:
        operator.open(act).get_by_role("link", name="Cancel").wait_for()


def _additions(operator: Operator) -> list[str]:
    operator.open("/admin/")
    return operator.links("#content-main a.addlink")


def _first_row(operator: Operator, path: str) -> list[str]:
    page = operator.open(path)
    assert page.locator("h1").inner_text()
    assert page.locator("#result_list, .nothing").count() == 1, path
    return operator.links(_ROWS_OF_A_LIST)[:1]


def _acts(operator: Operator, path: str) -> list[str]:
    page = operator.open(path)
    assert page.locator("h1").inner_text().startswith("View "), path
    acts = operator.links(".object-tools a[href*='/act/']")
    if (history := page.get_by_role("link", name="History")).count():
        history.click()
        assert page.locator("h1").inner_text() == "Audit records"
    return acts
