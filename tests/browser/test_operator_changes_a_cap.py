import pytest

from tests.browser.operating import Operator

pytestmark = pytest.mark.system


def test_a_lowered_cap_binds_the_next_request_and_a_raised_one_frees_it(operator: Operator) -> None:
    page, company = operator.page, operator.company
    assert company.chat().status_code == 200
    operator.open("/admin/budgets/budget/?q=Atlas").get_by_role("link", name="project Atlas").click()
    page.get_by_role("link", name="Change cap").click()
    amount = page.get_by_label("Amount")
    assert amount.input_value() == "5000.00"

    amount.fill("5000,00")
    page.get_by_role("button", name="Change cap").click()
    assert "write it like 12.50" in page.locator(".errorlist").inner_text()

    _set(operator, "0.000000001")
    assert "0.000000001 USD" in page.locator(".field-cap .readonly").inner_text()
    refused = company.chat()
    assert refused.status_code == 402
    assert refused.json()["error"]["code"] == "budget_exceeded"

    page.get_by_role("link", name="Change cap").click()
    _set(operator, "5000")
    assert company.chat().status_code == 200
    page.get_by_role("link", name="History").click()
    assert page.locator("#result_list .field-action").all_inner_texts() == [
        "budgets.change_cap", "budgets.change_cap", "budgets.set_cap",
    ]  # fmt: skip


def test_a_cap_is_set_for_a_unit_with_the_calendar(operator: Operator) -> None:
    page = operator.page
    page.get_by_role("link", name="Set a cap").click()
    page.get_by_label("Organization").select_option(label="acme")
    page.get_by_label("Unit").fill("team:Growth")
    page.get_by_label("Amount").fill("12.50")
    page.get_by_label("Period kind").select_option(label="Fixed")
    page.get_by_role("group", name="Fixed starts at").get_by_role("link", name="Today").click()
    page.get_by_role("group", name="Fixed starts at").get_by_label("Time").fill("00:00")
    page.get_by_role("group", name="Fixed ends at").get_by_label("Date").fill("2099-12-31")
    page.get_by_role("group", name="Fixed ends at").get_by_label("Time").fill("23:59:59")
    page.get_by_role("button", name="Set cap").click()
    page.get_by_text("The cap is 12.50 USD.").wait_for()
    assert page.locator(".field-fixed_ends_at .readonly").inner_text() == "2099-12-31 23:59:59 UTC"


def _set(operator: Operator, amount: str) -> None:
    operator.page.get_by_label("Amount").fill(amount)
    operator.page.get_by_label("Reason").fill("the quarter is over")
    operator.page.get_by_role("button", name="Change cap").click()
    operator.page.get_by_text("The cap is ").wait_for()
