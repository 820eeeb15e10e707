"""Count over exactly the pinned files of a release, in a DuckDB that can read nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from atoll_node.errors import LakeError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings

Row = tuple[int | str | None, ...]


class ReleaseView:
    """A read-only view on one release; its SQL comes from this package alone."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, columns: dict[str, frozenset[str]]) -> None:
        self._connection = connection
        self._columns = columns

    def has(self, table: str, *fields: str) -> bool:
        """Whether the release has the table with these fields."""
        return table in self._columns and self._columns[table].issuperset(fields)

    def rows(self, sql: str, values: Sequence[int | str] = ()) -> list[Row]:
        """Return the rows of a statement; a failure tells no value."""
        try:
            return self._connection.execute(sql, list(values)).fetchall()
        except duckdb.Error:
            fault = LakeError("catalog.count", "a figure of the catalog could not be counted")
        raise fault


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


Prepare = Callable[[duckdb.DuckDBPyConnection], None]


@contextmanager
def opened(
    release: Release,
    settings: EngineSettings,
    *,
    scratch: Path | None = None,
    prepare: Prepare | None = None,
) -> Iterator[ReleaseView]:
    """Open the release's files and nothing else; its tables are views of their own names.

    Large counts spill below ``scratch``. For files on S3, ``prepare`` gives the connection the store's key.
    """
    with duckdb.connect(":memory:") as connection:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
            connection.execute(f"set temp_directory = {_literal(str(scratch))}")
            connection.execute(f"set max_temp_directory_size = {_literal(settings.spill)}")
        if prepare is not None:
            prepare(connection)
        yield over(connection, release, settings)


def over(connection: duckdb.DuckDBPyConnection, release: Release, settings: EngineSettings) -> ReleaseView:
    """Make the views on a connection, then close every other way out of it."""
    connection.execute(f"set memory_limit = {_literal(settings.memory)}")
    connection.execute(f"set threads = {settings.threads}")
    columns = {}
    paths: list[str] = []
    for table in release.tables:
        if not table.files:
            continue
        files = ", ".join(_literal(path) for path in table.paths())
        connection.execute(
            f"create view {quoted(table.name)} as"
            f" select * from read_parquet([{files}], hive_partitioning = false)"
        )
        paths += table.paths()
        described = connection.execute(f"describe {quoted(table.name)}").fetchall()
        columns[table.name] = frozenset(str(row[0]) for row in described)
    allowed = ", ".join(_literal(path) for path in paths)
    for setting in (
        f"allowed_paths = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return ReleaseView(connection, columns)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
