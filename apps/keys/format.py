"""How a key is written: `spk_live_<key_id>_<secret>`, the last six characters a checksum over all that precedes them.

Pure and on the hot path: a typo or a foreign key is told apart here, before anything is looked up.
"""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass
from zlib import crc32

from spendra.kernel.errors import KeyRejected

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY_ID_LENGTH = 16
_SECRET_LENGTH = 43  # 43 base62 characters hold 256 bits
_CHECKSUM_LENGTH = 6
_LENGTH = len("spk_live_") + _KEY_ID_LENGTH + len("_") + _SECRET_LENGTH + _CHECKSUM_LENGTH

_WHOLE_KEY = re.compile(
    rf"(spk_(?:live|test)_([0-9A-Za-z]{{{_KEY_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}}))"
    rf"([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)
# Two digits at a time: half the divisions.
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


@dataclass(frozen=True, slots=True)
class MintedKey:
    key: str
    key_id: str
    secret: str


def mint(*, live: bool) -> MintedKey:
    key_id, secret = _random(_KEY_ID_LENGTH), _random(_SECRET_LENGTH)
    body = f"spk_{'live' if live else 'test'}_{key_id}_{secret}"
    return MintedKey(key=body + _checksum(body), key_id=key_id, secret=secret)


def parse(presented: str) -> tuple[str, str]:
    """(key_id, secret) of a well-formed key. KeyRejected says what is wrong, and never repeats what was presented."""
    match = _WHOLE_KEY.fullmatch(presented)
    if match is None:
        raise KeyRejected(_why_not_a_key(presented))
    body, key_id, secret, checksum = match.groups()
    if checksum != _checksum(body):
        raise KeyRejected("This Spendra key is mistyped: its checksum is wrong. Copy it again, whole.")
    return key_id, secret


def secret_hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    rest, low = divmod(crc32(body.encode()), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _why_not_a_key(presented: str) -> str:
    if not presented.strip():
        return "The key is empty: send a Spendra key, spk_live_… or spk_test_…."
    if not presented.startswith(("spk_live_", "spk_test_")):
        return "This is not a Spendra key: one begins with spk_live_ or spk_test_. Do not send a provider's own key."
    if len(presented) != _LENGTH:
        return f"This Spendra key has {len(presented)} characters instead of {_LENGTH}. Copy it again, whole."
    return "This Spendra key is mistyped: it has characters that no key has. Copy it again, whole."
