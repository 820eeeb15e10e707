"""The way in: a hospital's files become de-identified Delta tables, and these become a release.

``ingest`` stages, de-identifies and commits table by table, each in one transaction that carries its batch.
A process that dies on the way leaves whole tables behind; the next run finishes the rest and doubles none.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from atoll_node.deidentify.duckdb_adapter import Connection, Deidentification, open_connection
from atoll_node.deidentify.opt_out_adapter import OptOuts, read_opt_outs
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Pseudonyms
from atoll_node.deidentify.rules import described
from atoll_node.errors import LakeError, SettingsError
from atoll_node.home import Home
from atoll_node.keys import read_pseudonym_key
from atoll_node.quality.checks import blockers, judged
from atoll_node.quality.duckdb_adapter import count_faults, vocabulary_version
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import DatasetSettings, NodeSettings
from atoll_node.sources import SourceProgress, stage
from atoll_node.staging import Staged, StagedTable
from atoll_node.tables.delta_adapter import LakeTable, Mark
from atoll_node.tables.merge_adapter import empty, merging
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake, LocalFile, WriteRows, sole_writer
from atoll_schemas.catalog import DeidentificationEntry
from atoll_schemas.contract import Contract
from atoll_schemas.query import Outcome, Variable
from atoll_schemas.tables import core_1, table

Clock = Callable[[], datetime]

BATCH, CONTENT, POLICY = "atoll-batch", "atoll-content", "atoll-policy"
"""Application ids of the Delta transactions that recognise a batch, a table's rows, and its settings."""
RULES_VERSION = "deidentify@1"
"""Enters every mark: other rules make other rows of the same files."""


class TableReport(Contract):
    """What became of one table's records; ``read = written + quarantined + opted_out`` holds."""

    table: str
    read: int
    written: int
    quarantined: int
    opted_out: int
    changed: bool
    """Whether this run made a new Delta version."""


class IngestReport(Contract):
    """What one ingest did, and what a release of it must say. It stays at the node."""

    dataset: str
    batch: str
    finished_at: datetime
    tables: tuple[TableReport, ...]
    opt_outs_unmatched: int = 0
    """Lines of the opt-out list that name no person of the source."""
    variables: tuple[Variable, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    deidentification: tuple[DeidentificationEntry, ...] = ()
    date_shift: bool = False

    @property
    def changed(self) -> bool:
        """Whether any table changed."""
        return any(table.changed for table in self.tables)


class Stage(Protocol):
    """How files become a staged batch."""

    def __call__(
        self,
        dataset: DatasetSettings,
        *,
        scratch: Path,
        quarantine: Path,
        progress: Callable[[SourceProgress], None],
        today: date,
    ) -> Staged:
        """Stage one dataset. ``today`` bounds dates that lie ahead."""
        ...


def _silent(_: object) -> None:
    return None


def ingest(
    dataset: DatasetSettings,
    *,
    node: NodeSettings,
    home: Home,
    clock: Clock,
    reading: Callable[[SourceProgress], None] = _silent,
    written: Callable[[TableReport], None] = _silent,
    stage: Stage = stage,
) -> IngestReport:
    """Bring a dataset's files into its tables, and say what became of every record.

    ``reading`` hears how far the files are read, ``written`` each table when it is done. Relative paths of
    the dataset are below the home. Raises ``SettingsError``, ``SourceError`` or ``LakeError``.
    """
    dataset = _placed(dataset, home)
    policy = Policy.of(dataset)
    pseudonyms = Pseudonyms(read_pseudonym_key(home), node.site)
    with _workroom(dataset, home) as scratch:
        staged = stage(
            dataset,
            scratch=scratch,
            quarantine=home.quarantine,
            progress=reading,
            today=clock().date(),
        )
        opt_outs = read_opt_outs(dataset.opt_out_file, staged.person_ids)
        lake = Lake(places_of(home, node.store), dataset.name, scratch)
        batch = _Batch(dataset, staged, policy, pseudonyms, opt_outs, lake, clock, scratch)
        tables = batch.run(written)
        report = IngestReport(
            dataset=dataset.name,
            batch=staged.batch,
            finished_at=clock(),
            tables=tables,
            opt_outs_unmatched=opt_outs.unmatched,
            variables=staged.variables,
            outcomes=staged.outcomes,
            deidentification=described(policy),
            date_shift=policy.date_shift,
        )
        _keep(report, home)
    return report


def release(dataset: DatasetSettings, *, node: NodeSettings, home: Home, clock: Clock) -> Release:
    """Freeze a dataset's tables as they are. Without a change since the newest release, that one is returned.

    Raises ``LakeError`` when the dataset was never ingested, or a check forbids the release.
    """
    with _workroom(dataset, home) as scratch:
        report = last_ingest(dataset.name, home)
        lake = Lake(places_of(home, node.store), dataset.name, scratch)
        tables = lake.pinned()
        now = clock()
        with open_connection(scratch) as connection:
            files = {pinned.name: lake.files(pinned) for pinned in tables}
            quality = judged(count_faults(connection, files, year=now.year))
            version = vocabulary_version(connection, files)
        if blockers(quality):
            raise LakeError(
                "release.blocked",
                f"a quality check forbids the release: {blockers(quality)[0].description}",
                "correct the source, then run: atoll-node ingest",
            )
        draft = Release(
            name="draft",
            site=node.site,
            dataset=dataset.name,
            created_at=now,
            tables=tables,
            quality=quality,
            deidentification=report.deidentification,
            date_shift=report.date_shift,
            synthetic=dataset.synthetic,
            variables=report.variables,
            outcomes=report.outcomes,
            vocabulary_version=version,
            content_digest="",
        )
        return Releases(home).freeze(draft)


def last_ingest(dataset: str, home: Home) -> IngestReport:
    """Return the report of the dataset's last finished ingest. Raises ``LakeError`` when there is none."""
    try:
        return IngestReport.model_validate_json(_report_file(dataset, home).read_bytes())
    except FileNotFoundError as error:
        raise LakeError(
            "ingest.none", "this dataset was never ingested to its end", "run: atoll-node ingest"
        ) from error
    except ValidationError as error:
        raise LakeError("ingest.report", "the report of the last ingest is damaged") from error


@dataclass(frozen=True)
class _Batch:
    """One staged batch on its way into the lake."""

    dataset: DatasetSettings
    staged: Staged
    policy: Policy
    pseudonyms: Pseudonyms
    opt_outs: OptOuts
    lake: Lake
    clock: Clock
    scratch: Path

    def run(self, written: Callable[[TableReport], None]) -> tuple[TableReport, ...]:
        """Write every staged table, then empty the tables that a full export no longer has."""
        reports = []
        with open_connection(self.scratch) as connection:
            rows = Deidentification(
                connection,
                self.staged,
                pseudonyms=self.pseudonyms,
                policy=self.policy,
                opt_outs=self.opt_outs.persons,
                today=self.clock().date(),
            )
            rows.prepare()
            for staged in self.staged.tables:
                reports.append(self._table(staged, rows, connection))
                written(reports[-1])
            self._empty_absent(connection)
        return tuple(reports)

    def _table(self, staged: StagedTable, rows: Deidentification, connection: Connection) -> TableReport:
        target = self.lake.table(table(staged.table))
        self._refuse_mixed_policies(target)
        opted_out = rows.opted_out(staged.table)
        expected = staged.read - staged.quarantined - opted_out
        changed = not target.has(self._done) and self._write(target, staged, rows, expected, connection)
        return TableReport(
            table=staged.table,
            read=staged.read,
            written=expected,
            quarantined=staged.quarantined,
            opted_out=opted_out,
            changed=changed,
        )

    def _write(
        self,
        target: LakeTable,
        staged: StagedTable,
        rows: Deidentification,
        expected: int,
        connection: Connection,
    ) -> bool:
        """Commit the table's rows; return False when they are what the table already holds."""
        content = self._seal(f"{staged.table}|{rows.content(staged.table)}")
        if self._is_full and target.has(Mark(CONTENT, content)):
            return False

        def write(folder: Path, stem: str) -> tuple[LocalFile, ...]:
            files = tuple(
                LocalFile(file.path, file.bytes, file.rows) for file in rows.write(staged.table, folder, stem)
            )
            if sum(file.rows for file in files) != expected:
                raise LakeError("ingest.counts", f"the records of {staged.table} do not add up")
            return files

        writer = write if self._is_full else self._merged(target, write, connection)
        self._commit(target, writer, content)
        return True

    def _merged(self, target: LakeTable, write: WriteRows, connection: Connection) -> WriteRows:
        pinned = target.pinned()
        if pinned is None:
            return write
        new = tuple(write(self.scratch / "changes" / target.spec.name, "new"))
        return merging(connection, target.spec, [file.path for file in new], self.lake.files(pinned))

    def _empty_absent(self, connection: Connection) -> None:
        """Empty the tables that the lake has and a full export no longer brings."""
        if not self._is_full:
            return
        brought = {staged.table for staged in self.staged.tables}
        content = self._seal("absent")
        for spec in core_1().tables:
            target = self.lake.table(spec)
            if spec.name not in brought and target.exists and not target.has(Mark(CONTENT, content)):
                self._commit(target, empty(connection, spec), content)

    def _commit(self, target: LakeTable, writer: WriteRows, content: int) -> None:
        marks = [Mark(POLICY, self._policy_seal), Mark(BATCH, self._seal(self.staged.batch))]
        marks.append(Mark(CONTENT, content if self._is_full else 0))
        marks.extend(() if self._is_full else (self._done,))
        self.lake.replace(
            target, writer, marks, content=content, written_at=int(self.clock().timestamp() * 1000)
        )

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


def _placed(dataset: DatasetSettings, home: Home) -> DatasetSettings:
    """Return the dataset with its relative paths set below the home."""
    paths = {"path": dataset.path, "mapping": dataset.mapping, "opt_out_file": dataset.opt_out_file}
    placed = {name: home.root / path for name, path in paths.items() if path is not None}
    return dataset.model_copy(update=placed)


@contextmanager
def _workroom(dataset: DatasetSettings, home: Home) -> Iterator[Path]:
    """Give the dataset's one writer an empty scratch folder, and empty it afterwards."""
    scratch = home.scratch / dataset.name
    with sole_writer(home.state.parent / f"{dataset.name}.lock"):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _report_file(dataset: str, home: Home) -> Path:
    return home.state.parent / f"{dataset}.ingest.json"


def _keep(report: IngestReport, home: Home) -> None:
    file = _report_file(report.dataset, home)
    draft = file.with_suffix(".draft")
    with draft.open("wb") as out:
        out.write(report.canonical())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
