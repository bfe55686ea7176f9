from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from apps.budgets.models import GovernanceVersion, Period
from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization
from apps.outbox.models import OutboxMessage
from spendra.management import database_checks, trial_reservation
from tests.commands.running import run, run_json
from tests.databases import Database


def findings() -> dict[str, database_checks.Finding]:
    return {found.check: found for found in database_checks.run_all(gateway_processes=2)}


def test_a_migrated_database_passes_and_keeps_nothing_of_the_trial(database: Database) -> None:
    tables = (Organization, Period, LedgerEntry, OutboxMessage)
    tokens = set(GovernanceVersion.objects.values_list("id", "token"))
    result = run_json("db_smoke")
    assert result["ok"] is True
    assert {check["check"]: check["status"] for check in result["checks"]}["reserve and settle"] == "ok"
    assert [model.objects.count() for model in tables] == [0, 0, 0, 0]
    assert set(GovernanceVersion.objects.values_list("id", "token")) == tokens


def test_a_missing_migration_fails_with_its_name(database: Database) -> None:
    newest = MigrationRecorder.Migration.objects.filter(app="audit").latest("id")
    newest.delete()
    code, _, error = run("db_smoke")
    assert code == 1
    assert f"1 migrations are not applied (audit.{newest.name}): run manage.py migrate." in error


def test_missing_partitions_fail(database: Database) -> None:
    connection = database.connect()
    partitions = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'budgets_reservation'::regclass ORDER BY 1"
    ).fetchall()
    for (name,) in partitions[3:]:
        connection.execute(f"ALTER TABLE budgets_reservation DETACH PARTITION {name}")
    assert findings()["partitions"].says.startswith("There are partitions for 1 months ahead")
    assert findings()["partitions"].status == "failed"


def test_a_money_core_that_grants_too_much_fails(database: Database) -> None:
    sql = (Path(__file__).resolve().parents[2] / "apps/budgets/sql/reserve_v3.sql").read_text()
    broken = sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
        "free := caps[p] - settled[p];", "free := 2 * caps[p];"
    )
    assert broken.count("2 * caps[p]") == 1
    database.connect().execute(broken)
    found = findings()["reserve and settle"]
    assert found.status == "failed"
    assert "not ['granted', 'exceeded']" in found.says
    assert not Organization.objects.exists()


def test_a_role_that_does_not_see_old_snapshots_of_others_is_told_what_to_grant(database: Database) -> None:
    superuser, plain = database.connect(user="postgres"), f"plain_{database.name}"
    superuser.execute(f"CREATE ROLE {plain}")
    try:
        superuser.execute(f"GRANT {plain} TO {connection.settings_dict['USER']}")
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {plain}")
        assert not _sees_a_snapshot_of_another(database)
        assert findings()["snapshots"].status == "warning"
        grant = findings()["snapshots"].says.rpartition(": ")[2]
        assert grant == f"GRANT pg_read_all_stats TO {plain};"
        superuser.execute(grant)
        assert _sees_a_snapshot_of_another(database)
        assert findings()["snapshots"].status == "ok"
    finally:
        connection.close()
        superuser.execute(f"DROP ROLE {plain}")


def _sees_a_snapshot_of_another(database: Database) -> bool:
    with database.connect(user="postgres", autocommit=False) as other, connection.cursor() as cursor:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        cursor.execute(
            "SELECT xact_start IS NOT NULL AND backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = %s",
            [other.info.backend_pid],
        )
        return bool(cursor.fetchone()[0])


def test_gateways_that_would_spend_in_another_database_fail(database: Database) -> None:
    assert findings()["gateway sessions"].status == "ok"
    another = database.url.rpartition("/")[0] + "/postgres"
    with override_settings(DATABASE_DIRECT_URL=another):
        found = findings()["gateway sessions"]
    assert (found.status, found.says) == (
        "failed", "SPENDRA_DATABASE_DIRECT_URL is another database than DATABASE_URL.",
    )  # fmt: skip


def test_too_many_gateways_for_the_server_fail(database: Database) -> None:
    result = run_json("db_smoke", "--gateway-processes", "1000", exit_code=1)
    assert [check["check"] for check in result["checks"] if check["status"] == "failed"] == ["connections"]


def test_a_server_that_may_lose_commits_fails_in_production_and_is_told_elsewhere(database: Database) -> None:
    assert findings()["durability"].status == "warning"
    with override_settings(IS_PRODUCTION=True):
        assert findings()["durability"].status == "failed"
    assert "fsync" in findings()["durability"].says
    assert findings()["standby"].status == "warning"


def test_no_database_is_one_sentence(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody:secret@127.0.0.1:1/nothing")
    refused = run_json("db_smoke", exit_code=1)
    assert refused["error"]["code"] == "database_unavailable"
    assert "secret" not in refused["error"]["message"]


def test_a_trial_that_meets_a_lock_gives_up(database: Database) -> None:
    blocker = database.connect(autocommit=False)
    blocker.execute("LOCK TABLE budgets_budget IN ACCESS EXCLUSIVE MODE")
    found = findings()["reserve and settle"]
    assert (found.status, "lock timeout" in found.says) == ("failed", True)
    blocker.rollback()
    trial_reservation.run()
