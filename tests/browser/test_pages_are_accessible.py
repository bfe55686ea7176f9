import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.operating import Operator
from tests.browser.pages import every_kind_of_page

pytestmark = pytest.mark.system


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(open_browser, scheme: str) -> None:
    operator: Operator = open_browser(color_scheme=scheme)
    operator.open("/admin/login/")
    found = _violations(operator.page)
    operator.sign_in()
    for _ in every_kind_of_page(operator):
        found += _violations(operator.page)
    assert found == []


def _violations(page: Page) -> list[str]:
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    return [f"{page.url} {one['id']}: {node['html'][:200]}" for one in serious for node in one["nodes"]]
