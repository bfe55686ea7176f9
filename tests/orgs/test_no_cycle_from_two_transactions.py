"""Two moves that are harmless alone: a below b, and b below a. Without the lock neither would see a circle."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, transaction

from apps.orgs import units
from apps.orgs.models import Organization, Unit, UnitEdge
from spendra.kernel.errors import Invalid
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit


def test_of_two_moves_that_would_close_a_circle_one_is_refused(database: Database) -> None:
    acme = make_organization()
    a, b = make_unit(acme, "a", kind="team"), make_unit(acme, "b", kind="team")
    started = Barrier(2)

    def move(unit: Unit, parent: Unit) -> str:
        try:
            started.wait()
            units.move(unit, organization=acme, parents=[parent], acting=ACTING)
        except Invalid:
            return "refused"
        else:
            return "moved"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            results = list(threads.map(move, [a, b], [b, a]))
            assert sorted(results) == ["moved", "refused"]
            assert UnitEdge.objects.count() == 1
            UnitEdge.objects.all().delete()


def test_the_second_move_waits_until_the_first_has_committed(database: Database) -> None:
    acme = make_organization()
    a, b = make_unit(acme, "a", kind="team"), make_unit(acme, "b", kind="team")
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            units.move(a, organization=acme, parents=[b], acting=ACTING)
            other = thread.submit(_move_elsewhere, b, a, acme)
            _wait_until_somebody_waits(database)
            assert not other.done()
        with pytest.raises(Invalid, match="lies below it"):
            other.result(timeout=10)


def _move_elsewhere(unit: Unit, parent: Unit, organization: Organization) -> None:
    try:
        units.move(unit, organization=organization, parents=[parent], acting=ACTING)
    finally:
        connection.close()


def _wait_until_somebody_waits(database: Database) -> None:
    watcher = database.connect()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while watcher.execute(waiting).fetchone() == (0,):
        pass
