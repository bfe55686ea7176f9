"""Reviews that nobody decides end by themselves: a key's stale ones would leave it none to ask for, for ever."""

from django.db import connection

AFTER_DAYS = 7
_MOST_AT_ONCE = 5_000
# An approver who decides one just now has its row: it is passed over, and decided when the next run comes.
_LAPSE = """
    UPDATE policies_review SET state = 'lapsed', decided_at = spendra_now_v1() WHERE id = ANY (ARRAY(
        SELECT id FROM policies_review
        WHERE state = 'pending' AND created_at < spendra_now_v1() - make_interval(days => %s)
        ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))
"""


def lapse_reviews() -> int:
    """Ends those that were asked for longer ago; returns how many. The same request then asks for a new one.

    Locks their rows, waits for nobody; two at once share the work. More than a few thousand take several runs.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LAPSE, [AFTER_DAYS, _MOST_AT_ONCE])
        lapsed: int = cursor.rowcount
    return lapsed
