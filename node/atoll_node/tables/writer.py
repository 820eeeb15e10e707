"""Write a dataset's tables as its one writer: files first, then the commit that makes them the table."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from atoll_node.errors import LakeError
from atoll_node.release import PinnedFile, PinnedTable
from atoll_node.row_files import LocalFile
from atoll_node.tables.delta_adapter import LakeTable, Mark, NewFile, local_root
from atoll_node.tables.places import Places
from atoll_node.tables.s3_adapter import Bucket
from atoll_node.tables.stored_files import StoredFiles
from atoll_schemas.tables import Table, core_1

CLUSTERED = "k"
"""How the names of files begin whose rows maintenance has sorted by person."""
OPENED_AT_ONCE = 8
WriteRows = Callable[[Path, str], Iterable[LocalFile]]
"""Writes a table's rows as Parquet files below a folder, named after a stem."""


@contextmanager
def sole_writer(lock: Path) -> Iterator[None]:
    """Hold the dataset's lock; refuse when another process does. The lock dies with its process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LakeError(
                "lake.writer",
                "another process writes this dataset",
                f"wait for process {_holder(lock)}, then run: atoll-node ingest",
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(lock: Path) -> str:
    return lock.read_text(encoding="ascii", errors="replace").strip() or "unknown"


class Lake:
    """The tables of one dataset."""

    def __init__(self, places: Places, dataset: str, scratch: Path) -> None:
        self._places = places
        self._dataset = dataset
        self._scratch = scratch

    def table(self, spec: Table) -> LakeTable:
        """Open a table as it is now."""
        return LakeTable(self._places, self._dataset, spec)

    def commit(
        self,
        table: LakeTable,
        write: WriteRows,
        marks: Iterable[Mark],
        *,
        removed: Sequence[PinnedFile] | None = None,
        content: int,
        written_at: int,
        same_rows: bool = False,
    ) -> PinnedTable:
        """Write new files and make them the table, or put them in the place of ``removed``.

        The files of older versions stay for their releases. The stem names the version that the commit makes
        and the keyed number of its content: files of an attempt that died belong to no version and are
        written over, and a path tells content from content.
        """
        stem = f"{CLUSTERED if same_rows else 'v'}{table.next_version:08d}-{content:016x}"
        root = local_root(table.uri)
        made = write(root or self._scratch / "out" / table.spec.name, stem)
        written = tuple(made) if root is not None else self._uploaded(table.uri, made)
        files = [NewFile(file.path.name, file.bytes, file.rows) for file in written]
        if removed is None:
            table.replace(files, marks, written_at=written_at)
        else:
            table.change(files, removed, marks, written_at=written_at, same_rows=same_rows)
        pinned = table.pinned()
        if pinned is None:
            raise LakeError("lake.commit", f"the table {table.spec.name} did not keep its commit")
        return pinned

    def pinned(self) -> tuple[PinnedTable, ...]:
        """Return every table that exists, at its newest version, in the model's order."""
        found = (table.pinned() for table in self.tables())
        return tuple(table for table in found if table is not None)

    def tables(self) -> tuple[LakeTable, ...]:
        """Open every table that exists, in the model's order."""
        # Each opening waits for the store; together they wait about as long as one.
        with ThreadPoolExecutor(max_workers=OPENED_AT_ONCE) as opening:
            found = tuple(opening.map(self.table, core_1().tables))
        return tuple(table for table in found if table.exists)

    def stored(self, table: LakeTable) -> StoredFiles:
        """Return the table's data files on the store, of whatever version."""
        return StoredFiles(self._places, table.uri)

    def _uploaded(self, uri: str, files: Iterable[LocalFile]) -> tuple[LocalFile, ...]:
        """Upload each file while the next is written."""
        bucket = self.bucket()

        def put(file: LocalFile) -> LocalFile:
            bucket.put(file.path, f"{uri}/{file.path.name}")
            file.path.unlink()
            return file

        with ThreadPoolExecutor(max_workers=1) as uploading:
            return tuple(one.result() for one in [uploading.submit(put, file) for file in files])

    def bucket(self) -> Bucket:
        """Return the bucket of a lake in S3."""
        if self._places.s3 is None or self._places.keys is None:
            raise LakeError("store.none", "this store is not in S3")
        return Bucket(self._places.s3, self._places.keys)
