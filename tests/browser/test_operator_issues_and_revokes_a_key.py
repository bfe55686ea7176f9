import pytest
from playwright.sync_api import Error

from tests.browser.operating import Operator

pytestmark = pytest.mark.system


def test_a_key_is_shown_once_works_at_once_and_is_refused_once_revoked(operator: Operator) -> None:
    page, company = operator.page, operator.company
    page.get_by_role("link", name="Issue a key").click()
    page.get_by_label("Organization").select_option(label="acme")
    page.get_by_label("Actor").fill("agent:code-reviewer")
    page.get_by_label("Grants").fill("openai/gpt-4.1-mini")
    page.get_by_role("button", name="Issue key").click()
    key = page.get_by_label("Key").input_value()
    assert key.startswith("spk_test_")
    assert company.chat(key=key).status_code == 200

    page.get_by_role("link", name="I have copied it").click()
    secret = key.rsplit("_", 1)[1]
    assert secret not in page.content()
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        page.go_back()
    page.wait_for_url("chrome-error://**")

    operator.open(f"/admin/keys/key/?q={key.split('_')[2]}").locator("#result_list tbody th a").click()
    page.get_by_role("link", name="Revoke key").click()
    page.get_by_label("Reason").fill("left on a train")
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_text("is revoked.").wait_for()
    assert page.get_by_role("link", name="Revoke key").count() == 0
    assert company.chat(key=key).status_code == 401

    page.get_by_role("link", name="History").click()
    actions = page.locator("#result_list .field-action").all_inner_texts()
    assert actions == ["keys.revoke", "keys.issue"]
    assert "left on a train" in page.locator("#result_list").inner_text()
