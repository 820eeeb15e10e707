"""Measure a query after 1,000 small commits on MinIO: before maintenance, after it, and on a fresh table.

Each answer is a new engine's first, from a release frozen then, its tables opened for it.
Run: ``python -m bench.small_commits --commits 100``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from atoll_node.engine import DuckDbEngine, S3Access
from atoll_node.home import Home
from atoll_node.keys import make_secrets
from atoll_node.maintenance.work import maintain
from atoll_node.raw import RawAggregate
from atoll_node.release import Release
from atoll_node.settings import EngineSettings, NodeSettings, S3Store
from atoll_node.tables.delta_adapter import Mark
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake, LocalFile, WriteRows
from atoll_schemas.tables import Table, table
from bench.aggregate import CONCEPT, make_query
from bench.figure import Figure
from tests.support.minio import ACCESS, SECRET, running_minio
from tests.support.s3_server import S3Server

COMMITS, QUICK_COMMITS = 1_000, 60
ROWS = 1_000
"""Measurements of one commit."""
PERSONS = 20_000
TARGET = 1.2
ROUNDS = 5
WHOLE = {
    "person": "i AS person_id, CASE WHEN i % 2 = 0 THEN 8532 ELSE 8507 END AS gender_concept_id, "
    "1950 AS year_of_birth",
    "observation_period": "i AS observation_period_id, i AS person_id, "
    "DATE '2000-01-01' AS observation_period_start_date, DATE '2019-12-31' AS observation_period_end_date",
}
MEASUREMENT = (
    f"i AS measurement_id, (hash(i) % {PERSONS})::BIGINT AS person_id, {CONCEPT} AS measurement_concept_id, "
    "DATE '2000-01-01' + (hash(i + 1) % 7000)::INTEGER AS measurement_date, "
    "50 + (hash(i + 2) % 100000) / 1000.0 AS value_as_number"
)


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return what maintenance makes of many small commits."""
    commits = QUICK_COMMITS if quick else COMMITS
    with tempfile.TemporaryDirectory() as folder:
        before, after, fresh, spent = measured(Path(folder), commits)
    return (
        Figure(
            f"a query after {commits:,} small commits on MinIO, before maintenance",
            f"{before / fresh:.2f} × ({before:.2f} s beside {fresh:.2f} s)",
            "reported beside a freshly written table",
            None,
        ),
        Figure(
            f"a query after {commits:,} small commits on MinIO, after maintenance",
            f"{after / fresh:.2f} × ({after:.2f} s beside {fresh:.2f} s)",
            f"≤ {TARGET} × a freshly written table",
            after / fresh <= TARGET,
            f"maintenance takes {spent:.1f} s",
        ),
    )


def measured(folder: Path, commits: int) -> tuple[float, float, float, float]:
    """Return the seconds of a query before and after maintenance and on a fresh table, and of maintenance."""
    with running_minio(folder / "minio") as server:
        store = server.store(folder / "keys", prefix="bench")
        home = Home(folder / "home")
        home.root.mkdir()
        make_secrets(home, bytes(range(32)))
        node = NodeSettings(site="bench", title="B", hub="http://127.0.0.1", store=store)
        grown, written = (_lake(home, store, name, folder / "scratch") for name in ("grown", "fresh"))
        _fill(grown, [range(n * ROWS, (n + 1) * ROWS) for n in range(commits)])
        _fill(written, [range(commits * ROWS)])
        before, first = _asked(grown, server, folder / "engine")
        begun = time.perf_counter()
        maintain("grown", node=node, home=home, clock=lambda: datetime.now(UTC))
        spent = time.perf_counter() - begun
        after, second = _asked(grown, server, folder / "engine")
        fresh, third = _asked(written, server, folder / "engine")
    if not _said(first) == _said(second) == _said(third):
        raise ValueError("the same rows gave different answers")
    return before, after, fresh, spent


def _lake(home: Home, store: S3Store, dataset: str, scratch: Path) -> Lake:
    return Lake(places_of(home, store), dataset, scratch)


def _fill(lake: Lake, parts: Iterable[range]) -> None:
    """Write the measurements, one commit for each part, and the two small tables in one commit each."""
    for name, columns in WHOLE.items():
        _commit(lake, table(name), columns, range(PERSONS), 0)
    for number, part in enumerate(parts):
        _commit(lake, table("measurement"), MEASUREMENT, part, number)


def _commit(lake: Lake, spec: Table, columns: str, part: range, number: int) -> None:
    target = lake.table(spec)
    mark = Mark("bench", number)
    lake.commit(target, _rows(spec, columns, part), (mark,), removed=(), content=number, written_at=0)


def _rows(spec: Table, columns: str, part: range) -> WriteRows:
    """Return a writer of one file, sorted by person as a fresh ingest leaves it."""

    def write(folder: Path, stem: str) -> tuple[LocalFile, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{stem}-0.parquet"
        with duckdb.connect() as connection:
            given = f"(SELECT {columns} FROM range({part.start}, {part.stop}) t(i))"
            known = {name for (name, *_) in connection.execute(f"DESCRIBE FROM {given}").fetchall()}
            fields = ", ".join(
                f"CAST({field.name if field.name in known else 'NULL'} AS {field.datatype.duckdb}) "
                f'AS "{field.name}"'
                for field in spec.fields
            )
            rows = f"SELECT {fields} FROM {given} ORDER BY person_id"
            connection.execute(f"COPY ({rows}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
        return (LocalFile(file, file.stat().st_size, len(part)),)

    return write


def _asked(lake: Lake, server: S3Server, scratch: Path) -> tuple[float, RawAggregate]:
    """Return the median seconds of a new engine's first answer, and the answer."""
    access, taken = S3Access(server.endpoint, ACCESS, SECRET), []
    for _ in range(ROUNDS):
        engine = DuckDbEngine(EngineSettings(memory="2GB", threads=2, seconds=600), scratch, access)
        begun = time.perf_counter()
        answer = engine.run(make_query(), _release(lake), clock=time.monotonic)
        taken.append(time.perf_counter() - begun)
        engine.close()
    return statistics.median(taken), answer


def _said(answer: RawAggregate) -> list[tuple[object, ...]]:
    """Return the figures of an answer."""
    (summary,) = answer.analysis.summaries
    return [(group.group, group.persons, group.n, group.mean, group.m2) for group in summary.groups]


def _release(lake: Lake) -> Release:
    return Release(
        name="bench-0001",
        site="bench",
        dataset="bench",
        created_at=datetime.now(UTC),
        tables=lake.pinned(),
        content_digest="",
    )


def main() -> None:
    """Print the lines of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=100)
    commits = parser.parse_args().commits
    with tempfile.TemporaryDirectory() as folder:
        before, after, fresh, spent = measured(Path(folder), commits)
    print(
        f"{commits} commits: before {before:.2f} s, after {after:.2f} s, fresh {fresh:.2f} s, ratio after "
        f"{after / fresh:.2f} (to reach: {TARGET}); maintenance {spent:.1f} s"
    )


if __name__ == "__main__":
    main()
