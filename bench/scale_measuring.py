"""What a ledger of millions costs to keep, to ask and to prove. Acts on DATABASE_URL, a copy that is thrown away
afterwards: it rebuilds the rollups and archives the month. Prints one JSON object."""

import argparse
import itertools
import json
import os
import secrets
import statistics
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import django
import psycopg

django.setup()

from django.test import Client  # noqa: E402

from apps.budgets import queries as budget_queries  # noqa: E402
from apps.budgets import retention_archiving, verifying  # noqa: E402
from apps.budgets.models import Period, Reservation  # noqa: E402
from apps.identity.people import create_person  # noqa: E402
from apps.ledger import queries, rollups_rebuilding  # noqa: E402
from apps.ledger.models import KeyRollup, LedgerEntry  # noqa: E402
from apps.orgs.models import Organization, Unit  # noqa: E402
from spendra.consumers import reported_periods  # noqa: E402

CALLS = 15
TABLES = ("budgets_reservation", "ledger_ledgerentry", "ledger_spendevent")
ROLLUPS = ("ledger_hourrollup", "ledger_dayrollup", "ledger_keyrollup", "ledger_periodrollup")

# Of a partitioned table all of its partitions; of a plain one itself. Heap is with what is stored beside it.
_SIZES = """
    SELECT coalesce(sum(pg_table_size(part)), 0)::bigint, coalesce(sum(pg_indexes_size(part)), 0)::bigint
    FROM (SELECT inhrelid AS part FROM pg_inherits WHERE inhparent = %(table)s::regclass
          UNION ALL SELECT %(table)s::regclass) parts
"""
_PROVABLE_IN = "SELECT 62 - extract(epoch FROM spendra_now_v1() - max(booked_at))::float FROM ledger_ledgerentry"
Session = psycopg.Connection[Any]


def sizes(session: Session, tables: tuple[str, ...]) -> dict[str, dict[str, int]]:
    found = {}
    for table in tables:
        [(rows,)] = session.execute(f"SELECT count(*) FROM {table}").fetchall()
        [(heap, indexes)] = session.execute(_SIZES, {"table": table}).fetchall()
        found[table] = {"rows": rows, "heap": heap, "indexes": indexes}
    return found


def timed(work: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    work()
    return time.perf_counter() - began_at


def median_ms(ask: Callable[[], object]) -> float:
    """With its round trips and Django's objects."""
    return statistics.median(timed(ask) * 1000 for _ in range(CALLS))


class Asked:
    """Who and what is asked about: the organization that has spent, an agent of it, and a request in the middle."""

    def __init__(self, slug: str) -> None:
        self.organization = Organization.objects.get(slug=slug)
        ids = (
            Reservation.objects.filter(organization_id=self.organization.id).order_by("id").values_list("id", flat=True)
        )
        self.middle = ids[ids.count() // 2]
        self.entry = LedgerEntry.objects.get(reservation_id=self.middle)
        self.agent = Unit.objects.get(id=self.entry.actor_id)
        self.month = self.entry.booked_at.date().replace(day=1)
        wide = Period.objects.filter(organization_id=self.organization.id, budget__unit=None, settled__gt=0)
        self.period = wide.order_by("id")[0]

    def questions(self) -> dict[tuple[str, str], Callable[[], object]]:
        """What is asked, and what it reads."""
        ours, agent = self.organization, self.agent.id
        span: dict[str, date] = {"since": self.month, "until": self.month + timedelta(days=30)}
        at = self.entry.booked_at
        hours: dict[str, datetime] = {"since": at - timedelta(hours=48), "until": at}
        return {
            ("days of the organization, a month", "rollup by day"): lambda: queries.spent_by_day(
                ours, scope_id=ours.id, **span
            ),
            ("days of an agent, a month", "rollup by day"): lambda: queries.spent_by_day(ours, scope_id=agent, **span),
            ("hours of the organization, two days", "rollup by hour"): lambda: queries.spent_by_hour(
                ours, scope_id=ours.id, **hours
            ),
            ("top models of the organization, a month", "rollup by day"): lambda: queries.top_models(
                ours, scope_id=ours.id, **span
            ),
            ("top keys of the organization, a month", "rollup by key"): lambda: queries.top_keys(
                ours, scope_id=ours.id, **span
            ),
            ("models of a key, a month", "rollup by day"): lambda: queries.models_of_key(
                ours, self.entry.key_id, actor_id=agent, **span
            ),
            ("models of a period", "rollup by period"): lambda: queries.models_of_period(ours, self.period.id),
            ("keys of a period", "rollup by period"): lambda: queries.keys_of_period(ours, self.period.id),
            ("what is left of a budget", "one row"): lambda: budget_queries.remaining(ours, [self.period.id]),
            ("a reservation by its id", "one index"): lambda: Reservation.objects.get(id=self.middle),
            ("the entries of a reservation", "an index of each partition"): lambda: list(
                LedgerEntry.objects.filter(reservation_id=self.middle)
            ),
            ("the latest 100 reservations", "an index, backwards"): lambda: budget_queries.reservations_of(ours),
            ("100 reservations from the middle", "an index, backwards"): lambda: budget_queries.reservations_of(
                ours, before=self.middle
            ),
            ("open reservations", "a partial index"): lambda: budget_queries.reservations_of(ours, is_open=True),
            ("the first 2,000 entries of all, for an export", "an index"): lambda: list(
                itertools.islice(queries.every_entry(ours), 2000)
            ),
        }  # fmt: skip


class Pages:
    """Of the admin, whole, without a wire."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        password = secrets.token_urlsafe(24)
        create_person(email="bench@example.com", password=password, is_staff=True, is_superuser=True, acting="bench")
        self._browser = Client(headers={"host": "localhost"})
        assert self._browser.login(username="bench@example.com", password=password)

    def named(self) -> dict[tuple[str, str], Callable[[], object]]:
        ours, entries = self._asked.organization.id, "/admin/ledger/ledgerentry/"
        reservations, events = "/admin/budgets/reservation/", "/admin/ledger/spendevent/"
        of_us = f"organization={ours}"
        return {
            ("entries, newest", "an index, backwards"): lambda: self._get(entries),
            ("entries of the organization", "an index, backwards"): lambda: self._get(f"{entries}?{of_us}"),
            ("entries, a page from the middle", "an index, backwards"): lambda: self._get(
                f"{entries}?before={self._asked.entry.id}"
            ),
            ("entries that are estimated, of which there are none", "10,000 rows, and says so"): lambda: self._get(
                f"{entries}?status__exact=estimated"
            ),
            ("entries by a key's id", "as far as a page, or 10,000 rows"): lambda: self._get(
                f"{entries}?q={self._asked.entry.key_id}"
            ),
            ("entries by a reservation's id", "an index of each partition"): lambda: self._get(
                f"{entries}?q={self._asked.middle}"
            ),
            ("reservations, newest", "an index, backwards"): lambda: self._get(reservations),
            ("reservations that are open", "a partial index"): lambda: self._get(f"{reservations}?state=open"),
            ("spend events, newest", "an index, backwards"): lambda: self._get(events),
        }

    def _get(self, url: str) -> None:
        answer = self._browser.get(url)
        assert answer.status_code == 200, f"{url}: {answer.status_code}"


def ask(questions: dict[tuple[str, str], Callable[[], object]]) -> list[dict[str, Any]]:
    return [{"question": name, "reads": reads, "ms": median_ms(work)} for (name, reads), work in questions.items()]


def rebuild(organization: Organization) -> None:
    rollups_rebuilding.rebuild(organization, reported=reported_periods, acting="bench")


def wait_for_the_last_minute(session: Session) -> None:
    """What was booked in it is summed by no proof yet, and a month is archived only where all of it was."""
    [(seconds,)] = session.execute(_PROVABLE_IN).fetchall()
    time.sleep(max(0, seconds))


def prove(*, full: bool) -> None:
    differences = list(verifying.verify(full=full))
    assert not differences, differences[:3]


def measure(slug: str) -> dict[str, Any]:
    asked = Asked(slug)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
        rebuild_seconds = timed(lambda: rebuild(asked.organization))
        for table in ROLLUPS:
            session.execute(f"VACUUM (ANALYZE) {table}")
        kept = sizes(session, TABLES)
        rollups = sizes(session, ROLLUPS)
        wait_for_the_last_minute(session)
    jobs = {
        "rollups_rebuild": rebuild_seconds,
        "rollups_rebuild, again": timed(lambda: rebuild(asked.organization)),
        "ledger_verify --full": timed(lambda: prove(full=True)),
        "ledger_verify, again": timed(lambda: prove(full=False)),
    }
    told = {"tables": kept, "rollups": rollups, "questions": ask(asked.questions()), "pages": ask(Pages(asked).named())}
    jobs["archiving the month"] = timed(lambda: retention_archiving.archive(asked.month, acting="bench"))
    return {**told, "jobs": jobs, "month": asked.month.isoformat(), **who_spends(asked.organization)}


def who_spends(organization: Organization) -> dict[str, int]:
    entry = LedgerEntry.objects.filter(organization_id=organization.id)[0]
    keys = KeyRollup.objects.filter(organization_id=organization.id).values("key_id").distinct()
    return {"agents": keys.count(), "scopes": len(entry.scope_ids), "periods": len(entry.period_ids)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organization", required=True)
    print(json.dumps(measure(parser.parse_args().organization)))


if __name__ == "__main__":
    main()
