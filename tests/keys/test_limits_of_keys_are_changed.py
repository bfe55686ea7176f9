from datetime import timedelta

import pytest

from apps.audit.models import AuditRecord
from apps.keys import changing, revoking
from apps.keys.models import Key
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Invalid, NotFound
from tests.commands.running import run_json
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization


def test_what_is_named_changes_and_the_rest_stays(database: Database) -> None:
    key_id = make_key(make_organization(), max_reservation_nanos=5, default_output_tokens=7).record.key_id
    until = database_now() + timedelta(days=1)
    changing.change_limits(key_id, max_reservation_nanos=6, expires_at=until, acting=ACTING, reason="as agreed")
    key = changing.change_limits(key_id, default_output_tokens=None, acting=ACTING)
    assert (key.max_reservation_nanos, key.default_output_tokens, key.expires_at) == (6, None, until)
    changing.change_limits(key_id, max_reservation_nanos=6, acting=ACTING)  # nothing new, and nothing to record
    first, second = AuditRecord.objects.filter(action="keys.change_limits").order_by("at")
    assert (first.reason, first.before["max_reservation_nanos"], first.after["max_reservation_nanos"]) == (
        "as agreed", "5", "6",
    )  # fmt: skip
    assert (second.before["default_output_tokens"], second.after["default_output_tokens"]) == (7, None)


def test_what_cannot_be_is_refused_and_nothing_changes(database: Database) -> None:
    key_id = make_key(make_organization()).record.key_id
    refused: tuple[tuple[changing.Limits, str], ...] = (
        ({"max_reservation_nanos": 0}, "must be above 0"),
        ({"default_output_tokens": 2**31}, "must be 1 to"),
        ({"expires_at": database_now()}, "choose a time to come"),
    )
    for changes, sentence in refused:
        with pytest.raises(Invalid, match=sentence):
            changing.change_limits(key_id, acting=ACTING, **changes)
    key = Key.objects.get(key_id=key_id)
    assert (key.max_reservation_nanos, key.default_output_tokens, key.expires_at) == (None, None, None)
    assert not AuditRecord.objects.filter(action="keys.change_limits").exists()


def test_a_revoked_key_and_that_of_another_organization_stay(database: Database) -> None:
    key_id = make_key(make_organization()).record.key_id
    with pytest.raises(NotFound):
        changing.change_limits(key_id, organization=make_organization("globex"), max_reservation_nanos=1, acting=ACTING)
    revoking.revoke(key_id, acting=ACTING)
    with pytest.raises(Invalid, match="is revoked"):
        changing.change_limits(key_id, max_reservation_nanos=1, acting=ACTING)


def test_a_script_changes_limits_and_grants_at_once_or_nothing(database: Database) -> None:
    key_id = make_key(make_organization(), grants=["gpt-4.1"], max_reservation_nanos=5).record.key_id
    changed = run_json(
        "key_change", key_id, "--organization", "acme", "--max-reservation-usd", "none", "--default-output-tokens",
        "100", "--expires-in", "2d", "--grant", "anthropic/*", "--withdraw", "gpt-4.1",
    )  # fmt: skip
    assert (changed["max_reservation_nanos"], changed["default_output_tokens"]) == (None, 100)
    assert changed["grants"] == ["anthropic/*"]
    assert changed["expires_at"] is not None
    refused = run_json("key_change", key_id, "--expires-in", "none", "--withdraw", "openai/none", exit_code=1)
    assert refused["error"]["code"] == "not_found"
    assert run_json("key_change", key_id)["expires_at"] == changed["expires_at"]


def test_an_operator_changes_limits_on_a_page(database: Database) -> None:
    key, browser = make_key(make_organization(), max_reservation_nanos=1_500_000_000).record, signed_in()
    page = f"/admin/keys/key/{key.id}/act/limits/"
    assert 'value="1.50"' in browser.get(page).content.decode()
    fields = {"max_reservation_usd": "", "default_output_tokens": "200", "reason": "asked for"}
    late = {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
    assert "choose a time to come" in browser.post(page, {**fields, **late}).content.decode()
    answer = browser.post(page, {**fields, "expires_at_0": "2999-01-31", "expires_at_1": "12:00"}, follow=True)
    assert f"The limits of the key {key.key_id} are changed." in answer.content.decode()
    key.refresh_from_db()
    assert (key.max_reservation_nanos, key.default_output_tokens) == (None, 200)
    assert str(key.expires_at) == "2999-01-31 12:00:00+00:00"


def test_the_page_leaves_an_expiry_that_nobody_touched(database: Database) -> None:
    key, browser = make_key(make_organization()).record, signed_in()
    expired = (database_now() - timedelta(days=1)).replace(microsecond=5)
    Key.objects.filter(id=key.id).update(expires_at=expired)
    shown = {"expires_at_0": f"{expired:%Y-%m-%d}", "expires_at_1": f"{expired:%H:%M:%S}"}
    page = f"/admin/keys/key/{key.id}/act/limits/"
    assert f'value="{shown["expires_at_1"]}"' in browser.get(page).content.decode()
    browser.post(page, {"max_reservation_usd": "2", "default_output_tokens": "", "reason": "", **shown})
    key.refresh_from_db()
    assert (key.max_reservation_nanos, key.expires_at) == (2_000_000_000, expired)
