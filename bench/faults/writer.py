"""Write numbered batches to one table as ingest does, and acknowledge each after its commit.

A batch is some rows and one mark. After an error the table is opened anew and the batch tried again, as the
next ingest would. A writer is a process of its own, which may be killed at any moment.
"""

import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.maintenance.rules import MANY_FILES
from atoll_node.row_files import LocalFile
from atoll_node.settings import S3Store
from atoll_node.tables.delta_adapter import LakeTable, Mark
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from atoll_schemas.tables import table

ROWS = 4
TRIES = 8
FULL_BYTES = 600
"""No file may grow larger on a full disk: less than a batch's rows take."""
SPEC = table("observation_period")


@dataclass(frozen=True)
class Task:
    """What one writer is to do: these batches, into this dataset's table, under this harm."""

    store: S3Store
    folder: Path
    """The folder of this writer's scratch; another writer has another, as on another machine."""
    dataset: str
    batches: tuple[int, ...]
    acknowledged: Path
    clock_days: float = 0
    full_share: float = 0
    """In so many tries of a hundred the scratch disk is full."""
    seed: int = 0


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
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute(f"COPY (SELECT {fields} FROM range({ROWS}) t(i)) TO '{file}' (FORMAT parquet)")
        return (LocalFile(file, file.stat().st_size, ROWS),)

    return write


def write_batch(lake: Lake, batch: int, at: datetime, target: LakeTable | None = None) -> None:
    """Commit the batch unless the table, as it was when ``target`` was opened, holds it."""
    target = target or lake.table(SPEC)
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
        with duckdb.connect(config={"threads": 1}) as connection:
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


def write(task: Task) -> None:
    """Write the task's batches; one that cannot be written in some tries is left for another episode."""
    lake = lake_of(task)
    now = datetime.now(UTC) + timedelta(days=task.clock_days)
    target: LakeTable | None = None
    with task.acknowledged.open("a", encoding="ascii") as acknowledged:
        for batch, disk in zip(task.batches, _disks(task), strict=False):
            target = _written(lake, batch, now, target, disk)
            if target is not None:
                acknowledged.write(f"{batch}\n")
                acknowledged.flush()
                os.fsync(acknowledged.fileno())


def lake_of(task: Task) -> Lake:
    """Return the lake as this writer sees it."""
    home = Home(task.folder)
    return Lake(places_of(home, task.store), task.dataset, task.folder / "scratch")


def _written(
    lake: Lake, batch: int, now: datetime, target: LakeTable | None, disk: "Disk"
) -> LakeTable | None:
    """Return the table that took the batch, still open; ``None`` when none did."""
    for _ in range(TRIES):
        try:
            target = target or lake.table(SPEC)
            with disk():
                write_batch(lake, batch, now, target)
        except (LakeError, duckdb.Error, OSError):
            target = None
            continue
        return target
    return None


Disk = Callable[[], "contextmanager[None]"]


def _disks(task: Task) -> Iterator[Disk]:
    """Yield for each batch the disk that it is written on: for some tries, one that is full."""
    draw = random.Random(task.seed)

    @contextmanager
    def disk() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if draw.random() < task.full_share:
            resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    while True:
        yield disk
