"""This gateway process as the database sees it: its heartbeat, and whether it may serve."""

import asyncio
import logging
import time
from uuid import UUID

import orjson
import psycopg
from django.db.migrations.loader import MigrationLoader

from apps.gateway import metrics
from apps.gateway.booking import MOST_OWED, OLDEST_BACKLOG_SECONDS, Booking
from apps.gateway.rules_store import RulesStore

log = logging.getLogger(__name__)

BEAT_SECONDS = 5
# The sweeper takes a process for dead after 30 s: nothing is admitted any more well before that.
STALE_SECONDS = 20
MONTHS_AHEAD = 2

_HEARTBEAT = """
WITH beat AS (
    INSERT INTO budgets_gatewayprocess (id, seen_at) VALUES (%s, spendra_now_v1())
    ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at)
SELECT json_build_array(
    spendra_now_v1(),
    (SELECT count(*) FROM budgets_reservation WHERE state = 'open'),
    (SELECT count(*) FROM budgets_settlequarantine WHERE resolved_at IS NULL),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_xmin IS NOT NULL),
    (SELECT min((SELECT count(*) FROM pg_inherits WHERE inhparent = parent::regclass
                 AND right(inhrelid::regclass::text, 7) > to_char(spendra_now_v1() AT TIME ZONE 'UTC', 'YYYY_MM')))
     FROM unnest(ARRAY['budgets_reservation', 'ledger_ledgerentry', 'ledger_spendevent']) parent),
    (SELECT count(*) FROM unnest(%s::text[], %s::text[]) known (app, name)
     WHERE NOT EXISTS (SELECT FROM django_migrations m WHERE m.app = known.app AND m.name = known.name)))::text
"""


class GatewayProcess:
    def __init__(self, process_id: UUID, store: RulesStore, booking: Booking) -> None:
        self.id = process_id
        self._store = store
        self._booking = booking
        self._seen_at: float | None = None
        self._months_ahead = 0
        known = sorted(MigrationLoader(None).disk_migrations or ())
        self._migrations = [app for app, _ in known], [name for _, name in known]
        self._missing_migrations = 0
        self._is_draining = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Tries once before the port opens; with Postgres away the process starts all the same, not ready."""
        await self._beat()
        self._tell()
        self._task = asyncio.create_task(self._run())

    def drain(self) -> None:
        self._is_draining = True
        self._tell()

    def is_seen(self) -> bool:
        """Whether the sweeper will leave this process's reservations alone."""
        return self._seen_at is not None and time.monotonic() - self._seen_at < STALE_SECONDS

    def reasons_not_ready(self) -> list[str]:
        reasons = []
        if self._is_draining:
            reasons.append("draining: this process is shutting down")
        if self._missing_migrations:
            reasons.append(f"migrations: {self._missing_migrations} are not applied; run manage.py migrate")
        elif not self.is_seen():
            reasons.append("database: no heartbeat was written lately")
        if self.is_seen() and self._months_ahead < MONTHS_AHEAD:
            reasons.append("partitions: fewer than two months are made ahead; is the worker running?")
        if self._booking.backlog_seconds() > OLDEST_BACKLOG_SECONDS:
            reasons.append("backlog: spend waits to be booked")
        if self._booking.backlog() >= MOST_OWED:
            reasons.append(f"backlog: {self._booking.backlog()} endings wait to be booked")
        return reasons

    def _tell(self) -> None:
        """What is true without Postgres, too."""
        metrics.ready.set(0 if self.reasons_not_ready() else 1)
        metrics.settle_backlog.set(self._booking.backlog())
        metrics.settle_backlog_seconds.labels("moving").set(self._booking.backlog_seconds())
        metrics.settle_backlog_seconds.labels("stuck").set(self._booking.stuck_seconds())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._beat()
                self._tell()
                await self._booking.look_after_lines()
            except Exception:
                # Without a heartbeat the sweeper would take this process for dead.
                log.exception("heartbeat failed")

    async def _beat(self) -> None:
        try:
            reply = await self._store.connection.ask(_HEARTBEAT, (self.id, *self._migrations))
        except psycopg.errors.UndefinedTable:
            self._missing_migrations = len(self._migrations[0])
            return
        except psycopg.Error as error:
            log.warning("heartbeat failed: %s", error)
            return
        now, open_count, quarantined, oldest, months, missing = orjson.loads(str(reply))
        # Before the port opens, too: no request is judged by this machine's own clock.
        self._store.learn_time(now)
        self._seen_at = time.monotonic()
        self._months_ahead = months
        self._missing_migrations = missing
        metrics.open_reservations.set(open_count)
        metrics.settle_quarantine.set(quarantined)
        metrics.oldest_snapshot_seconds.set(oldest)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
