"""Commit Parquet files to a Delta table: one transaction per batch, so that a replay changes nothing."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from atoll_node.errors import LakeError
from atoll_node.release import PinnedFile, PinnedTable
from atoll_node.tables.places import Places
from atoll_schemas.tables import Table

CONFIGURATION = {
    # No minima or maxima of any column: they would be values of patients in the log, and nothing reads them.
    "delta.dataSkippingNumIndexedCols": "0",
    "delta.checkpointInterval": "20",
    # A release names a version for years; the log of old versions is small and stays.
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
"""The properties of every table that the node makes."""


@dataclass(frozen=True)
class NewFile:
    """A Parquet file that already lies below the table's root."""

    path: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Mark:
    """A Delta application transaction: who wrote, and a number for what."""

    application: str
    version: int


class LakeTable:
    """One Delta table of a dataset. Only the dataset's one writer commits."""

    def __init__(self, places: Places, dataset: str, spec: Table) -> None:
        self.spec = spec
        self.uri = places.table(dataset, spec.name)
        self._options = places.storage_options()
        self._trusted = places.trusted
        self._table = self._opened()

    @property
    def next_version(self) -> int:
        """Return the version that the next commit makes."""
        return 0 if self._table is None else self._table.version() + 1

    @property
    def exists(self) -> bool:
        """Whether the table was ever written."""
        return self._table is not None

    def has(self, mark: Mark) -> bool:
        """Whether the last transaction of the mark's application is this one."""
        return self.mark(mark.application) == mark.version

    def mark(self, application: str) -> int | None:
        """Return the number of the application's last transaction, or ``None``."""
        if self._table is None:
            return None
        with self._reading():
            found: int | None = self._table.transaction_version(application)
        return found

    def replace(self, files: Iterable[NewFile], marks: Iterable[Mark], *, written_at: int) -> int:
        """Make ``files`` the table's whole content, in one commit that carries ``marks``; return its version.

        ``written_at`` is the commit's time in milliseconds since 1970.
        """
        return self._commit("overwrite", [_add(file, written_at) for file in files], marks)

    def change(
        self,
        files: Iterable[NewFile],
        removed: Iterable[PinnedFile],
        marks: Iterable[Mark],
        *,
        written_at: int,
        same_rows: bool = False,
    ) -> int:
        """Add ``files`` and take ``removed`` out, in one commit with ``marks``; return its version.

        ``same_rows`` says that the table's rows stay what they are, only in other files.
        """
        adds = [_add(file, written_at, data_change=not same_rows) for file in files]
        removes = [RemoveAction(file.path, not same_rows, written_at, file.bytes, {}) for file in removed]
        return self._commit("append", [*adds, *removes], marks)

    def checkpoint(self) -> None:
        """Write the newest version as a checkpoint, so that a reader need not read every commit."""
        if self._table is None:
            return
        try:
            with _panics_told():
                self._table.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.checkpoint",
                f"a checkpoint of the table {self.spec.name} could not be written",
                "see that the store can be written and has room, then run: atoll-node lake maintain",
            ) from error

    def _commit(self, mode: str, actions: list[AddAction | RemoveAction], marks: Iterable[Mark]) -> int:
        transactions = [Transaction(mark.application, mark.version) for mark in marks]
        # A commit is made on the version that was read, or not at all: on a newer one, deltalake would put it
        # there too when both take out the same file, and their rows would stand twice.
        properties = CommitProperties(app_transactions=transactions, max_commit_retries=0)
        try:
            with _panics_told():
                self._transact(mode, actions, properties)
        except CommitFailedError as error:
            raise LakeError(
                "lake.raced",
                f"the table {self.spec.name} has a newer version than the one that was read",
                "see that no other node writes this lake, then run the command again: nothing is doubled",
            ) from error
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.commit",
                f"a commit to the table {self.spec.name} failed",
                "see that the store can be written and has room, then run: atoll-node ingest",
            ) from error
        self._table = self._after_commit()
        return self.next_version - 1

    def _transact(
        self, mode: str, actions: list[AddAction | RemoveAction], properties: CommitProperties
    ) -> None:
        schema = schema_of(self.spec)
        if self._table is not None:
            self._table.create_write_transaction(
                actions, mode=mode, schema=schema, commit_properties=properties
            )
            return
        with self._trusted():
            create_table_with_add_actions(
                self.uri,
                schema,
                [action for action in actions if isinstance(action, AddAction)],
                configuration=CONFIGURATION,
                storage_options=self._options,
                commit_properties=properties,
            )

    def pinned(self) -> PinnedTable | None:
        """Return the table's newest version and its live files; ``None`` when it was never written."""
        if self._table is None:
            return None
        with self._reading():
            actions = pa.table(self._table.get_add_actions(flatten=True)).to_pydict()
        files = tuple(
            PinnedFile(path=path, bytes=size, rows=rows)
            for path, size, rows in sorted(
                zip(actions["path"], actions["size_bytes"], actions["num_records"], strict=True)
            )
        )
        return PinnedTable(
            name=self.spec.name,
            uri=self.uri,
            version=self._table.version(),
            rows=sum(file.rows for file in files),
            files=files,
        )

    def _opened(self) -> DeltaTable | None:
        try:
            with self._reading(), self._trusted():
                return DeltaTable(self.uri, storage_options=self._options)
        except TableNotFoundError:
            return None

    def _after_commit(self) -> DeltaTable | None:
        """Return the table with what was committed since it was opened; its older log is not read again."""
        if self._table is None:
            return self._opened()
        with self._reading():
            self._table.update_incremental()
        return self._table

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Tell a log that cannot be read, or is not whole, as what it is. deltalake reads it when asked."""
        try:
            with _panics_told():
                yield
        except TableNotFoundError:
            raise
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.unreachable",
                f"the table {self.spec.name} cannot be opened",
                "see that the store answers and that its keys are right",
            ) from error


@contextmanager
def _panics_told() -> Iterator[None]:
    """Make an error of a panic, which is how deltalake ends on an answer that was cut in the middle.

    Its class derives from ``BaseException`` and has no name that could be imported.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise DeltaError("deltalake gave up on what it read") from None


def schema_of(spec: Table) -> Schema:
    """Return the Delta schema of a table: every field of the spec, in its order, nullable."""
    fields: list[Mapping[str, object]] = [
        {"name": field.name, "type": field.datatype.delta, "nullable": True, "metadata": {}}
        for field in spec.fields
    ]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def local_root(uri: str) -> Path | None:
    """Return the folder of a table that lies in one, else ``None``."""
    return None if uri.startswith("s3://") else Path(uri)


def _add(file: NewFile, written_at: int, *, data_change: bool = True) -> AddAction:
    # Only the row count: minima and maxima of columns have no reader here, and would be more to guard.
    return AddAction(
        file.path, file.bytes, {}, written_at, data_change, json.dumps({"numRecords": file.rows})
    )
