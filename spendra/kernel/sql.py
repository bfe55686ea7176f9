"""Rooms keep their SQL functions as files, one function or one theme a file, and migrations run them."""

from pathlib import Path

from django.db import migrations


def run_file(migration_file: str, name: str) -> migrations.RunSQL:
    """The operation that runs `<room>/sql/<name>`; called as run_file(__file__, "reserve_v3.sql")."""
    path = Path(migration_file).resolve().parents[1] / "sql" / name
    return migrations.RunSQL(path.read_text(encoding="utf-8"), migrations.RunSQL.noop)
