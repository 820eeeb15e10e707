"""Measure a feed into Delta tables on MinIO: the first load, the same again, and one person in a hundred.

The first load stands beside DuckDB's own ``COPY csv TO parquet`` on the same store. The measurements are
synthetic: drawn from a seed, of no person. Run: ``python -m bench.feed --rows 2000000``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from atoll_node.engine.connection import S3Access, reach
from atoll_node.home import Home
from atoll_node.ingest import ingest, release
from atoll_node.keys import make_secrets
from atoll_node.settings import DatasetSettings, NodeSettings, S3Store
from bench.figure import Figure
from bench.ingest import generate, mean_of, processor_seconds
from tests.support.minio import ACCESS, BUCKET, SECRET, running_minio
from tests.support.s3_server import S3Server

ROWS, QUICK_ROWS = 20_000_000, 500_000
TARGET_RATIO, TARGET_MEMORY, TARGET_AGAIN, TARGET_CHANGED = 0.5, 2.0, 0.1, 0.15
ONE_IN = 100


def copy_seconds(folder: Path, server: S3Server) -> tuple[float, float]:
    """Return the seconds, and those of processors, of DuckDB's own COPY of the same files into the store."""
    used = processor_seconds()
    with duckdb.connect(config={"threads": 2}) as connection:
        reach(connection, S3Access(server.endpoint, ACCESS, SECRET))
        begun = time.perf_counter()
        for file in sorted(folder.glob("*.csv")):
            target = f"s3://{BUCKET}/plain/{file.stem}.parquet"
            connection.execute(f"COPY (FROM read_csv('{file}')) TO '{target}' (FORMAT parquet)")
        return time.perf_counter() - begun, processor_seconds() - used


def choose(folder: Path, chosen: Path) -> None:
    """Write the delivery of one person in a hundred: all their rows, one value corrected in each."""
    chosen.mkdir()
    with duckdb.connect() as connection:
        for file in sorted(folder.glob("*.csv")):
            changed = (
                " REPLACE (value_as_number + 1 AS value_as_number)" if file.stem == "measurement" else ""
            )
            rows = f"SELECT *{changed} FROM read_csv('{file}') WHERE person_id % {ONE_IN} = 0"
            connection.execute(f"COPY ({rows}) TO '{chosen / file.name}' (HEADER)")


def ingest_once(store: S3Store, root: Path, folder: Path) -> dict[str, float]:
    """Ingest in this process; return seconds, data files and peak memory in GB."""
    home = Home(root)
    if not home.pseudonym_key.exists():
        make_secrets(home, bytes(range(32)))
    dataset = DatasetSettings(
        name="bench", title="Synthetic", format="omop", path=folder, synthetic=True, load="persons"
    )
    node = NodeSettings(site="bench", title="B", hub="http://127.0.0.1", store=store, datasets=(dataset,))
    used, begun = processor_seconds(), time.perf_counter()
    report = ingest(dataset, node=node, home=home, clock=lambda: datetime.now(UTC))
    used, ended = processor_seconds() - used, time.perf_counter()
    frozen = release(dataset, node=node, home=home, clock=lambda: datetime.now(UTC))
    return {
        "seconds": ended - begun,
        "processor_seconds": used,
        "release_seconds": time.perf_counter() - ended,
        "changed": float(report.changed),
        "rows": float(sum(table.rows for table in frozen.tables)),
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }


def measured(rows: int, scratch: Path) -> dict[str, float]:
    """Load, load again, load the changes: each in a process of its own."""
    folder, chosen = scratch / "omop", scratch / "changed"
    generate(folder, rows)
    choose(folder, chosen)
    with running_minio(scratch / "minio") as server:
        store = server.store(scratch / "keys", prefix="bench").model_dump_json()

        def taken(source: Path) -> dict[str, float]:
            command = [sys.executable, "-m", "bench.feed", "--child", store]
            done = subprocess.run(
                [*command, str(scratch / "home"), str(source)], check=True, stdout=subprocess.PIPE, text=True
            )
            return dict(json.loads(done.stdout))

        def objects() -> int:
            found = server.client.list_objects(BUCKET, prefix="bench/", recursive=True)
            return sum(str(one.object_name).endswith(".parquet") for one in found)

        first_copy = copy_seconds(folder, server)
        first = taken(folder)
        copy, copy_used = mean_of(first_copy, copy_seconds(folder, server))
        before = objects()
        again = taken(folder)
        new_files = objects() - before
        changed = taken(chosen)
    if not (first["changed"] and changed["changed"]) or again["changed"] or changed["rows"] != first["rows"]:
        raise ValueError("the loads did not do what they are measured for")
    return {
        "rows": rows,
        "copy_seconds": copy,
        "copy_processor_seconds": copy_used,
        "first_seconds": first["seconds"],
        "first_processor_seconds": first["processor_seconds"],
        "changed_processor_seconds": changed["processor_seconds"],
        "release_seconds": first["release_seconds"],
        "again_seconds": again["seconds"],
        "changed_seconds": changed["seconds"],
        "new_files": new_files,
        "memory_gb": max(first["memory_gb"], changed["memory_gb"]),
    }


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the lines of the feed."""
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(QUICK_ROWS if quick else ROWS, Path(scratch))
    return lines(found)


def lines(found: dict[str, float]) -> tuple[Figure, ...]:
    """Judge the figures of one run."""
    first, copy = found["first_seconds"], found["copy_seconds"]
    used, copy_used = found["first_processor_seconds"], found["copy_processor_seconds"]
    ratio, again, changed = copy / first, found["again_seconds"] / first, found["changed_seconds"] / first
    return (
        Figure(
            f"OMOP CSV → Delta on MinIO, {found['rows']:,} measurements",
            f"{ratio:.2f} × ({first:.1f} s beside {copy:.1f} s), {found['memory_gb']:.2f} GB",
            f"≥ {TARGET_RATIO} × the rows/s of DuckDB's COPY to the same store; ≤ {TARGET_MEMORY:.0f} GB",
            ratio >= TARGET_RATIO and found["memory_gb"] <= TARGET_MEMORY,
            f"the release after it takes {found['release_seconds']:.1f} s; of processors, the store's work "
            f"left out, {used:.1f} s beside {copy_used:.1f} s, {copy_used / used:.2f} ×",
        ),
        Figure(
            "the same files again",
            f"{again:.3f} × ({found['again_seconds']:.1f} s), {found['new_files']:.0f} new data files",
            f"≤ {TARGET_AGAIN} × the first time, no new data files",
            again <= TARGET_AGAIN and found["new_files"] == 0,
        ),
        Figure(
            f"one person in {ONE_IN} changed",
            f"{changed:.3f} × ({found['changed_seconds']:.1f} s)",
            f"≤ {TARGET_CHANGED} × a full load",
            changed <= TARGET_CHANGED,
            f"every file holds rows of changed persons and is rewritten; of processors "
            f"{found['changed_processor_seconds']:.1f} s, "
            f"{found['changed_processor_seconds'] / used:.3f} × the full load's",
        ),
    )


def main() -> None:
    """Print the lines of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        store, root, folder = options.child
        done = ingest_once(S3Store.model_validate_json(store), Path(root), Path(folder))
        sys.stdout.write(json.dumps(done))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for line in lines(measured(options.rows, Path(scratch))):
            print(f"{line.work}: {line.measured} ({line.to_reach}) {line.detail}")


if __name__ == "__main__":
    main()
