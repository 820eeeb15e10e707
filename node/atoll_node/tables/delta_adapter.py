"""Commit Parquet files to a Delta table: one transaction per batch, so that a replay changes nothing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
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
        if self._table is None:
            return False
        return bool(self._table.transaction_version(mark.application) == mark.version)

    def mark(self, application: str) -> int | None:
        """Return the number of the application's last transaction, or ``None``."""
        if self._table is None:
            return None
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
            self._table.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.checkpoint",
                f"a checkpoint of the table {self.spec.name} could not be written",
                "see that the store can be written and has room, then run: atoll-node lake maintain",
            ) from error

    def _commit(self, mode: str, actions: list[AddAction | RemoveAction], marks: Iterable[Mark]) -> int:
        transactions = [Transaction(mark.application, mark.version) for mark in marks]
        properties = CommitProperties(app_transactions=transactions)
        schema = schema_of(self.spec)
        try:
            if self._table is None:
                with self._trusted():
                    create_table_with_add_actions(
                        self.uri,
                        schema,
                        [action for action in actions if isinstance(action, AddAction)],
                        configuration=CONFIGURATION,
                        storage_options=self._options,
                        commit_properties=properties,
                    )
            else:
                self._table.create_write_transaction(
                    actions, mode=mode, schema=schema, commit_properties=properties
                )
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.commit",
                f"a commit to the table {self.spec.name} failed",
                "see that the store can be written and has room, then run: atoll-node ingest",
            ) from error
        self._table = self._opened()
        return self.next_version - 1

    def pinned(self) -> PinnedTable | None:
        """Return the table's newest version and its live files; ``None`` when it was never written."""
        if self._table is None:
            return None
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
            with self._trusted():
                return DeltaTable(self.uri, storage_options=self._options)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise LakeError(
                "lake.unreachable",
                f"the table {self.spec.name} cannot be opened",
                "see that the store answers and that its keys are right",
            ) from error


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
