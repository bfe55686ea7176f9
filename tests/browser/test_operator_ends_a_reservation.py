import threading
import time
from contextlib import suppress

import httpx
import pytest

from apps.budgets.models import Reservation
from tests.browser.operating import Operator

pytestmark = pytest.mark.system


def test_an_open_reservation_is_found_and_ended_by_hand_and_its_entry_is_one_click_away(operator: Operator) -> None:
    page = operator.page
    _stuck_request(operator)
    page.get_by_role("link", name="Open reservations").click()
    page.locator("#result_list .field-reserved_at a").first.click()
    page.get_by_role("link", name="End reservation").click()
    page.get_by_role("button", name="End reservation").click()
    assert "This field is required" in page.locator(".errorlist").inner_text()
    page.get_by_label("Reason").fill("the provider hangs")
    page.get_by_role("button", name="End reservation").click()
    page.get_by_text("are booked as estimated").wait_for()
    assert page.locator(".field-came_to .readonly").inner_text() == "expired: by_hand"

    page.get_by_role("link", name="of this reservation").click()
    assert page.locator("#result_list .field-what").all_inner_texts()[-1] == "estimated charge"
    page.go_back()
    page.get_by_role("link", name="History").click()
    assert "the provider hangs" in page.locator("#result_list").inner_text()


def _stuck_request(operator: Operator) -> None:
    def ask() -> None:
        with suppress(httpx.TimeoutException):
            operator.company.chat(sandbox="delay=60", seconds=20)

    threading.Thread(target=ask, daemon=True).start()
    deadline = time.monotonic() + 15
    while not Reservation.objects.filter(state="open").exists():
        assert time.monotonic() < deadline, "nothing was reserved"
        time.sleep(0.05)
