"""Measure the node's aggregate over a Delta table on MinIO against plain DuckDB on the same objects.

Cold: a new engine and a new DuckDB each time. Warm: the ones that asked before. Data and question are of
``bench.aggregate``. Run: ``python -m bench.aggregate_minio --rows 2000000``.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from atoll_node.engine import DuckDbEngine, S3Access
from atoll_node.engine.connection import reach
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from bench.aggregate import (
    CONCEPT,
    PLAIN,
    QUICK_ROWS,
    ROWS,
    _check_equal,
    _paths,
    _seconds,
    make_query,
    make_release,
)
from bench.figure import Figure
from tests.support.minio import ACCESS, BUCKET, SECRET, running_minio
from tests.support.s3_server import S3Server

TARGET = 1.25
THREADS = 2


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the ratios, cold and warm."""
    rows = QUICK_ROWS if quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rows, 3 if quick else 5)
    return tuple(
        Figure(
            f"node aggregate over a {rows:,}-row Delta table on MinIO, {name}",
            f"{ours / theirs:.2f} × ({ours:.2f} s beside {theirs:.2f} s)",
            f"≤ {TARGET} × DuckDB `read_parquet` over the same objects",
            ours / theirs <= TARGET,
        )
        for name, (ours, theirs) in found.items()
    )


def measure(folder: Path, rows: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the medians of both sides, cold and warm."""
    local = make_release(folder / "lake", rows)
    with running_minio(folder / "minio") as server:
        release = uploaded(local, folder / "lake", server)
        access = S3Access(server.endpoint, ACCESS, SECRET)
        found: dict[str, tuple[list[float], list[float]]] = {"cold": ([], []), "warm": ([], [])}
        for number in range(rounds):
            ours, theirs = Node(folder / f"scratch-{number}", access, release), Plain(access, release)
            for name in ("cold", "warm"):
                found[name][0].append(_seconds(ours.ask))
                found[name][1].append(_seconds(theirs.ask))
            _check_equal(ours.summary, theirs.rows)
            ours.close()
            theirs.close()
    return {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in found.items()}


def uploaded(release: Release, folder: Path, server: S3Server) -> Release:
    """Put the tables, logs and all, into the bucket; return the release with its tables there."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            server.client.fput_object(BUCKET, f"bench/{file.relative_to(folder)}", str(file))
    tables = [
        table.model_copy(update={"uri": f"s3://{BUCKET}/bench/{table.name}"}) for table in release.tables
    ]
    return release.model_copy(update={"tables": tuple(tables)})


class Node:
    """A node's engine, made when the first question comes."""

    def __init__(self, scratch: Path, access: S3Access, release: Release) -> None:
        self._made = (EngineSettings(memory="4GB", threads=THREADS, seconds=600), scratch, access)
        self._release = release
        self._engine: DuckDbEngine | None = None

    def ask(self) -> None:
        """Answer the question."""
        self._engine = self._engine or DuckDbEngine(*self._made)
        raw = self._engine.run(make_query(), self._release, clock=time.monotonic)
        self.summary = raw.analysis.summaries[0]

    def close(self) -> None:
        """Let go of memory."""
        if self._engine is not None:
            self._engine.close()


class Plain:
    """A DuckDB that knows the objects and the SQL, opened when the first question comes."""

    def __init__(self, access: S3Access, release: Release) -> None:
        self._access = access
        self._text = PLAIN.format(concept=CONCEPT, **_paths(release))
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.rows: list[tuple[object, ...]] = []

    def ask(self) -> None:
        """Answer the question."""
        if self._connection is None:
            self._connection = duckdb.connect(config={"memory_limit": "4GB", "threads": THREADS})
            self._connection.execute("SET preserve_insertion_order = false")
            reach(self._connection, self._access)
        self.rows = self._connection.execute(self._text).fetchall()

    def close(self) -> None:
        """Let go of memory."""
        if self._connection is not None:
            self._connection.close()


def main() -> None:
    """Print the lines of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, (ours, theirs) in measure(Path(folder), options.rows, options.rounds).items():
            print(
                f"{options.rows:,} rows, {name}: {ours / theirs:.2f} × ({ours:.2f} s beside {theirs:.2f} s)"
            )


if __name__ == "__main__":
    main()
