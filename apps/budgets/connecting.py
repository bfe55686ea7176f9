"""The connections on which money moves: their own settings, made again when they break."""

import asyncio
import logging
from typing import Any

import psycopg
from psycopg import AsyncConnection

log = logging.getLogger(__name__)

# Start-up options, since a SET inside a function ends before its commit. The server gives up before we do
# (CALL_SECONDS), so that an outcome is rarely unknown: a backend whose client has gone still gets its lock and commits.
SERVER_OPTIONS = (
    "-c synchronous_commit=on -c lock_timeout=250ms -c statement_timeout=2s "
    "-c idle_in_transaction_session_timeout=5s -c default_transaction_isolation=read\\ committed "
    "-c client_connection_check_interval=1s"
)
CALL_SECONDS = 5
# A server that vanished without a word is given up by the kernel, too: milliseconds, then seconds.
GIVE_UP_SILENT_SERVERS: dict[str, Any] = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


class HotConnection:
    """One autocommit connection; calls wait for each other. `generation` counts how often it was made."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AsyncConnection[tuple[Any, ...]] | None = None
        self._turn = asyncio.Lock()
        self.generation = 0

    async def call(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        """The single value of a single-row statement.

        Raises psycopg.Error as the server reports it. Where `is_unknown`, the connection broke or did not answer in
        CALL_SECONDS, and the statement may have committed all the same; the next call makes a new connection.
        """
        try:
            async with self._turn, asyncio.timeout(CALL_SECONDS):
                connection = await self._connected()
                cursor = await connection.execute(statement, parameters)
                row = await cursor.fetchone()
        except TimeoutError as error:
            await self.close()
            raise psycopg.OperationalError(f"no answer from Postgres in {CALL_SECONDS} s") from error
        except psycopg.OperationalError:
            if self._connection is None or self._connection.broken:
                await self.close()
            raise
        return row[0] if row else None

    async def ask(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        """Like `call`, for what may be done twice: once more where the connection broke, since the server may have
        restarted after it was last used."""
        stood = self._connection is not None
        try:
            return await self.call(statement, parameters)
        except psycopg.OperationalError:
            if not stood or self._connection is not None:
                raise
        return await self.call(statement, parameters)

    async def _connected(self) -> AsyncConnection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                options=SERVER_OPTIONS,
                application_name=self._name,
                connect_timeout=CALL_SECONDS,
                **GIVE_UP_SILENT_SERVERS,
            )
            self._connection.prepare_threshold = 0
            self.generation += 1
        return self._connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close()
            except psycopg.Error:
                log.info("closing a broken connection to Postgres failed", exc_info=True)


def is_bad_data(error: psycopg.Error) -> bool:
    """SQLSTATE class 22 (data) or 23 (constraint): one item of the batch is the culprit."""
    return (error.sqlstate or "")[:2] in {"22", "23"}


def is_serialization(error: psycopg.Error) -> bool:
    """Deadlock or serialization failure: the whole batch may be tried again as it was."""
    return error.sqlstate in {"40P01", "40001"}


def is_lock_wait(error: psycopg.Error) -> bool:
    """lock_timeout, or statement_timeout while waiting: somebody holds a row or the fence."""
    return error.sqlstate in {"55P03", "57014"}


def is_unknown(error: psycopg.Error) -> bool:
    """No SQLSTATE (the line broke), class 08 (connection) or 57P (server going down): it may have committed."""
    return error.sqlstate is None or error.sqlstate[:2] == "08" or error.sqlstate[:3] == "57P"
