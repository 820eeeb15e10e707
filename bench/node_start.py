"""Measure how soon a node is ready: a new process until it was in touch with its hub.

Its lake is on MinIO: 50 tables in two datasets, and 20 releases of them. The first start races writers at the
store, later ones find the proof. The hub is a scripted one.
Run: ``python -m bench.node_start``.
"""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from atoll_node.bootstrap import open_node, real_world
from atoll_node.bootstrap.network import enrol_node
from atoll_node.home import Home
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import S3Store
from atoll_node.tables.delta_adapter import Mark
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake, LocalFile, WriteRows
from atoll_schemas.tables import Table, core_1
from bench.figure import Figure
from bench.startup import milliseconds
from tests.support.minio import running_minio
from tests.support.node import NodeProcess
from tests.support.node_of_a_store import node_home
from tests.support.node_records import SITE
from tests.support.scripted_hub import scripted_hub

AGENT = "\n[agent]\npoll_seconds = 1\n"
DATASETS = ("north", "south")
TABLES, RELEASES = 50, 20
TARGET_SECONDS = 2.0
STARTS, QUICK_STARTS = 7, 3


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the line of a start, and what the first start takes."""
    starts = QUICK_STARTS if quick else STARTS
    with tempfile.TemporaryDirectory() as folder:
        first, later = measured(Path(folder), starts)
    empty = milliseconds("import duckdb, minio, httpx", starts) / 1000
    return (
        Figure(
            f"a node process until it is ready, {TABLES} tables and {RELEASES} releases on MinIO",
            f"{later:.2f} s at the median of {starts}",
            f"≤ {TARGET_SECONDS:.0f} s",
            later <= TARGET_SECONDS,
            f"the first start, which races writers at the store, takes {first:.2f} s; a Python that loads "
            f"DuckDB, minio and httpx and does nothing takes {empty:.2f} s",
        ),
    )


def measured(folder: Path, starts: int) -> tuple[float, float]:
    """Return the seconds of the first start, and the median of later ones."""
    with running_minio(folder / "minio") as server, scripted_hub() as hub:
        store = server.store(folder / "keys", prefix="bench")
        home = node_home(folder / "node", store, hub=hub.url, extra=AGENT)
        enrol_node(open_node(home, real_world()), hub.code())
        for dataset in DATASETS:
            make_releases(home, store, dataset, folder / "scratch")
        node = NodeProcess(SITE, home.root)
        taken = [_start(node) for _ in range(1 + starts)]
    return taken[0], statistics.median(taken[1:])


def _start(node: NodeProcess) -> float:
    begun = time.perf_counter()
    node.launch()
    node.wait_for("connected")
    taken = time.perf_counter() - begun
    node.stop()
    return taken


def make_releases(home: Home, store: S3Store, dataset: str, scratch: Path) -> None:
    """Write a dataset's tables and freeze it again and again, each time with one commit more."""
    lake = Lake(places_of(home, store), dataset, scratch)
    specs = core_1().tables[: TABLES // len(DATASETS)]
    for number in range(RELEASES // len(DATASETS)):
        for spec in specs if number == 0 else (specs[number],):
            mark = Mark(f"bench-{number}", 1)
            lake.commit(lake.table(spec), _row(spec), (mark,), removed=(), content=number, written_at=0)
        draft = Release(
            name="draft",
            site=SITE,
            dataset=dataset,
            created_at=datetime.now(UTC),
            tables=lake.pinned(),
            synthetic=True,
            content_digest="",
        )
        Releases(home).freeze(draft)


def _row(spec: Table) -> WriteRows:
    """Return a writer of one row without values."""

    def write(folder: Path, stem: str) -> tuple[LocalFile, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{stem}-0.parquet"
        columns = ", ".join(
            f'CAST(NULL AS {field.datatype.duckdb}) AS "{field.name}"' for field in spec.fields
        )
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT {columns}) TO '{file}' (FORMAT parquet)")
        return (LocalFile(file, file.stat().st_size, 1),)

    return write


if __name__ == "__main__":
    for line in figures(quick=True):
        print(f"{line.work}: {line.measured} ({line.to_reach}) {line.detail}")
