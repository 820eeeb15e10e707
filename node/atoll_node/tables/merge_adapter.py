"""Put new rows in the place of old ones, and write empty tables, with DuckDB.

A merge rewrites the files that hold a row to be replaced, and leaves the others as they are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from atoll_node.errors import LakeError
from atoll_node.row_files import ROWS_PER_GROUP, row_files
from atoll_node.tables.writer import WriteRows
from atoll_schemas.tables import Table


@dataclass(frozen=True)
class Leaving:
    """Rows of a table that go: those for which the condition holds of an old row ``o``."""

    spec: Table
    condition: str
    new: Sequence[str] = ()
    """Files of rows that come in their place."""


@dataclass(frozen=True)
class Replacement:
    """New rows of a table, and which old rows they replace: those of their keys, and of their persons."""

    spec: Table
    new: Sequence[str]
    persons: str | None = None
    """A query of the pseudonyms of persons whose rows are all replaced."""
    owners: Sequence[str] | None = None
    """Files of the table that the rows belong to: a row whose owner is gone, goes."""

    @property
    def condition(self) -> str:
        """Return the condition under which an old row ``o`` goes."""
        spec = self.spec
        goes = [self._same_key] if spec.key else []
        if self.persons is not None and spec.person_field is not None:
            goes.append(f"o.{_name(spec.person_field)} IN ({self.persons})")
        if self.owners is not None and spec.link is not None:
            field = _name(spec.link.field)
            goes.append(f"o.{field} NOT IN (SELECT {field} FROM {source(self.owners)})")
        return " OR ".join(f"coalesce({one}, false)" for one in goes) or "false"

    @property
    def _same_key(self) -> str:
        if len(self.spec.key) == 1:
            key = _name(self.spec.key[0])
            return f"o.{key} IN (SELECT {key} FROM {source(self.new)})"
        same = " AND ".join(f"n.{_name(name)} IS NOT DISTINCT FROM o.{_name(name)}" for name in self.spec.key)
        return f"EXISTS (SELECT 1 FROM {source(self.new)} AS n WHERE {same})"


def touched(
    connection: duckdb.DuckDBPyConnection, replacement: Replacement | Leaving, old: Sequence[str]
) -> frozenset[str]:
    """Return which of the table's files hold a row that goes.

    Each file is read until the first such row: where all hold some, little is read.
    """
    return frozenset(file for file in old if _holds(connection, replacement.condition, file))


def _holds(connection: duckdb.DuckDBPyConnection, condition: str, file: str) -> bool:
    return bool(run(connection, f"SELECT 1 FROM {source((file,))} AS o WHERE {condition} LIMIT 1"))


def replacing(
    connection: duckdb.DuckDBPyConnection, replacement: Replacement | Leaving, old: Iterable[str]
) -> WriteRows:
    """Return a writer of the new rows and of those rows of the ``old`` files that stay."""
    names = ", ".join(_name(field.name) for field in replacement.spec.fields)
    parts = [f"SELECT {names} FROM {source(replacement.new)}"] if replacement.new else []
    found = sorted(old)
    if found:
        parts.append(f"SELECT {names} FROM {source(found)} AS o WHERE NOT ({replacement.condition})")
    if not parts:
        return empty(replacement.spec)
    rows = " UNION ALL ".join(parts)
    return _writer(connection, replacement.spec, rows)


def count(connection: duckdb.DuckDBPyConnection, leaving: Leaving, old: Sequence[str]) -> int:
    """Return how many rows of the files would go."""
    if not old:
        return 0
    found = run(connection, f"SELECT count(*) FROM {source(old)} AS o WHERE {leaving.condition}")
    return int(str(found[0][0]))


def clustered(connection: duckdb.DuckDBPyConnection, spec: Table, old: Sequence[str]) -> WriteRows:
    """Return a writer of the rows of the ``old`` files, sorted by person where the table names one."""
    names = ", ".join(_name(field.name) for field in spec.fields)
    by = (spec.person_field,) if spec.person_field is not None else spec.key
    order = f" ORDER BY {', '.join(map(_name, by))}" if by else ""
    return _writer(connection, spec, f"SELECT {names} FROM {source(old)}{order}")


def empty(spec: Table) -> WriteRows:
    """Return a writer of the table without rows."""
    return lambda folder, stem: row_files(spec, (), folder, stem)


def _writer(connection: duckdb.DuckDBPyConnection, spec: Table, rows: str) -> WriteRows:
    return lambda folder, stem: row_files(spec, _batches(connection, rows), folder, stem)


def _batches(connection: duckdb.DuckDBPyConnection, rows: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from connection.execute(rows).to_arrow_reader(ROWS_PER_GROUP)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _failed(error) from None


def run(connection: duckdb.DuckDBPyConnection, statement: str) -> list[tuple[object, ...]]:
    """Run one statement; a failure tells its kind and no value."""
    try:
        rows: list[tuple[object, ...]] = connection.execute(statement).fetchall()
    except duckdb.Error as error:
        raise _failed(error) from None
    return rows


def _failed(error: Exception) -> LakeError:
    """Tell the kind of the error alone: DuckDB's message may quote a value of a record."""
    return LakeError(
        "lake.merge",
        f"changed rows could not be merged ({type(error).__name__})",
        "see that the store answers and the scratch folder has room, then run: atoll-node ingest",
    )


def source(files: Iterable[str], *options: str) -> str:
    """Return the relation that reads a table's files."""
    listed = "[" + ", ".join(_text(file) for file in files) + "]"
    return f"read_parquet({', '.join((listed, *options))})"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
