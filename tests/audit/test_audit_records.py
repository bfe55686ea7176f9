from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from django.db import transaction

from apps.audit.models import AuditRecord
from apps.audit.recording import record
from tests.databases import Database

SOMEBODY = UUID(int=1)


def record_something() -> AuditRecord:
    return record(
        organization_id=SOMEBODY,
        actor="ada@example.com",
        action="keys.revoke",
        object_kind="key",
        object_id=UUID(int=2),
        before={"at": datetime(2026, 1, 1, tzinfo=UTC), "by": SOMEBODY},
        reason="leaked",
    )


def test_a_record_belongs_to_the_transaction_of_its_change(database: Database) -> None:
    before = AuditRecord.objects.count()
    with transaction.atomic():
        record_something()
        transaction.set_rollback(True)
    assert AuditRecord.objects.count() == before
    with pytest.raises(transaction.TransactionManagementError):
        record_something()


def test_ids_and_instants_are_kept_as_strings(database: Database) -> None:
    with transaction.atomic():
        record_something()
    kept = AuditRecord.objects.get(organization_id=SOMEBODY)
    assert kept.before == {"at": "2026-01-01T00:00:00Z", "by": str(SOMEBODY)}
    assert (kept.after, kept.object_id) == (None, str(UUID(int=2)))


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_auditrecord SET reason = ''", "DELETE FROM audit_auditrecord", "TRUNCATE audit_auditrecord"],
)
def test_the_database_itself_refuses_to_change_a_record(database: Database, change: str) -> None:
    with transaction.atomic():
        record_something()
    connection = database.connect()
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        connection.execute(change)
    assert AuditRecord.objects.filter(organization_id=SOMEBODY).count() == 1


def test_a_replica_session_does_not_pass_the_refusal_either(database: Database) -> None:
    triggers = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'audit_auditrecord'::regclass"
    assert dict(database.connect().execute(triggers).fetchall()) == {
        "append_only": "A", "append_only_truncate": "A", "chain": "A",
    }  # fmt: skip
