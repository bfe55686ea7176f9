"""Prepared statements straight on libpq: a call costs about half of the processor time of a psycopg cursor,
and a request pays for two. docs/decisions/0006-libpq-on-the-hot-path.md."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})


class Wire:
    """One statement at a time, each in a transaction of its own. psycopg connects, adapts parameters and makes errors;
    the rows come as Postgres writes them. Once broken, it stays so."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._transformer = Transformer.from_context(connection)
        self._loop = asyncio.get_running_loop()
        self._names: dict[str, bytes] = {}
        self._waiter: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self.is_broken = False
        # Ours, since libpq closes its own as soon as it finds the connection lost, and the loop must not watch a number
        # that another thread has opened again. Watched all the time: idle, it shows that the server hung up.
        self._socket = os.dup(self._libpq.socket)
        self._loop.add_reader(self._socket, self._read)

    async def execute(self, statement: str, parameters: Sequence[Any]) -> str | None:
        """The single value of a single-row statement, as text. Raises psycopg.Error; cancelled, it is broken, since
        nobody knows where the statement stands."""
        name = self._names.get(statement)
        if name is None:
            name = await self._prepare(statement)
        dumped = self._transformer.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))
        self._libpq.send_query_prepared(name, dumped)
        value = (await self._answer()).get_value(0, 0)
        return None if value is None else value.decode()

    async def _prepare(self, statement: str) -> bytes:
        first, *rest = statement.split("%s")
        numbered = first + "".join(f"${number}{text}" for number, text in enumerate(rest, start=1))
        name = b"hot_%d" % len(self._names)
        self._libpq.send_prepare(name, numbered.encode())
        await self._answer()
        self._names[statement] = name
        return name

    async def _answer(self) -> PGresult:
        self._waiter = self._loop.create_future()
        self._write()
        try:
            result = await self._waiter
        except BaseException:
            self._break()
            raise
        if result.status in _FAILED:
            if self._libpq.status != ConnStatus.OK:
                self._break()
            raise error_from_result(result, encoding="utf-8")
        return result

    def _write(self) -> None:
        try:
            is_unsent = self._libpq.flush()
        except psycopg.OperationalError as error:
            self._fail(error)
            return
        if is_unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
        except psycopg.OperationalError as error:
            self._fail(error)
            return
        while self._waiter is not None and not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                self._deliver()
                return
            self._result = result

    def _deliver(self) -> None:
        waiter, result = self._waiter, self._result
        self._waiter = self._result = None
        if waiter is not None and result is not None and not waiter.done():
            waiter.set_result(result)

    def _fail(self, error: psycopg.OperationalError) -> None:
        """What the server said before it hung up tells more than that it did."""
        self._break()
        if self._result is not None:
            self._deliver()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _break(self) -> None:
        if not self.is_broken:
            self.is_broken = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            os.close(self._socket)

    async def close(self) -> None:
        self._break()
        await self._connection.close()
