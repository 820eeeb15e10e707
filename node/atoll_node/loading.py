"""Bring one staged batch into a dataset's tables, each in one transaction that carries the batch."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from atoll_node.deidentify.duckdb_adapter import Connection, Deidentification
from atoll_node.deidentify.opt_out_adapter import OptOuts
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Pseudonyms
from atoll_node.errors import LakeError, SettingsError
from atoll_node.ingest_report import TableReport, WriteProgress
from atoll_node.release import PinnedFile, PinnedTable
from atoll_node.row_files import LocalFile
from atoll_node.settings import DatasetSettings
from atoll_node.staging import Staged, StagedTable
from atoll_node.tables.delta_adapter import LakeTable, Mark
from atoll_node.tables.merge_adapter import Replacement, empty, replacing, touched
from atoll_node.tables.writer import Lake, WriteRows
from atoll_schemas.tables import core_1, table

BATCH, CONTENT, POLICY = "atoll-batch", "atoll-content", "atoll-policy"
"""Application ids of the Delta transactions that recognise a batch, a table's rows, and its settings."""
RULES_VERSION = "deidentify@2"
"""Enters every mark: other rules make other rows of the same files."""


@dataclass(frozen=True)
class Loading:
    """One staged batch on its way into the lake."""

    dataset: DatasetSettings
    staged: Staged
    policy: Policy
    pseudonyms: Pseudonyms
    opt_outs: OptOuts
    lake: Lake
    clock: Callable[[], datetime]
    scratch: Path
    connection: Connection
    writing: Callable[[WriteProgress], None]
    forgotten: frozenset[int] = frozenset()
    """Seals of persons who were forgotten."""

    def run(self, written: Callable[[TableReport], None]) -> tuple[TableReport, ...]:
        """Write every staged table, then empty the tables that a full export no longer has."""
        reports = []
        rows = Deidentification(
            self.connection,
            self.staged,
            pseudonyms=self.pseudonyms,
            policy=self.policy,
            opt_outs=self.opt_outs.persons,
            forgotten=self.forgotten,
            today=self.clock().date(),
        )
        rows.prepare()
        for staged in self.staged.tables:
            reports.append(self._table(staged, rows))
            written(reports[-1])
        self._empty_absent()
        return tuple(reports)

    def _table(self, staged: StagedTable, rows: Deidentification) -> TableReport:
        target = self.lake.table(table(staged.table))
        self._refuse_mixed_policies(target)
        opted_out = rows.opted_out(staged.table)
        expected = staged.read - staged.quarantined - opted_out
        changed = not target.has(self._done) and self._write(target, staged, rows, expected)
        return TableReport(
            table=staged.table,
            read=staged.read,
            written=expected,
            quarantined=staged.quarantined,
            opted_out=opted_out,
            changed=changed,
        )

    def _write(self, target: LakeTable, staged: StagedTable, rows: Deidentification, expected: int) -> bool:
        """Commit the table's rows; return False when they are what the table already holds."""
        away = "|".join(map(str, sorted(rows.returned)))
        # Only a full export is compared with what the table holds; of another, the batch tells the rows.
        held = rows.content(staged.table) if self._is_full else self.staged.batch
        content = self._seal(f"{staged.table}|{held}|{away}")
        if self._is_full and target.has(Mark(CONTENT, content)):
            return False
        watch = partial(self._told, staged.table, expected, time.monotonic())

        def write(folder: Path, stem: str) -> Iterator[LocalFile]:
            rest = expected
            for file in rows.write(staged.table, folder, stem, watch):
                rest -= file.rows
                yield file
            if rest:
                raise LakeError("ingest.counts", f"the records of {staged.table} do not add up")

        pinned = None if self._is_full else target.pinned()
        if pinned is None:
            self._commit(target, write, content)
        else:
            self._merge(target, pinned, write, rows, content)
        return True

    def _merge(
        self, target: LakeTable, pinned: PinnedTable, write: WriteRows, rows: Deidentification, content: int
    ) -> None:
        """Put the batch's rows in the place of those that they correct; files without such rows stay."""
        new = [str(file.path) for file in write(self.scratch / "changes" / target.spec.name, "new")]
        replacement = Replacement(
            target.spec, new, persons=rows.persons if self.dataset.load == "persons" else None,
            owners=self._owners(target),
        )  # fmt: skip
        found = touched(self.connection, replacement, pinned.paths())
        writer = replacing(self.connection, replacement, found)
        self._commit(target, writer, content, [file for file in pinned.files if pinned.path(file) in found])

    def _owners(self, target: LakeTable) -> Sequence[str] | None:
        """Return the files of the table that the rows belong to, when the batch replaced its rows."""
        link = target.spec.link
        brought = {staged.table for staged in self.staged.tables}
        if self.dataset.load != "persons" or link is None or link.table not in brought:
            return None
        pinned = self.lake.table(table(link.table)).pinned()
        return None if pinned is None else pinned.paths()

    def _empty_absent(self) -> None:
        """Empty the tables that the lake has and a full export no longer brings."""
        if not self._is_full:
            return
        brought = {staged.table for staged in self.staged.tables}
        content = self._seal("absent")
        for spec in core_1().tables:
            target = self.lake.table(spec)
            if spec.name not in brought and target.exists and not target.has(Mark(CONTENT, content)):
                self._commit(target, empty(spec), content)

    def _commit(
        self,
        target: LakeTable,
        writer: WriteRows,
        content: int,
        removed: Sequence[PinnedFile] | None = None,
    ) -> None:
        marks = [Mark(POLICY, self._policy_seal), Mark(BATCH, self._seal(self.staged.batch))]
        marks.append(Mark(CONTENT, content if self._is_full else 0))
        marks.extend(() if self._is_full else (self._done,))
        at = int(self.clock().timestamp() * 1000)
        self.lake.commit(target, writer, marks, removed=removed, content=content, written_at=at)

    def _told(self, name: str, total: int, begun: float, rows: int) -> None:
        seconds = max(time.monotonic() - begun, 1e-6)
        self.writing(WriteProgress(name, rows, total, rows / seconds))

    def _refuse_mixed_policies(self, target: LakeTable) -> None:
        if self._is_full or not target.exists or target.has(Mark(POLICY, self._policy_seal)):
            return
        raise SettingsError(
            "ingest.policy_changed",
            "changes cannot be merged into rows that were de-identified by other settings",
            'set load = "full" and ingest a full export once',
        )

    @property
    def _is_full(self) -> bool:
        return self.dataset.load == "full"

    @property
    def _done(self) -> Mark:
        """The mark that a table carries once it holds this batch.

        A full export is in the table only while it was the last one; a batch of changes, for ever.
        """
        seal = self._seal(self.staged.batch)
        return Mark(BATCH, seal) if self._is_full else Mark(f"{BATCH}-{seal:016x}", 1)

    @property
    def _policy_seal(self) -> int:
        listed = ",".join(str(person) for person in sorted(self.opt_outs.persons))
        return self.pseudonyms.seal("policy", f"{RULES_VERSION}|{self.policy.canonical()}|{listed}")

    def _seal(self, content: str) -> int:
        return self.pseudonyms.seal("content", f"{self.dataset.load}|{self._policy_seal}|{content}")
