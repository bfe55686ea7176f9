import pytest

from tests.browser.operating import Operator
from tests.browser.pages import every_kind_of_page

pytestmark = pytest.mark.system


def test_no_page_scrolls_sideways_on_a_phone(open_browser) -> None:
    operator: Operator = open_browser(viewport={"width": 390, "height": 844})
    operator.sign_in()
    page = operator.page
    for path in every_kind_of_page(operator):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.locator("#content").bounding_box()["width"] > 350, path
