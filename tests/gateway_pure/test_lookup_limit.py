import pytest

from apps.gateway.rules_store import UNKNOWN_KEYS_A_SECOND, LookupLimit


def test_an_address_has_its_share_of_a_second_and_others_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.gateway.rules_store.time.monotonic", lambda: 7.0)
    limit = LookupLimit()
    for _ in range(UNKNOWN_KEYS_A_SECOND):
        assert not limit.is_over("192.0.2.1")
        limit.count("192.0.2.1")
    assert limit.is_over("192.0.2.1")
    assert not limit.is_over("192.0.2.2")
    monkeypatch.setattr("apps.gateway.rules_store.time.monotonic", lambda: 8.0)
    assert not limit.is_over("192.0.2.1")
