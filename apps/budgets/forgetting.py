"""Windows of rate limits that nobody asks about any more. MONEY's rule for all others: archived, never deleted."""

from django.db import connection, transaction

_BATCH = 1000

# By key, so that the oldest come first. Whoever ends a reservation in one of them just now keeps it for another time.
_FORGET = """
    WITH over AS MATERIALIZED (
        SELECT id FROM budgets_period
        WHERE id >= budgets_first_short_id_v1() AND ends_at < spendra_now_v1() - interval '1 hour' AND reserved = 0
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    DELETE FROM budgets_period period USING over WHERE period.id = over.id
"""


def forget_short_periods() -> int:
    """Deletes windows of requests and tokens in a minute or an hour that ended an hour ago and hold nothing; returns
    how many. Many short transactions, which wait for nobody; several workers at once share the work."""
    forgotten = 0
    while True:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(_FORGET, [_BATCH])
            count = int(cursor.rowcount)
        forgotten += count
        if count < _BATCH:
            return forgotten
