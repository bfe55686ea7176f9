"""Ids that we make ourselves: UUIDv7, so that inserts stay local in an index and ids sort by time."""

import os
import random
import time
import uuid
from datetime import UTC, datetime

_RANDOM_BITS = 74
# Ids are unique and no secrets: a system call for each would cost more than all the rest. The system seeds it.
_RANDOM = random.Random()
os.register_at_fork(after_in_child=_RANDOM.seed)


def uuid7() -> uuid.UUID:
    """RFC 9562 version 7: 48 bits of Unix milliseconds, then 74 random bits."""
    return uuid7_at(time.time_ns() // 1_000_000)


def uuid7_at(unix_ms: int) -> uuid.UUID:
    bits = _RANDOM.getrandbits(_RANDOM_BITS)
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return uuid.UUID(int=(unix_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def uuid7_floor(at: datetime) -> uuid.UUID:
    """The smallest 128-bit value whose time is `at`: a bound of a partition, not itself an id."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)


def uuid7_time(value: uuid.UUID) -> datetime:
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)
