"""Reads the rules of one organization, or the catalog, in one REPEATABLE READ transaction, token included.

Synchronous, on a connection and a thread of its own: a load must not hold up the event loop or a reserve.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import namedtuple_row

from apps.budgets.connecting import GIVE_UP_SILENT_SERVERS
from apps.catalog import queries as catalog_queries
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules, UnitRule

EVERYBODY = UUID(int=0)
Cursor = psycopg.Cursor[Any]


class RulesLoader:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def organization(self, organization_id: UUID) -> OrganizationRules | None:
        """The organization's rules as of now, None where there is no such organization. Raises psycopg.Error."""
        with self._snapshot() as cursor:
            token = _token(cursor, organization_id)
            return _organization(cursor, organization_id, token) if token else None

    def catalog(self) -> CatalogRules:
        with self._snapshot() as cursor:
            token = _token(cursor, EVERYBODY)
            if token is None:
                raise psycopg.OperationalError("the database has no rules yet: run manage.py migrate")
            return CatalogRules(token, catalog_queries.load_snapshot(cursor))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _snapshot(self) -> Iterator[Cursor]:
        connection = self._connected()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:
            yield cursor

    def _connected(self) -> psycopg.Connection[Any]:
        if not self._answers():
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name="spendra gateway rules",
                connect_timeout=5,
                options="-c statement_timeout=60s -c lock_timeout=5s",
                **GIVE_UP_SILENT_SERVERS,
            )
        assert self._connection is not None
        return self._connection

    def _answers(self) -> bool:
        """Loads are rare: the server may have restarted since the last one, which only a question shows."""
        if self._connection is None or self._connection.closed:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _token(cursor: Cursor, rules_id: UUID) -> str | None:
    row = cursor.execute("SELECT token FROM budgets_governanceversion WHERE id = %s", (rules_id,)).fetchone()
    return str(row.token) if row else None


def _organization(cursor: Cursor, organization_id: UUID, token: str) -> OrganizationRules | None:
    own = cursor.execute("SELECT * FROM orgs_organization WHERE id = %s", (organization_id,)).fetchone()
    if own is None:
        return None
    return OrganizationRules(
        id=organization_id,
        slug=own.slug,
        token=token,
        zone=ZoneInfo(own.time_zone),
        week_starts_on=own.week_starts_on,
        default_output_tokens=own.default_output_tokens,
        requires_cap=own.requires_cap,
        is_suspended=own.suspended_at is not None,
        units=_units(cursor, organization_id),
        parents=_parents(cursor, organization_id),
        keys=_keys(cursor, organization_id),
        budgets=_budgets(cursor, organization_id),
        accounts=_accounts(cursor, organization_id),
    )


def _units(cursor: Cursor, organization_id: UUID) -> dict[UUID, UnitRule]:
    rows = cursor.execute(
        "SELECT id, kind, name, archived_at FROM orgs_unit WHERE organization_id = %s", (organization_id,)
    )
    return {row.id: UnitRule(row.id, row.kind, row.name, row.archived_at is not None) for row in rows}


def _parents(cursor: Cursor, organization_id: UUID) -> dict[UUID, tuple[UUID, ...]]:
    parents: dict[UUID, list[UUID]] = defaultdict(list)
    for row in cursor.execute(
        "SELECT child_id, parent_id FROM orgs_unitedge WHERE organization_id = %s ORDER BY parent_id",
        (organization_id,),
    ):
        parents[row.child_id].append(row.parent_id)
    return {child: tuple(of_child) for child, of_child in parents.items()}


def _keys(cursor: Cursor, organization_id: UUID) -> dict[str, KeyRule]:
    rows = cursor.execute(
        "SELECT k.key_id, k.secret_sha256, k.actor_id, k.project_id, k.max_reservation_nanos, k.default_output_tokens, "
        "k.expires_at, k.revoked_at, coalesce(g.patterns, '{}') AS patterns "
        "FROM keys_key k LEFT JOIN (SELECT key_id, array_agg(pattern::text ORDER BY pattern) AS patterns "
        "FROM keys_grant WHERE organization_id = %(o)s GROUP BY key_id) g ON g.key_id = k.id "
        "WHERE k.organization_id = %(o)s",
        {"o": organization_id},
    )
    return {
        row.key_id: KeyRule(
            key_id=row.key_id,
            secret_sha256=bytes(row.secret_sha256),
            actor_id=row.actor_id,
            project_id=row.project_id,
            max_reservation_nanos=row.max_reservation_nanos,
            default_output_tokens=row.default_output_tokens,
            expires_at=row.expires_at,
            is_revoked=row.revoked_at is not None,
            grants=tuple(row.patterns),
        )
        for row in rows
    }


def _budgets(cursor: Cursor, organization_id: UUID) -> dict[UUID, BudgetRule]:
    rows = cursor.execute(
        "SELECT id, unit_id, applies_to_each, measure, period_kind, hardness, fixed_starts_at, fixed_ends_at "
        "FROM budgets_budget WHERE organization_id = %s AND archived_at IS NULL ORDER BY id",
        (organization_id,),
    )
    return {
        row.id: BudgetRule(
            id=row.id,
            unit_id=row.unit_id,
            applies_to_each=row.applies_to_each,
            measure=row.measure,
            period_kind=row.period_kind,
            is_hard=row.hardness == "hard",
            fixed_starts_at=row.fixed_starts_at,
            fixed_ends_at=row.fixed_ends_at,
        )
        for row in rows
    }


def _accounts(cursor: Cursor, organization_id: UUID) -> dict[str, AccountRule]:
    rows = cursor.execute(
        "SELECT provider, base_url, credential_reference FROM providers_provideraccount "
        "WHERE organization_id = %s AND archived_at IS NULL",
        (organization_id,),
    )
    return {row.provider: AccountRule(row.base_url, row.credential_reference) for row in rows}
