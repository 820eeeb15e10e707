"""Read a Delta table's files with DuckDB as the engine does, in so little memory that it must spill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from atoll_node.engine.sql import path_literal
from atoll_node.errors import EngineError
from atoll_node.settings import EngineSettings

Prepare = Callable[[duckdb.DuckDBPyConnection], None]
_MEMORY = "64MB"
_SPILLED_ROWS = 12_000_000


@dataclass(frozen=True)
class Reading:
    """Rows that were read, and bytes that were spilled meanwhile."""

    rows: int
    spilled: int


def read_with_spill(
    files: Sequence[str], settings: EngineSettings, scratch: Path, prepare: Prepare | None
) -> Reading:
    """Return what was read and spilled. ``prepare`` lets the database reach the bucket."""
    spill = scratch / "doctor"
    spill.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect(":memory:", config=_config(spill)) as database:
            database.execute("SET enable_progress_bar = false")
            database.execute(f"SET max_temp_directory_size = {path_literal(settings.spill)}")
            if prepare is not None:
                prepare(database)
            listed = "[" + ", ".join(path_literal(file) for file in files) + "]"
            rows = _one(database, f"SELECT count(*) FROM read_parquet({listed})")
            database.execute(
                f"CREATE TEMP TABLE spilled AS SELECT hash(range) AS a, hash(range + 1) AS b "
                f"FROM range({_SPILLED_ROWS})"
            )
            return Reading(rows, _one(database, "SELECT sum(size) FROM duckdb_temporary_files()"))
    except duckdb.OutOfMemoryException:
        raise EngineError(
            "engine.memory",
            "DuckDB may not spill enough to disk for a query",
            "raise engine.spill, and see that the disk of the node's home has room",
        ) from None
    except duckdb.Error as error:
        raise EngineError(
            "engine.files",
            f"DuckDB could not read the table or spill to disk ({type(error).__name__})",
            "see that the store answers and that the node's user may write to scratch/ in its home",
        ) from None


def _config(spill: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": _MEMORY,
        "threads": 1,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _one(database: duckdb.DuckDBPyConnection, question: str) -> int:
    row = database.execute(question).fetchone()
    return int(row[0] or 0) if row else 0
