"""The control: with the triggers off, the same doors see stale answers. If this fails, the tests beside it prove
nothing."""

from pathlib import Path

from apps.keys.revoking import revoke
from tests.databases import Database
from tests.freshness.doors import open_doors
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

ROUNDS = 5


def test_without_the_triggers_revoked_keys_and_lowered_caps_are_missed(
    database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    with RunningGateway(database.url, sandbox.url, tmp_path / "gateway.log") as gateway:
        company = make_company(gateway.url)
        with open_doors([gateway], key=company.key) as doors:
            keys = [company.another_key() for _ in range(ROUNDS)]
            for issued in keys:
                doors.expect(200, issued.key)
            assert not doors.stale
            for table in ("keys_key", "budgets_budget"):
                database.connect().execute(f"ALTER TABLE {table} DISABLE TRIGGER governance")
            for issued in keys:
                revoke(issued.record.key_id, acting="test")
                doors.expect(401, issued.key)
            assert len(doors.stale) == ROUNDS
            company.cap(0)
            doors.expect(402, company.key)
            assert len(doors.stale) == ROUNDS + 1
