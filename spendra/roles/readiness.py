"""Whether a role can work: the database answers, and has every migration that this code knows."""

import asyncio

import psycopg
from django.db.migrations.loader import MigrationLoader

_SECONDS = 3


class Readiness:
    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._known = set(MigrationLoader(None).disk_migrations or ())
        self._is_draining = False

    async def startup(self) -> None: ...

    async def drain(self) -> None:
        self._is_draining = True

    async def shutdown(self) -> None: ...

    async def reasons(self) -> list[str]:
        """What keeps the role from working, in sentences; empty when nothing does."""
        if self._is_draining:
            return ["shutting down"]
        try:
            async with asyncio.timeout(_SECONDS):
                missing = self._known - await self._applied()
        except TimeoutError:
            return [f"database: no answer within {_SECONDS} seconds"]
        except psycopg.errors.UndefinedTable:
            return ["migrations: none is applied"]
        except psycopg.Error as error:
            return [f"database: {str(error).strip().partition(chr(10))[0]}"]
        return [f"migrations: {len(missing)} not applied"] if missing else []

    async def _applied(self) -> set[tuple[str, str]]:
        async with await psycopg.AsyncConnection.connect(self._database_url, connect_timeout=_SECONDS) as connection:
            cursor = await connection.execute("SELECT app, name FROM django_migrations")
            return {(app, name) for app, name in await cursor.fetchall()}
