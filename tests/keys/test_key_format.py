import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.keys import format as key_format
from spendra.kernel.errors import KeyRejected

_BODY = f"spk_live_{'Ab1' * 5}z_{'0aZ' * 14}7"
KEY = key_format.MintedKey(_BODY + key_format._checksum(_BODY), key_id=f"{'Ab1' * 5}z", secret=f"{'0aZ' * 14}7")


@pytest.mark.parametrize(("live", "prefix"), [(True, "spk_live_"), (False, "spk_test_")])
def test_a_minted_key_is_read_back(live: bool, prefix: str) -> None:
    minted = key_format.mint(live=live)
    assert minted.key.startswith(f"{prefix}{minted.key_id}_{minted.secret}")
    assert re.fullmatch(r"spk_(live|test)_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", minted.key)
    assert key_format.parse(minted.key) == (minted.key_id, minted.secret)


def test_no_two_keys_are_alike() -> None:
    minted = [key_format.mint(live=True) for _ in range(500)]
    assert len({key.key_id for key in minted}) == len({key.secret for key in minted}) == 500


def test_a_secret_holds_256_bits_and_is_kept_as_its_sha256() -> None:
    assert 62 ** len(KEY.secret) > 2**256
    assert key_format.secret_hash(KEY.secret) == hashlib.sha256(KEY.secret.encode()).digest()


@pytest.mark.parametrize(
    ("presented", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("sk-proj-abc", "is not a Spendra key"),
        ("SPK_LIVE_" + KEY.key[9:], "is not a Spendra key"),
        (KEY.key[:-1], "has 74 characters instead of 75"),
        (KEY.key + "0", "has 76 characters instead of 75"),
        (KEY.key + "\n", "has 76 characters instead of 75"),
        (KEY.key[:-1] + "-", "characters that no key has"),
        (KEY.key[:-1] + "é", "characters that no key has"),
        ("spk_live_" + "_" * 66, "characters that no key has"),
    ],
)
def test_what_is_no_key_is_told_apart_and_not_repeated(presented: str, reason: str) -> None:
    with pytest.raises(KeyRejected, match=reason) as refusal:
        key_format.parse(presented)
    assert KEY.secret not in refusal.value.message


@given(
    st.integers(9, len(KEY.key) - 1), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
)
def test_one_wrong_character_is_noticed_offline(place: int, character: str) -> None:
    if KEY.key[place] in ("_", character):
        return
    with pytest.raises(KeyRejected, match="checksum is wrong"):
        key_format.parse(KEY.key[:place] + character + KEY.key[place + 1 :])


def test_two_exchanged_characters_and_another_prefix_are_noticed_offline() -> None:
    exchanged = KEY.key[:30] + KEY.key[31] + KEY.key[30] + KEY.key[32:]
    for presented in {exchanged, KEY.key.replace("spk_live_", "spk_test_")} - {KEY.key}:
        with pytest.raises(KeyRejected, match="checksum is wrong"):
            key_format.parse(presented)


@given(st.text())
def test_any_text_gets_a_sentence(presented: str) -> None:
    with pytest.raises(KeyRejected):
        key_format.parse(presented)
