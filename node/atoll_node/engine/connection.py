"""Wrap DuckDB: a database per release that can read the release's files and nothing else.

Only the pinned paths are allowed, external access is off, and the configuration is locked before the
first query. Memory, threads, spill and time are bounded. DuckDB's own error texts may quote a patient's
value, so they never leave this module.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as declared
from pathlib import Path
from typing import Any, Protocol

import duckdb
import duckdb_extension_httpfs  # type: ignore[import-untyped]
import pyarrow as pa
from numpy.typing import NDArray

from atoll_node.arrow_arrays import array_of
from atoll_node.engine.model_tables import table_spec
from atoll_node.engine.sql import Statement, path_literal, quoted
from atoll_node.errors import EngineError
from atoll_node.release import PinnedTable, Release
from atoll_node.settings import EngineSettings
from atoll_schemas.tables import Field, Table

Row = tuple[Any, ...]
Numbers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class S3Access:
    """How to reach a bucket. The secret is in no text form of this value."""

    endpoint: str
    """``host:port`` or an ``http(s)://`` URL."""
    access_key: str = declared(repr=False)
    secret_key: str = declared(repr=False)
    region: str = "us-east-1"
    path_style: bool = True
    ca_file: Path | None = None


class Interruptible(Protocol):
    """What can be told from another thread to end."""

    def interrupt(self) -> None: ...


class Stop:
    """Says once, from any thread, why a run must end; the first reason counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: EngineError | None = None
        self._guarded: list[Interruptible] = []

    def now(self, reason: EngineError) -> None:
        """End the run that is under way, or that is about to begin."""
        with self._lock:
            self._reason = self._reason or reason
            for guarded in self._guarded:
                guarded.interrupt()

    @contextmanager
    def guard(self, guarded: Interruptible) -> Iterator[None]:
        """Interrupt this too, for as long as the context lasts."""
        with self._lock:
            self._guarded.append(guarded)
        try:
            yield
        finally:
            with self._lock:
                self._guarded.remove(guarded)

    def check(self) -> None:
        """Raise the reason, if there is one."""
        if self._reason is not None:
            raise self._reason


class _Unasked:
    """Keep DuckDB from loading pandas, half a second, only to see whether a parameter is one of its values.

    While a statement runs, the import finds nothing; afterwards it works as ever.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside or self._name not in sys.modules:
                self._inside += 1
                sys.modules[self._name] = None  # type: ignore[assignment]

    def __exit__(self, *fault: object) -> None:
        with self._lock:
            if self._inside:
                self._inside -= 1
                if not self._inside:
                    del sys.modules[self._name]


_PANDAS_UNASKED = _Unasked("pandas")


class Session:
    """One run's cursor: temporary tables of its own, stopped when its time is over."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, stop: Stop) -> None:
        self._cursor = cursor
        self._stop = stop
        self._begun: list[tuple[duckdb.DuckDBPyConnection, Future[Numbers]]] = []

    def check(self) -> None:
        """Raise what must end the run, if there is anything."""
        self._stop.check()

    def run(self, statement: Statement) -> None:
        """Run a statement for its effect."""
        self._execute(statement, lambda _: None)

    def rows(self, statement: Statement) -> list[Row]:
        """Return all rows of a small answer."""
        return list(self._execute(statement, duckdb.DuckDBPyConnection.fetchall))

    def numbers(self, statement: Statement) -> Numbers:
        """Return the columns of a large answer, which come as Arrow."""
        found: pa.Table = self._execute(statement, duckdb.DuckDBPyConnection.to_arrow_table)
        return {name: array_of(found.column(name)) for name in found.column_names}

    def ahead(self, statement: Statement) -> Callable[[], Numbers]:
        """Begin to read on a thread and a cursor of its own, and return what waits for the columns.

        Temporary tables of this session are not seen.
        """
        cursor = self._cursor.cursor()
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self._read_beside, cursor, statement)
        pool.shutdown(wait=False)
        self._begun.append((cursor, future))
        return future.result

    def _read_beside(self, cursor: duckdb.DuckDBPyConnection, statement: Statement) -> Numbers:
        with self._stop.guard(cursor):
            return Session(cursor, self._stop).numbers(statement)

    def close(self) -> None:
        """End what was begun and not waited for."""
        for cursor, future in self._begun:
            while not future.done():
                cursor.interrupt()
                wait([future], _AGAIN_SECONDS)
            cursor.close()
        self._cursor.close()

    def _execute(self, statement: Statement, take: Callable[[duckdb.DuckDBPyConnection], Any]) -> Any:
        """Run a statement and take what it gives; most of the work may happen only then."""
        self._stop.check()
        try:
            with _PANDAS_UNASKED:
                begun = self._cursor.execute(statement.text, statement.parameters)
            return take(begun)
        except duckdb.InterruptException:
            self._stop.check()
            raise too_slow() from None
        except duckdb.Error as error:
            raise _explained(error) from None


_AGAIN_SECONDS = 0.05
"""An interrupt that comes just before a statement begins is lost, so it is said again."""


class Reader:
    """Reads with a cursor of its own for each statement, so that threads do not wait for each other."""

    def __init__(self, database: duckdb.DuckDBPyConnection, stop: Stop) -> None:
        self._database = database
        self._stop = stop

    def numbers(self, statement: Statement) -> Numbers:
        """Return the columns of a large answer."""
        cursor = self._database.cursor()
        try:
            return Session(cursor, self._stop).numbers(statement)
        finally:
            cursor.close()


def too_slow() -> EngineError:
    return EngineError(
        "engine.time",
        "the query took longer than the node allows",
        "ask for less, or raise engine.seconds in the node's settings",
    )


def _explained(error: duckdb.Error) -> EngineError:
    if isinstance(error, duckdb.OutOfMemoryException):
        return EngineError(
            "engine.memory",
            "the query needs more memory or spill than the node allows",
            "ask for less, or raise engine.memory or engine.spill in the node's settings",
        )
    if isinstance(error, (duckdb.IOException, duckdb.HTTPException, duckdb.PermissionException)):
        return EngineError(
            "engine.files",
            "a file of the release cannot be read",
            "check the store, and that no one removed files of the release",
        )
    return EngineError("engine.failed", f"the engine failed ({type(error).__name__})")


class ReleaseDatabase:
    """A DuckDB database in memory over exactly the files of one release."""

    def __init__(
        self, release: Release, settings: EngineSettings, scratch: Path, s3: S3Access | None
    ) -> None:
        self._release = release
        self._views: set[str] = set()
        self._seconds = settings.seconds
        try:
            self._database = _opened(release, settings, scratch, s3)
        except duckdb.Error as error:
            raise _explained(error) from None

    def close(self) -> None:
        """Let go of files and memory."""
        self._database.close()

    def require(self, tables: frozenset[str]) -> None:
        """Make the tables readable under their names; a table that the release lacks is empty."""
        for name in sorted(tables - self._views):
            try:
                self._database.execute(self._view(table_spec(name)))
            except duckdb.Error as error:
                raise _explained(error) from None
            self._views.add(name)

    def text(self, statement: Statement) -> str:
        """Return what DuckDB is told."""
        return statement.text

    @contextmanager
    def session(self, stop: Stop) -> Iterator[Session]:
        """Give a cursor whose temporary tables vanish at the end, and that ends when time is over."""
        cursor = self._database.cursor()
        session = Session(cursor, stop)
        timer = threading.Timer(self._seconds, stop.now, (too_slow(),))
        timer.daemon = True
        timer.start()
        try:
            with stop.guard(cursor):
                yield session
        finally:
            timer.cancel()
            session.close()

    @contextmanager
    def reading(self, stop: Stop) -> Iterator["Reader"]:
        """Give what several threads may read through at once; nothing is made, and no time is set."""
        yield Reader(self._database, stop)

    def _view(self, table: Table) -> str:
        pinned = self._release.table(table.name)
        if pinned is None or not pinned.files:
            columns = ", ".join(
                f"NULL::{item.datatype.duckdb} AS {quoted(item.name)}" for item in table.fields
            )
            return f"CREATE VIEW {quoted(table.name)} AS SELECT {columns} WHERE FALSE"
        source = f"read_parquet({_paths(pinned)}, hive_partitioning = false)"
        described = self._database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        columns = _columns(table, dict(_named(described)))
        return f"CREATE VIEW {quoted(table.name)} AS SELECT {columns} FROM {source}"


def _named(described: list[Row]) -> Iterator[tuple[str, str]]:
    for row in described:
        yield str(row[0]).lower(), str(row[1])


def _columns(table: Table, present: Mapping[str, str]) -> str:
    return ", ".join(_as_specified(item, present.get(item.name)) for item in table.fields)


def _as_specified(item: Field, found: str | None) -> str:
    """A column in the type of the data model; one that the files lack is NULL."""
    name = quoted(item.name)
    if found == item.datatype.duckdb:
        return name
    return f"{'NULL' if found is None else name}::{item.datatype.duckdb} AS {name}"


def _paths(table: PinnedTable) -> str:
    return "[" + ", ".join(path_literal(path) for path in table.paths()) + "]"


def _opened(
    release: Release, settings: EngineSettings, scratch: Path, s3: S3Access | None
) -> duckdb.DuckDBPyConnection:
    spill = scratch / "engine"
    spill.mkdir(parents=True, exist_ok=True)
    database = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.memory,
            "threads": settings.threads,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        },
    )
    # In the configuration at connect DuckDB 1.5 takes this bound, shows it, and does not hold to it.
    database.execute(f"SET max_temp_directory_size = {path_literal(settings.spill)}")
    if s3 is not None:
        reach(database, s3)
    paths = [path for table in release.tables for path in table.paths()]
    database.execute(f"SET allowed_paths = [{', '.join(path_literal(path) for path in paths)}]")
    database.execute("SET parquet_metadata_cache = true")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def reach(database: duckdb.DuckDBPyConnection, s3: S3Access) -> None:
    """Let a database read the bucket: S3 support from the wheel, the keys in DuckDB's own secret store.

    The keys are bound, not written into the statement, so that no log of statements holds them.
    """
    folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    database.execute(f"LOAD {path_literal(str(folder / 'httpfs.duckdb_extension'))}")
    if s3.ca_file is not None:
        # For the whole database: queries run on cursors, which do not see what one connection sets.
        database.execute(f"SET GLOBAL ca_cert_file = {path_literal(str(s3.ca_file))}")
    scheme, _, host = s3.endpoint.rpartition("://")
    options = {
        "key_id": s3.access_key,
        "secret": s3.secret_key,
        "region": s3.region,
        "endpoint": host.rstrip("/"),
        "url_style": "path" if s3.path_style else "vhost",
        "use_ssl": scheme != "http",
    }
    bound = ", ".join(f"{name} ${name}" for name in options)
    database.execute(f"CREATE SECRET atoll (TYPE s3, {bound})", options)
