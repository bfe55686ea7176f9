"""Each record gets its link in the transaction that wrote it, and no two writers fork a chain or stop each other."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import psycopg
import pytest
from django.db import connection, connections, transaction

from apps.audit.models import INSTALLATION, AuditLink, AuditRecord
from apps.audit.recording import record
from apps.orgs.models import Organization
from tests.databases import Database

ACME, BETA = UUID(int=1), UUID(int=2)


def write(organization_id: UUID | None, reason: str = "") -> AuditRecord:
    return record(
        organization_id=organization_id,
        actor="ada@example.com",
        action="keys.revoke",
        object_kind="key",
        object_id="k1",
        after={"at": "2026-01-01", "amount": "12", "nested": {"b": [1, 2], "a": None}},
        reason=reason,
    )


def chain_of(organization_id: UUID) -> list[tuple[int, UUID]]:
    links = AuditLink.objects.filter(chain_id=organization_id).order_by("place")
    return list(links.values_list("place", "record_id"))


def test_records_are_linked_in_the_order_in_which_they_were_written(database: Database) -> None:
    with transaction.atomic():
        first, other, second = write(ACME), write(BETA), write(ACME)
        assert chain_of(ACME) == []
    with transaction.atomic():
        third = write(ACME)
    assert chain_of(ACME) == [(1, first.id), (2, second.id), (3, third.id)]
    assert chain_of(BETA) == [(1, other.id)]
    assert not waiting()


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM audit_unlinked)")
        return bool(cursor.fetchone()[0])


def test_what_concerns_no_organization_has_a_chain_of_its_own(database: Database) -> None:
    before = chain_of(INSTALLATION)
    with transaction.atomic():
        written = write(None)
    assert chain_of(INSTALLATION) == [*before, (len(before) + 1, written.id)]


def test_a_change_that_is_rolled_back_leaves_no_link(database: Database) -> None:
    with transaction.atomic():
        kept = write(ACME)
        with transaction.atomic():
            write(ACME)
            transaction.set_rollback(True)
    with transaction.atomic():
        write(ACME)
        transaction.set_rollback(True)
    assert chain_of(ACME) == [(1, kept.id)]
    assert not waiting()


def test_raw_sql_is_chained_too(database: Database) -> None:
    database.connect().execute(
        "INSERT INTO audit_auditrecord (id, at, organization_id, actor, action, object_kind, object_id, reason) "
        "VALUES (gen_random_uuid(), now(), %s, 'psql', 'a.b', 'c', 'd', '')",
        [ACME],
    )
    assert [place for place, _ in chain_of(ACME)] == [1]


def test_a_bulk_of_records_in_one_transaction_is_linked_by_index(database: Database) -> None:
    """Plans are made while the tables are empty: each link must not read all those before it for that."""
    plain = database.connect()
    plain.execute(
        "INSERT INTO audit_auditrecord (id, at, organization_id, actor, action, object_kind, object_id, reason) "
        "SELECT gen_random_uuid(), now(), %s, 'psql', 'a.b', 'c', n, '' FROM generate_series(1, 2000) n",
        [ACME],
    )
    assert [place for place, _ in chain_of(ACME)] == list(range(1, 2001))
    plain.execute("SELECT pg_stat_force_next_flush()")
    read = plain.execute(
        "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables "
        "WHERE relname IN ('audit_auditlink', 'audit_unlinked')"
    ).fetchone()
    assert read is not None
    assert read[0] < 5 * 2000


@pytest.mark.parametrize("table", ["audit_auditlink", "audit_auditcheckpoint"])
@pytest.mark.parametrize("change", ["UPDATE {} SET place = place", "DELETE FROM {}", "TRUNCATE {}"])
def test_links_and_checkpoints_refuse_to_change(database: Database, table: str, change: str) -> None:
    plain = database.connect()
    plain.execute(
        "INSERT INTO audit_auditcheckpoint (id, chain_id, place, hash, made_at, signing_key, signature) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), 1, '', now(), '', '')"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        plain.execute(change.format(table))


def together(*acts: object, rounds: int) -> None:
    """Each act in a thread of its own, all beginning at once in each round."""
    barrier = Barrier(len(acts))

    def repeat(act: object) -> None:
        try:
            for _ in range(rounds):
                barrier.wait(timeout=30)
                with transaction.atomic():
                    act()  # type: ignore[operator]
        except BaseException:
            barrier.abort()
            raise
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(repeat, act) for act in acts]:
            done.result()


def test_two_writers_at_once_do_not_fork_a_chain(database: Database) -> None:
    together(lambda: write(ACME), lambda: write(ACME), rounds=100)
    assert [place for place, _ in chain_of(ACME)] == list(range(1, 201))


def test_records_of_two_organizations_in_opposite_orders_do_not_deadlock(database: Database) -> None:
    together(lambda: (write(ACME), write(BETA)), lambda: (write(BETA), write(ACME)), rounds=100)
    assert [len(chain_of(ACME)), len(chain_of(BETA))] == [200, 200]


def test_the_fence_always_goes_before_the_lock_of_a_chain(database: Database) -> None:
    """A record before the change that takes the fence, beside a change before its record."""
    acme, beta = (Organization.objects.create(slug=slug, name=slug) for slug in ("acme", "beta"))

    def change(organization: Organization) -> None:
        Organization.objects.filter(id=organization.id).update(requires_cap=True)

    before = len(chain_of(INSTALLATION))
    together(lambda: (write(None), change(acme)), lambda: (change(beta), write(None)), rounds=100)
    assert len(chain_of(INSTALLATION)) == before + 200
