"""The connections on which money moves: their own settings, made again when they break."""

import asyncio
from typing import Any

import psycopg

from apps.budgets.wire import Wire

LOCK_TIMEOUT = "250ms"
POOLER_BETWEEN = (
    "a pooler is between that keeps no session: set SPENDRA_DATABASE_DIRECT_URL to the same database past it"
)
# Start-up options, since a SET inside a function ends before its commit. The server gives up before we do
# (CALL_SECONDS), so that an outcome is rarely unknown: a backend whose client has gone still gets its lock and commits.
SERVER_OPTIONS = (
    f"-c synchronous_commit=on -c lock_timeout={LOCK_TIMEOUT} -c statement_timeout=2s "
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
        self._wire: Wire | None = None
        self._turn = asyncio.Lock()
        self.generation = 0

    async def call(self, statement: str, parameters: tuple[Any, ...]) -> str | None:
        """The single value of a single-row statement, as text.

        Raises psycopg.Error as the server reports it. Where `is_unknown`, the connection broke or did not answer in
        CALL_SECONDS, and the statement may have committed all the same; the next call makes a new connection.
        """
        try:
            async with self._turn, asyncio.timeout(CALL_SECONDS):
                return await (await self._connected()).execute(statement, parameters)
        except TimeoutError as error:
            raise psycopg.OperationalError(f"no answer from Postgres in {CALL_SECONDS} s") from error

    async def ask(self, statement: str, parameters: tuple[Any, ...]) -> str | None:
        """Like `call`, for what may be done twice: once more where the connection broke, since the server may have
        restarted after it was last used."""
        wire = self._wire
        try:
            return await self.call(statement, parameters)
        except psycopg.OperationalError:
            if wire is None or not wire.is_broken:
                raise
        return await self.call(statement, parameters)

    async def _connected(self) -> Wire:
        if self._wire is not None and self._wire.is_broken:
            await self.close()
        if self._wire is None:
            connection = await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                options=SERVER_OPTIONS,
                application_name=self._name,
                connect_timeout=CALL_SECONDS,
                client_encoding="utf-8",
                **GIVE_UP_SILENT_SERVERS,
            )
            self._wire = await _checked(Wire(connection))
            self.generation += 1
        return self._wire

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


async def _checked(wire: Wire) -> Wire:
    """A pooler may drop the options without a word, and would then also mix up what several lines have prepared: one
    could settle by what another calls its reserve. Closes the wire and raises OperationalError where one is between."""
    try:
        lock_timeout = await wire.execute("SHOW lock_timeout", ())
    except (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement):
        lock_timeout = None
    except BaseException:
        await wire.close()
        raise
    if lock_timeout != LOCK_TIMEOUT:
        await wire.close()
        raise psycopg.OperationalError(POOLER_BETWEEN)
    return wire


def is_bad_data(error: psycopg.Error) -> bool:
    """SQLSTATE class 22 (data) or 23 (constraint): one item of the batch is the culprit."""
    return (error.sqlstate or "")[:2] in {"22", "23"}


def is_without_partition(error: BaseException | None) -> bool:
    """No partition for that month: a check that has no name. By its text it would depend on the server's language."""
    return isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None


def is_refused_by_settle(error: psycopg.Error) -> bool:
    """No foreign key of the database, but what settle itself says: it mixes reservations that are there with missing
    ones, or a period of one is missing."""
    return error.sqlstate == "23503" and error.diag.constraint_name is None


def is_serialization(error: psycopg.Error) -> bool:
    """Deadlock or serialization failure: the whole batch may be tried again as it was."""
    return error.sqlstate in {"40P01", "40001"}


def is_lock_wait(error: psycopg.Error) -> bool:
    """lock_timeout, or statement_timeout while waiting: somebody holds a row or the fence."""
    return error.sqlstate in {"55P03", "57014"}


def is_cancelled(error: psycopg.Error) -> bool:
    """statement_timeout: a lock wait, or a batch that is too much work for it."""
    return error.sqlstate == "57014"


def is_unknown(error: psycopg.Error) -> bool:
    """No SQLSTATE (the line broke), class 08 (connection) or 57P (server going down): it may have committed."""
    return error.sqlstate is None or error.sqlstate[:2] == "08" or error.sqlstate[:3] == "57P"
