"""Write numbered batches to one table as ingest does, and acknowledge each after its commit. A child process.

A batch is some rows and one mark. An error is tried again with a table opened anew, as the next ingest would.
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.maintenance.rules import MANY_FILES
from atoll_node.settings import S3Store
from atoll_node.tables.delta_adapter import LakeTable, Mark
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake, LocalFile
from atoll_schemas.tables import table

ROWS = 4
TRIES = 4
SPEC = table("observation_period")


def mark_of(batch: int) -> Mark:
    """Return the mark by which a table knows the batch."""
    return Mark(f"atoll-batch-{batch:08d}", 1)


def rows_of(batch: int) -> Callable[[Path, str], tuple[LocalFile, ...]]:
    """Return a writer of the batch's rows: their person is the batch."""

    def write(folder: Path, stem: str) -> tuple[LocalFile, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{stem}-0.parquet"
        given = {"observation_period_id": f"{batch * ROWS} + i", "person_id": str(batch)}
        fields = ", ".join(
            f'CAST({given.get(field.name, "NULL")} AS {field.datatype.duckdb}) AS "{field.name}"'
            for field in SPEC.fields
        )
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT {fields} FROM range({ROWS}) t(i)) TO '{file}' (FORMAT parquet)")
        return (LocalFile(file, file.stat().st_size, ROWS),)

    return write


def write_batch(lake: Lake, batch: int, at: datetime) -> None:
    """Commit the batch unless the table holds it."""
    target = lake.table(SPEC)
    if not target.has(mark_of(batch)):
        written_at = int(at.timestamp() * 1000)
        lake.commit(
            target, rows_of(batch), (mark_of(batch),), removed=(), content=batch, written_at=written_at
        )
    compact(lake, target, at)


def compact(lake: Lake, target: LakeTable, at: datetime) -> None:
    """Rewrite the table's files as one when there are many, as maintenance does."""
    pinned = target.pinned()
    if pinned is None or len(pinned.files) < 4 * MANY_FILES:
        return

    def write(folder: Path, stem: str) -> tuple[LocalFile, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        local = [str(_fetched(lake, f"{target.uri}/{one.path}", folder)) for one in pinned.files]
        file = folder / f"{stem}-0.parquet"
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (FROM read_parquet({local}) ORDER BY person_id) TO '{file}' (FORMAT parquet)"
            )
        return (LocalFile(file, file.stat().st_size, pinned.rows),)

    written_at = int(at.timestamp() * 1000)
    version = target.next_version
    lake.commit(
        target, write, (), removed=pinned.files, content=version, written_at=written_at, same_rows=True
    )


def _fetched(lake: Lake, uri: str, folder: Path) -> Path:
    file = folder / f"in-{uri.rpartition('/')[2]}"
    lake.bucket().get(uri, file)
    return file


def main() -> int:
    """Write the batches; return 3 when one could not be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("home", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--clock-days", type=float, default=0)
    parser.add_argument("--largest-file", type=int)
    options = parser.parse_args()
    if options.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file, options.largest_file))
    store = S3Store.model_validate_json(options.store)
    lake = Lake(places_of(Home(options.home), store), "faults", options.home / "scratch")
    now = datetime.now(UTC) + timedelta(days=options.clock_days)
    with (options.home / "acknowledged").open("a", encoding="ascii") as acknowledged:
        for batch in range(options.first, options.first + options.count):
            if not _written(lake, batch, now):
                return 3
            acknowledged.write(f"{batch}\n")
            acknowledged.flush()
            os.fsync(acknowledged.fileno())
    return 0


def _written(lake: Lake, batch: int, now: datetime) -> bool:
    for _ in range(TRIES):
        try:
            write_batch(lake, batch, now)
        except (LakeError, duckdb.Error, OSError):
            continue
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
