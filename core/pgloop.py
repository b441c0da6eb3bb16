"""A PostgreSQL connection that an event loop drives itself: no thread in between, one round trip for a whole pipeline.

For the few statements that hot paths repeat for ever; everything else uses Django's connections. A thread for each
round trip costs more than the round trip: two changes of thread, and a struggle for the interpreter's lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from core.sqlcalls import Query, Row, Value

_CONNECT_SECONDS = 5.0
_GIVES_ROWS = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_STALE = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)

# Called with the rows of each query, or with what went wrong.
Done = Callable[[list[list[Row]], Exception | None], None]


class LoopConnection:
    """One connection of one event loop; runs one pipeline at a time. The queries of a pipeline are one transaction."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._prepares = True
        self._names: dict[str, bytes] = {}  # of prepared statements
        self._socket = -1
        self._done: Done | None = None
        self._results: list[Any] = []
        self._error: Exception | None = None
        self._is_preparing = False
        self._is_writing = False  # the socket took less than all of it
        self._reader = Transformer()

    @property
    def is_open(self) -> bool:
        """Whether a pipeline can be sent."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError."""
        options = _parameters()
        self._prepares = options.pop("prepare_threshold") is not None
        if self._prepares:  # a pooler in between would not pass these wishes on
            wishes = "-c plan_cache_mode=force_generic_plan -c timezone=UTC"
            options["options"] = f"{options.get('options', '')} {wishes}".strip()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                made = await psycopg.AsyncConnection.connect(**options, autocommit=True)
        except TimeoutError:
            raise psycopg.OperationalError("the database did not answer in time") from None
        self._names.clear()
        self._connection, server = made, made.pgconn
        self._reader = Transformer(made)
        server.nonblocking = 1
        server.enter_pipeline_mode()
        self._socket = server.socket
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def send(self, queries: Sequence[Query], done: Done) -> None:
        """Send a pipeline; ``done`` is called once, later. The connection must be open and idle.

        Raises psycopg.OperationalError when it turns out to be closed; then ``done`` is not called.
        """
        server = self._server()
        self._results, self._error, self._is_preparing = [], None, False
        try:
            for query in queries:
                values = [_text(value) for value in query.values]
                if self._prepares:
                    server.send_query_prepared(self._names.get(query.text) or self._prepare(query.text), values)
                else:
                    server.send_query_params(query.text.encode(), values)
            server.pipeline_sync()
            self._done = done
            self._flush()
        except psycopg.Error:
            self._done = None
            self.close()
            raise

    async def run(self, queries: Sequence[Query]) -> list[list[Row]]:
        """The rows of each query, opening the connection if need be. Raises psycopg.Error."""
        if not self.is_open:
            await self.open()
        answer: asyncio.Future[list[list[Row]]] = asyncio.get_running_loop().create_future()

        def done(rows: list[list[Row]], error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(rows)

        self.send(queries, done)
        return await answer

    def close(self) -> None:
        """Close at once; a pipeline under way fails."""
        made, self._connection = self._connection, None
        if made is None:
            return
        # By its number: libpq closes the socket of a lost connection itself.
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._is_writing = False
        made.pgconn.finish()
        self._finish(self._error or psycopg.OperationalError("the connection was closed"))

    def _server(self) -> PGconn:
        if self._connection is None:
            raise psycopg.OperationalError("the connection is closed")
        return self._connection.pgconn

    def _prepare(self, text: str) -> bytes:
        name = b"hot_%d" % len(self._names)
        self._server().send_prepare(name, text.encode())
        self._is_preparing = True
        self._names[text] = name
        return name

    def _flush(self) -> None:
        """Send what the socket takes now, and the rest when it takes more."""
        loop = asyncio.get_running_loop()
        if self._server().flush():
            loop.add_writer(self._socket, self._writable)
            self._is_writing = True
        elif self._is_writing:
            loop.remove_writer(self._socket)
            self._is_writing = False

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._lose(error)

    def _readable(self) -> None:
        server = self._server()
        try:
            server.consume_input()
            while self._done is not None and not server.is_busy():
                result = server.get_result()
                if result is None:
                    if server.status != ConnStatus.OK:
                        break
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    self._complete()
                elif result.status in _GIVES_ROWS:
                    self._results.append(result)
                elif result.status != ExecStatus.PIPELINE_ABORTED:
                    self._error = error_from_result(result)
        except psycopg.Error as error:
            self._lose(error)
            return
        if server.status != ConnStatus.OK:
            self._lose(self._error or psycopg.OperationalError("the connection was lost"))

    def _complete(self) -> None:
        """The pipeline has ended, committed or rolled back."""
        if self._error is None:
            self._finish(None)
        elif self._is_preparing or isinstance(self._error, _STALE):
            # Which statements were prepared is not known, or they no longer fit the tables: begin afresh.
            self._lose(self._error)
        else:
            self._finish(self._error)

    def _lose(self, error: Exception) -> None:
        self._error = error
        self.close()

    def _finish(self, error: Exception | None) -> None:
        done, self._done = self._done, None
        results, self._results = self._results, []
        if done is None:
            return
        rows: list[list[Row]] = []
        if error is None:
            try:
                rows = [self._rows(result) for result in results if result.nfields]
            except Exception as unreadable:  # committed, but no value of Python's holds it; who waits must hear of it
                error = unreadable
        done(rows, error)

    def _rows(self, result: PGresult) -> list[Row]:
        self._reader.set_pgresult(result)
        return self._reader.load_rows(0, result.ntuples, tuple)


def _parameters() -> dict[str, Any]:
    """Django's own settings of the database, without what only its connections understand."""
    options = connections.create_connection(DEFAULT_DB_ALIAS).get_connection_params()
    for name in ("cursor_factory", "context"):
        options.pop(name, None)
    return options


def _text(value: Value) -> bytes | None:
    """A value as PostgreSQL reads it."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    return ("{" + ",".join(map(str, value)) + "}").encode()
