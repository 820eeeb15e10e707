"""Merge changed rows into a table by its key, and write empty tables, with DuckDB."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from atoll_node.errors import LakeError
from atoll_node.tables.writer import LocalFile
from atoll_schemas.tables import Table

Rows = Callable[[Path, str], Iterable[LocalFile]]


def merging(
    connection: duckdb.DuckDBPyConnection, spec: Table, new: Sequence[Path], old: Sequence[Path]
) -> Rows:
    """Return a writer of the old rows with the new ones in place of those that have their key."""
    same = " AND ".join(f'n."{name}" IS NOT DISTINCT FROM o."{name}"' for name in spec.key)
    rows = (
        f"SELECT * FROM {_files(new)} UNION ALL"
        f" SELECT o.* FROM {_files(old)} AS o"
        f" WHERE NOT EXISTS (SELECT 1 FROM {_files(new)} AS n WHERE {same})"
    )
    return lambda folder, stem: (_written(connection, rows, folder, stem),)


def empty(connection: duckdb.DuckDBPyConnection, spec: Table) -> Rows:
    """Return a writer of the table without rows."""
    columns = ", ".join(f'CAST(NULL AS {field.datatype.duckdb}) AS "{field.name}"' for field in spec.fields)
    return lambda folder, stem: (_written(connection, f"SELECT {columns} WHERE false", folder, stem),)


def _written(connection: duckdb.DuckDBPyConnection, rows: str, folder: Path, stem: str) -> LocalFile:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}-0.parquet"
    try:
        connection.execute(f"COPY ({rows}) TO {_text(file)} (FORMAT parquet, COMPRESSION zstd)")
    except duckdb.Error as error:
        # DuckDB's message may quote a value of a record, so only its kind is told.
        raise LakeError(
            "lake.merge",
            f"changed rows could not be merged ({type(error).__name__})",
            "see that the scratch folder has room, then run: atoll-node ingest",
        ) from None
    return LocalFile(file, file.stat().st_size, pq.read_metadata(file).num_rows)


def _files(files: Iterable[Path]) -> str:
    return "read_parquet([" + ", ".join(_text(file) for file in files) + "])"


def _text(file: Path) -> str:
    return "'" + str(file).replace("'", "''") + "'"
