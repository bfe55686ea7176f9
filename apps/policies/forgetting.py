"""What gateways noted of refused requests is kept for thirty days."""

from django.db import connection

_MOST_AT_ONCE = 5_000
# In parts of their own, each a short statement: a storm of refusals may have left millions.
_PRUNE = """
    DELETE FROM policies_refusal WHERE id = ANY (ARRAY(
        SELECT id FROM policies_refusal WHERE at < spendra_now_v1() - policies_refusals_kept_v1()
        ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED))
"""


def forget_refusals() -> int:
    """Removes those that are older; returns how many. Waits for nobody, and two at once share the work."""
    forgotten = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PRUNE, [_MOST_AT_ONCE])
            removed: int = cursor.rowcount
        forgotten += removed
        if removed < _MOST_AT_ONCE:
            return forgotten
