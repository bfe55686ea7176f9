import pytest

from tests.browser.operating import Operator

pytestmark = pytest.mark.system


def test_a_key_is_revoked_without_a_mouse(open_browser) -> None:
    operator: Operator = open_browser()
    page, keys = operator.open("/admin/"), operator.page.keyboard
    keys.type(operator.company.sign_in["email"])
    operator.tab_to(page.get_by_label("Password"))
    keys.type(operator.company.sign_in["password"])
    keys.press("Enter")
    page.wait_for_url("**/admin/")
    for link in (
        page.get_by_role("link", name="Keys", exact=True).last,
        page.locator("#result_list tr", has_text="nightly-report").get_by_role("link"),
        page.get_by_role("link", name="Revoke key"),
    ):
        operator.tab_to(link)
        assert _is_marked(operator)
        with page.expect_navigation():
            keys.press("Enter")
    operator.tab_to(page.get_by_label("Reason"))
    keys.type("no mouse at hand")
    operator.tab_to(page.get_by_role("button", name="Revoke key"))
    keys.press("Enter")
    page.get_by_text("is revoked.").wait_for()


def _is_marked(operator: Operator) -> bool:
    """Whether the eye finds what has the focus."""
    style = "const style = getComputedStyle(document.activeElement);"
    return operator.page.evaluate(f"() => {{ {style} return style.outlineStyle !== 'none' }}")
