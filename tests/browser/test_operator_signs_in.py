import pytest

from apps.audit.models import AuditRecord
from tests.browser.operating import Operator

pytestmark = pytest.mark.system


def test_a_wrong_password_is_told_and_the_right_one_opens_the_site(open_browser) -> None:
    operator = open_browser()
    operator.sign_in("not the password")
    note = operator.page.locator(".errornote")
    assert "Please enter the correct email and password" in note.inner_text()
    operator.sign_in()
    assert operator.page.title() == "Administration | Spendra"
    sections = operator.page.locator("#content-main caption").all_inner_texts()
    assert [section.title() for section in sections] == [
        "Organizations", "Keys", "Policies", "Budgets", "Ledger", "Catalog", "Providers", "Identity", "Audit", "Outbox",
        "Background Tasks",
    ]  # fmt: skip


def test_who_signs_out_sees_nothing_any_more(operator: Operator) -> None:
    operator.page.get_by_role("button", name="Log out").click()
    operator.page.get_by_text("You have been logged out").or_(
        operator.page.get_by_text("Log in again")
    ).first.wait_for()
    operator.open("/admin/keys/key/")
    assert "/admin/login/" in operator.page.url


def test_a_changed_password_of_ones_own_keeps_the_session_and_is_audited(operator: Operator) -> None:
    page, sign_in = operator.page, operator.company.sign_in
    page.get_by_role("link", name="Change password").click()
    page.get_by_label("Old password").fill(sign_in["password"])
    page.get_by_label("New password:").fill("a brand new password of mine")
    page.get_by_label("New password confirmation").fill("a brand new password of mine")
    page.get_by_role("button", name="Change my password").click()
    page.get_by_text("Your password was changed").wait_for()
    sign_in["password"] = "a brand new password of mine"
    operator.open("/admin/")
    assert page.title() == "Administration | Spendra"
    assert AuditRecord.objects.filter(action="identity.set_password", actor=sign_in["email"]).count() == 1
