"""The two clocks: the process's own, and the database's, by which money and validity go."""

from datetime import UTC, datetime

from django.db import connection


def now() -> datetime:
    return datetime.now(UTC)


def database_now() -> datetime:
    """The clock of money and validity, `spendra_now_v1()`. One statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT spendra_now_v1()")
        now: datetime = cursor.fetchone()[0]
        return now
