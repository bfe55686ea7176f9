"""The one definition of every rollup: what a ledger entry adds to which rows. Counting an entry and recounting a range
are built from it, so that they can't differ."""

from dataclasses import dataclass

_SUMS = ("amount_nanos", "tokens", "requests", "entries")


@dataclass(frozen=True, slots=True)
class Grain:
    """`keys` are the columns of the primary key, in its order; `values` what an entry `e` has for them, over `spread`,
    which makes a row for each scope or period of the entry."""

    table: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    spread: str


_SCOPES = "CROSS JOIN LATERAL unnest(e.scope_ids) AS scope (id)"
# Looked up before the scopes are spread: once an entry.
_DAY = """CROSS JOIN LATERAL (
    SELECT day FROM ledger_localday d WHERE d.organization_id = e.organization_id AND d.starts_at <= e.occurred_at
    ORDER BY d.starts_at DESC LIMIT 1) AS local"""
# A key belongs to one actor: the rows of the actor carry it, those of wider scopes are the sums of all their keys.
_OWN_KEY = "CASE WHEN scope.id = e.actor_id THEN e.key_id ELSE '' END"

HOUR = Grain(
    "ledger_hourrollup",
    ("organization_id", "scope_id", "hour", "provider", "model", "key_id", "status"),
    ("e.organization_id", "scope.id", "date_trunc('hour', e.occurred_at, 'UTC')", "e.provider", "e.model", _OWN_KEY,
     "e.status"),
    _SCOPES,
)  # fmt: skip
DAY = Grain(
    "ledger_dayrollup",
    ("organization_id", "scope_id", "day", "provider", "model", "key_id", "status"),
    ("e.organization_id", "scope.id", "local.day", "e.provider", "e.model", _OWN_KEY, "e.status"),
    f"{_DAY} {_SCOPES}",
)
KEY = Grain(
    "ledger_keyrollup",
    ("organization_id", "scope_id", "day", "key_id", "status"),
    ("e.organization_id", "scope.id", "local.day", "e.key_id", "e.status"),
    f"{_DAY} {_SCOPES}",
)
PERIOD = Grain(
    "ledger_periodrollup",
    ("organization_id", "period_id", "provider", "model", "key_id", "status"),
    ("e.organization_id", "period.id", "e.provider", "e.model", "e.key_id", "e.status"),
    "CROSS JOIN LATERAL unnest(e.period_ids) AS period (id)",
)


def count(grain: Grain, *, entries: str, where: str = "true") -> str:
    """Adds the entries that the query `entries` finds. Rows are taken in the order of their keys, so that two relays
    can't deadlock."""
    return _add(grain, f"SELECT * FROM ({_sums(grain, entries, where)}) AS added ({_columns(grain)})")


def recount(grain: Grain, *, entries: str, stored: str, where: str = "true") -> str:
    """Adds the difference between what `entries` say and what the rows say for which `stored` holds.

    One statement, so one moment for both. Rows that were counted up meanwhile keep that: sums are added to, never set.
    """
    keys, sums = ", ".join(grain.keys), ", ".join(_SUMS)
    differences = ", ".join(f"coalesce(r.{name}, 0) - coalesce(s.{name}, 0)" for name in _SUMS)
    right, kept = (", ".join(f"{side}.{name}" for name in _SUMS) for side in "rs")
    return _add(
        grain,
        f"""SELECT {keys}, {differences}
        FROM (SELECT * FROM ({_sums(grain, entries, where)}) AS counted ({_columns(grain)})) r
        FULL JOIN (SELECT {keys}, {sums} FROM {grain.table} WHERE {stored}) s USING ({keys})
        WHERE ({right}) IS DISTINCT FROM ({kept})""",
    )


def forget_empty(grain: Grain, *, stored: str) -> str:
    """No entry stands behind these rows: each adds one to `entries`, and none ever takes one away."""
    return f"DELETE FROM {grain.table} WHERE {stored} AND entries = 0"


def _sums(grain: Grain, entries: str, where: str) -> str:
    return f"""SELECT {", ".join(grain.values)}, sum(e.amount_nanos)::bigint, sum(e.tokens)::bigint,
        sum(CASE WHEN e.kind = 'charge' THEN 1 WHEN e.cause = 'late_void' THEN -1 ELSE 0 END)::bigint, count(*)
        FROM ({entries}) e {grain.spread} WHERE {where}
        GROUP BY {", ".join(str(n) for n in range(1, len(grain.keys) + 1))}"""


def _add(grain: Grain, query: str) -> str:
    keys = ", ".join(grain.keys)
    return f"""INSERT INTO {grain.table} AS kept ({_columns(grain)})
        SELECT * FROM ({query}) AS sorted ({_columns(grain)}) ORDER BY {keys}
        ON CONFLICT ({keys}) DO UPDATE SET {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in _SUMS)}"""


def _columns(grain: Grain) -> str:
    return ", ".join((*grain.keys, *_SUMS))
