"""Wrap a Spark Connect endpoint: a session in which a release's pinned files are tables.

Exactly the pinned files are read. The endpoint reads them with its own keys: the node sends it statements and
values, never a credential of the store. What Spark says of an error may quote a patient's value, so it never
leaves this module.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

import grpc
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.functions import lit
from pyspark.sql.connect.session import SparkSession

from atoll_node.engine.connection import Row, Stop, too_slow
from atoll_node.engine.model_tables import table_spec
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.dialect import SparkStatement, translated
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.release import PinnedTable, Release
from atoll_schemas.tables import Datatype, Field, Table

GRACE_SECONDS = 5.0
"""How long an interrupted endpoint may take to say so; then the node lets go of it."""
_TRIES = 4
_Given = TypeVar("_Given")

_TYPES: Mapping[Datatype, str] = {
    Datatype.BIGINT: "BIGINT",
    Datatype.INTEGER: "INT",
    Datatype.DOUBLE: "DOUBLE",
    Datatype.DATE: "DATE",
    Datatype.TIMESTAMP: "TIMESTAMP_NTZ",
    Datatype.VARCHAR: "STRING",
}


class _Channel(DefaultChannelBuilder):
    """The way to the endpoint: plain, or TLS with the hospital's own authority."""

    def __init__(self, access: SparkAccess) -> None:
        super().__init__(f"sc://{access.address}/;user_id=atoll")
        self._access = access

    def toChannel(self) -> grpc.Channel:  # noqa: N802 - the client's name for it
        if not self._access.tls:
            return self._insecure_channel(self.endpoint)
        roots = None if self._access.ca_file is None else self._access.ca_file.read_bytes()
        credentials = grpc.ssl_channel_credentials(roots)
        if self._access.token is not None:
            token = grpc.access_token_call_credentials(self._access.token)
            credentials = grpc.composite_channel_credentials(credentials, token)
        return self._secure_channel(self.endpoint, credentials)


_TALKATIVE = ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "pyspark.sql.connect.logging")
"""Loggers of the client that write the endpoint's error texts, and with them a patient's value, to stderr."""


def connected(access: SparkAccess) -> SparkSession:
    """Return a new session of the endpoint. Raises ``EngineError`` ``engine.spark_away``."""
    for name in _TALKATIVE:
        logging.getLogger(name).disabled = True
    try:
        spark = SparkSession.builder.channelBuilder(_Channel(access)).create()
        # What lets a client come back to a broken stream is shared by all sessions, and ends with one.
        spark.client.disable_reattachable_execute()
        spark.client.set_retry_policies([DefaultPolicy(max_retries=_TRIES, max_backoff=1000)])
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    except (PySparkException, grpc.RpcError, OSError):
        raise EngineError(
            "engine.spark_away",
            "the Spark Connect endpoint does not answer",
            "check spark.address, and that the endpoint runs and lets the node in",
        ) from None
    return spark


class SparkRun:
    """One run's session at the endpoint, which forgets all of it when the run is over.

    Each call is made by a thread of its own, so that a run ends on time though the endpoint does not answer.
    """

    def __init__(self, release: Release | None, access: SparkAccess, stop: Stop) -> None:
        self._release = release
        self._access = access
        self._stop = stop
        self._wake = threading.Event()
        self._interrupted = False
        self._views: set[str] = set()
        self._read: list[PinnedTable] = []
        self._kept: list[DataFrame] = []
        self._spark: SparkSession | None = None

    def open(self) -> None:
        """Begin the session."""
        self._spark = self._call(lambda: connected(self._access))

    def require(self, tables: frozenset[str]) -> None:
        """Make the tables readable under their names; a table that the release lacks is empty."""
        for name in sorted(tables - self._views):
            self._call(partial(self._view, table_spec(name)))
            self._views.add(name)

    def verify(self) -> None:
        """Raise ``EngineError`` ``engine.files`` unless every pinned file is still there.

        Sail leaves a file out that is gone, without a word, even between two statements: an answer counts
        only when nothing was missing before it and nothing is missing after it.
        """
        for pinned in self._read:
            self._call(partial(self._files, pinned))

    def run(self, statement: Statement) -> None:
        """Make a table, or the view of one."""
        self._kept.append(self._call(partial(self._made, translated(statement))))

    def rows(self, statement: Statement) -> list[Row]:
        """Return all rows of a small answer."""
        columns = [column.to_pylist() for column in self._fetched(statement).columns]
        return list(zip(*columns, strict=True))

    def numbers(self, statement: Statement) -> Mapping[str, NDArray[Any]]:
        """Return the columns of a large answer."""
        found = self._fetched(statement)
        return {name: np.asarray(found.column(name).to_numpy()) for name in found.column_names}

    def check(self) -> None:
        """Raise the reason, if the run must end."""
        self._stop.check()

    def interrupt(self) -> None:
        """End what runs, from another thread."""
        self._interrupted = True
        threading.Thread(target=self._interrupt_all, daemon=True).start()
        self._wake.set()

    def close(self) -> None:
        """Let go of the session; what was made and kept ends with it."""
        ended = threading.Thread(target=self._end, daemon=True)
        ended.start()
        ended.join(GRACE_SECONDS)

    def _end(self) -> None:
        if self._spark is not None:
            self._spark.stop()
        self._kept.clear()

    def _interrupt_all(self) -> None:
        if self._spark is not None:
            with suppress(PySparkException, grpc.RpcError, ValueError):
                self._spark.interruptAll()

    @property
    def _session(self) -> SparkSession:
        if self._spark is None:
            raise EngineError("engine.failed", "the Spark engine failed (no session)")
        return self._spark

    def _made(self, asked: SparkStatement) -> DataFrame:
        frame = _query(self._session, asked)
        if asked.kept:
            # The client gives what is kept to the thread's active session, whichever asked for it.
            SparkSession._set_default_and_active_session(self._session)
            frame = frame.localCheckpoint()
        frame.createOrReplaceTempView(asked.makes or "")
        return frame

    def _fetched(self, statement: Statement) -> pa.Table:
        asked = translated(statement)
        return self._call(lambda: _query(self._session, asked).toArrow())

    def _view(self, table: Table) -> None:
        pinned = None if self._release is None else self._release.table(table.name)
        if pinned is None or not pinned.files:
            listed = ", ".join(_expressions(table, frozenset()))
            frame = self._session.sql(f"SELECT {listed} WHERE FALSE")
        else:
            found = self._files(pinned)
            self._read.append(pinned)
            frame = found.selectExpr(*_expressions(table, frozenset(map(str.lower, found.columns))))
        frame.createOrReplaceTempView(table.name)

    def _files(self, pinned: PinnedTable) -> DataFrame:
        """The rows of the pinned files. Raises ``EngineError`` ``engine.files`` when one is not there."""
        found = self._session.read.parquet(*(self._path(path) for path in pinned.paths()))
        there = {unquote(path).rpartition("/")[2] for path in found.inputFiles()}
        if not there >= {file.path.rpartition("/")[2] for file in pinned.files}:
            raise _unread()
        return found

    def _path(self, path: str) -> str:
        scheme, mark, rest = path.partition("://")
        return f"{self._access.s3_scheme}://{rest}" if mark and scheme == "s3" else path

    def _call(self, work: Callable[[], _Given]) -> _Given:
        """Wait for the endpoint, or for the reason to wait no longer."""
        self._stop.check()
        future: Future[_Given] = Future()
        future.add_done_callback(lambda _: self._wake.set())
        threading.Thread(target=_carried_out, args=(work, future), daemon=True).start()
        self._wake.wait()
        self._wake.clear()
        try:
            return future.result(timeout=GRACE_SECONDS if self._interrupted else None)
        except TimeoutError:
            self._stop.check()
            raise too_slow() from None
        except (PySparkException, grpc.RpcError, ValueError) as error:
            self._stop.check()
            raise _explained(error) from None


def _carried_out(work: Callable[[], _Given], future: "Future[_Given]") -> None:
    try:
        found = work()
    except BaseException as fault:  # noqa: BLE001 - raised again by who waits
        future.set_exception(fault)
    else:
        future.set_result(found)


def _unread() -> EngineError:
    return EngineError(
        "engine.files",
        "the Spark Connect endpoint cannot read a file of the release",
        "check that the endpoint reaches the store with its own keys, and that no one removed files",
    )


def _query(spark: SparkSession, asked: SparkStatement) -> DataFrame:
    arguments = {
        name: lit(value) if isinstance(value, list) else value for name, value in asked.arguments.items()
    }
    return spark.sql(asked.text, args=arguments)


def _explained(error: PySparkException | grpc.RpcError | ValueError) -> EngineError:
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    if condition in _NO_FILE:
        return _unread()
    if "checkpoint" in str(error) and "not configured" in str(error):
        return EngineError(
            "engine.spark_checkpoint",
            "the Spark Connect endpoint has no place for checkpoints",
            "start Sail with SAIL_EXECUTION__CHECKPOINT__PATH",
        )
    return EngineError("engine.failed", f"the Spark engine failed ({type(error).__name__})")


_NO_FILE = frozenset({"PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST", "FAILED_READ_FILE.NO_HINT"})


class SparkDatabase:
    """A release at a Spark Connect endpoint, under the names of its tables."""

    def __init__(self, release: Release | None, access: SparkAccess, seconds: float) -> None:
        self._release = release
        self._access = access
        self._seconds = seconds
        self._run: SparkRun | None = None

    def close(self) -> None:
        """Nothing is held between runs."""

    def require(self, tables: frozenset[str]) -> None:
        """Make tables readable in the run that is under way."""
        if self._run is None:
            raise EngineError("engine.failed", "the Spark engine failed (no run)")
        self._run.require(tables)

    def text(self, statement: Statement) -> str:
        """Return what the endpoint is told, and what it keeps."""
        asked = translated(statement)
        if asked.makes is None:
            return asked.text
        kept = "-- computed once and kept until the run is over\n" if asked.kept else ""
        return f"{kept}CREATE TEMPORARY VIEW {asked.makes} AS {asked.text}"

    @contextmanager
    def session(self, stop: Stop) -> Iterator[SparkRun]:
        """Give a run that ends when time is over."""
        run = SparkRun(self._release, self._access, stop)
        timer = threading.Timer(self._seconds, stop.now, (too_slow(),))
        timer.daemon = True
        timer.start()
        try:
            with stop.guard(run):
                run.open()
                self._run = run
                yield run
                run.verify()
        finally:
            timer.cancel()
            self._run = None
            run.close()


def _expressions(table: Table, present: frozenset[str]) -> list[str]:
    return [_as_specified(item, item.name in present) for item in table.fields]


def _as_specified(item: Field, present: bool) -> str:
    """A column in the type of the data model; one that the files lack is NULL."""
    return f"CAST({f'`{item.name}`' if present else 'NULL'} AS {_TYPES[item.datatype]}) AS `{item.name}`"
