"""From the rules that are held to those of this moment, by what was noted to have moved since: one statement, which
sees one moment, and a copy of the parts that it touches."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Any
from uuid import UUID

from apps.gateway.routes_kept import moved_by
from apps.gateway.rules import OrganizationRules
from apps.gateway.rules_indexes import indexes_after
from apps.gateway.rules_parts import PARTS, SETTINGS, SETTINGS_TABLE, Ids, Part, settings_of

# A transaction notes no more than that, and one note for the rest (`budgets_note_change_v2`). Rules that moved further
# are loaded whole.
MOST_CHANGES = 500

_KNOWN = frozenset({SETTINGS_TABLE, *(source.table for part in PARTS for source in part.sources)})
Names = Mapping[str, Set[str]]


def _moved(part: Part) -> str:
    # As arrays: Postgres then expects few names, whatever it knows of the notes, and goes by index.
    conditions = (
        f"{source.column} = ANY (ARRAY("
        f"SELECT nullif(row_name, '')::{source.type} FROM moved WHERE table_name = '{source.table}'))"
        for source in part.sources
    )
    return part.statement.format(organization="(SELECT organization FROM held)", which=f"({' OR '.join(conditions)})")


# Asked with the organization and the number of the last note that is held.
FOLLOWING = f"""
WITH held AS MATERIALIZED (SELECT %s::uuid AS organization, %s::bigint AS last_change),
moved AS MATERIALIZED (
    SELECT seq, token, previous_token, table_name, row_name FROM budgets_governancechange
    WHERE organization_id = (SELECT organization FROM held) AND seq > (SELECT last_change FROM held)
    ORDER BY seq LIMIT {MOST_CHANGES + 1})
SELECT json_build_object(
    'token', (SELECT token FROM budgets_governanceversion WHERE id = (SELECT organization FROM held)),
    'moved', (SELECT coalesce(json_agg(json_build_array(seq, token, previous_token, table_name, row_name) ORDER BY seq),
                              '[]') FROM moved),
    'settings', ({SETTINGS.format(organization="(SELECT organization FROM held)")}),
    {", ".join(f"'{part.name}', (SELECT coalesce(json_agg(rule), '[]') FROM ({_moved(part)}) part)" for part in PARTS)}
)::text
"""


def follow(held: OrganizationRules, answer: Mapping[str, Any]) -> OrganizationRules | None:
    """The rules of the moment at which `FOLLOWING` was answered, `held` itself where nothing moved. None where the
    notes don't lead there from what is held: pruned, lost in a failover, too many, or of all there is."""
    names = _names(held.token, answer)
    if names is None or answer["settings"] is None:
        return None
    if not names:
        return held
    changed: dict[str, Any] = {}
    moved: dict[str, Set[Any]] = {}
    if SETTINGS_TABLE in names:
        changed |= settings_of(answer["settings"])
        moved[SETTINGS_TABLE] = names[SETTINGS_TABLE]
    for part in PARTS:
        if any(source.table in names for source in part.sources):
            now, moved[part.name] = _after(held, part, answer[part.name], names)
            changed |= now
    after = replace(held, token=answer["token"], last_change=answer["moved"][-1][0], routes={}, **changed)
    after.kept.note(moved_by(held, after, moved), change=after.last_change)
    return after


def _names(token: str, answer: Mapping[str, Any]) -> Names | None:
    """What moved since that token, by table: followed from token to token, so that no missing note goes unnoticed."""
    if len(answer["moved"]) > MOST_CHANGES:
        return None
    names: dict[str, set[str]] = defaultdict(set)
    for _, new_token, previous_token, table, name in answer["moved"]:
        if token not in (new_token, previous_token) or table not in _KNOWN or not name:
            return None
        token = new_token
        names[table].add(name)
    return names if token == answer["token"] else None


def _after(held: OrganizationRules, part: Part, rows: list[Any], names: Names) -> tuple[dict[str, Any], Set[Any]]:
    """The part as it is now with the index of it, and the names of the rules that differ: of a cap that was raised,
    none does, since reserve alone knows amounts."""
    ids = Ids()
    before = getattr(held, part.name)
    read = dict(part.rule(row, ids) for row in rows)
    gone = {name for name in _named(part, names) if name in before and name not in read}
    moved = gone | {name for name, rule in read.items() if before.get(name) != rule}
    now = {**before, **{name: read[name] for name in moved - gone}}
    for name in gone:
        del now[name]
    return {part.name: now} | indexes_after(held, part.name, now, moved), moved


def _named(part: Part, names: Names) -> Iterator[Any]:
    for source in part.sources:
        if source.names_rule:
            yield from (UUID(name) if source.type == "uuid" else name for name in names.get(source.table, ()))
