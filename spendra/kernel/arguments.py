"""What commands read from single words: each is a `type` of argparse, and says how to write it where it can't."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from spendra.kernel.money import parse_usd

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def nanos(text: str) -> int:
    try:
        return parse_usd(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no duration: write it like 30d, 12h, 15m, 90s or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def instant(text: str) -> datetime:
    """In UTC; one that is in year 10000 there is refused, since neither Python nor a gateway could read it back."""
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            raise ArgumentTypeError(f"{text!r} needs a time zone: write it like 2025-11-02T14:00+01:00 or …Z")
        return read.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"{text!r} is no instant: write it like 2025-11-02T14:00+01:00") from error
