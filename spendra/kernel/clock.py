"""The time of everything that is not money: money and validity use the database's clock (`spendra_now_v1()`)."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
