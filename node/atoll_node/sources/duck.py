"""Run DuckDB for the source stage: bounded, on local files only, with checked SQL parts."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path
from typing import Any

import duckdb

MEMORY = "1GB"
_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


def connect(scratch: Path, threads: int) -> duckdb.DuckDBPyConnection:
    """Return a connection that spills into ``scratch`` and loads no extension."""
    spill = scratch / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def name(identifier: str) -> str:
    """Return a quoted identifier. Only names of specifications and our own pass."""
    if not _IDENTIFIER.match(identifier):
        raise ValueError("an identifier is not of a specification")
    return f'"{identifier}"'


def text(value: str) -> str:
    """Return an SQL string literal: a path, a code of a checked mapping, a constant."""
    if "\0" in value:
        raise ValueError("a literal holds a NUL byte")
    return "'" + value.replace("'", "''") + "'"


def parquet(file: Path) -> str:
    """Return the table function that reads one Parquet file."""
    return f"read_parquet({text(str(file))})"


def parquets(files: tuple[Path, ...]) -> str:
    """Return the table function that reads several Parquet files as one relation."""
    return "read_parquet([" + ", ".join(text(str(file)) for file in files) + "])"


def copy(select: str, file: Path) -> str:
    """Return the statement that writes a select into a Parquet file of scratch, quickly rather than small."""
    return f"COPY ({select}) TO {text(str(file))} (FORMAT parquet, COMPRESSION lz4)"


def run(
    connection: duckdb.DuckDBPyConnection, statement: str, watch: Callable[[float], None] | None = None
) -> Any:
    """Run one statement, telling ``watch`` the share done (0 to 1); return the first row or ``None``."""
    if watch is None:
        return connection.execute(statement).fetchone()
    with ThreadPoolExecutor(max_workers=1) as worker:
        pending = worker.submit(lambda: connection.execute(statement).fetchone())
        while True:
            try:
                return pending.result(timeout=0.5)
            except TimeoutError:
                if pending.done():
                    raise
                watch(max(0.0, min(1.0, connection.query_progress() / 100)))
