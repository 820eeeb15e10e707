"""The way in: a hospital's files become de-identified Delta tables, and these become a release.

``ingest`` stages, de-identifies and commits table by table, each in one transaction that carries its batch.
A process that dies on the way leaves whole tables behind; the next run finishes the rest and doubles none.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from atoll_node.deidentify.opt_out_adapter import read_opt_outs
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Pseudonyms
from atoll_node.deidentify.rules import described
from atoll_node.erasure.identifiers import Forgotten
from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.ingest_report import (
    IngestReport,
    TableReport,
    WriteProgress,
    finished_ingest,
    keep_report,
    last_ingest,
)
from atoll_node.keys import read_pseudonym_key
from atoll_node.loading import BATCH, RULES_VERSION, Loading
from atoll_node.quality.checks import blockers, judged
from atoll_node.quality.duckdb_adapter import count_faults, vocabulary_version
from atoll_node.release import PinnedTable, Release
from atoll_node.releases import Releases
from atoll_node.settings import DatasetSettings, NodeSettings
from atoll_node.sources import SourceProgress, stage
from atoll_node.staging import Staged
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from atoll_node.workroom import connected, workroom

Clock = Callable[[], datetime]


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
        known: Callable[[str], bool],
    ) -> Staged:
        """Stage one dataset, unless its batch is known. ``today`` bounds dates that lie ahead."""
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
    writing: Callable[[WriteProgress], None] = _silent,
    written: Callable[[TableReport], None] = _silent,
    stage: Stage = stage,
) -> IngestReport:
    """Bring a dataset's files into its tables, and say what became of every record.

    ``reading`` hears how far the files are read, ``writing`` how far a table is written, ``written`` each
    table when it is done. Files that the tables hold already are known by their digest and not read again.
    Relative paths of the dataset are below the home.
    Raises ``SettingsError``, ``SourceError`` or ``LakeError``.
    """
    dataset = _placed(dataset, home)
    policy = Policy.of(dataset)
    pseudonyms = Pseudonyms(read_pseudonym_key(home), node.site)
    settings = f"{pseudonyms.seal('settings', _decisive(dataset, policy)):016x}"
    with workroom(dataset.name, home) as scratch:
        places = places_of(home, node.store)
        lake = Lake(places, dataset.name, scratch)
        before = finished_ingest(dataset.name, home)
        staged = stage(
            dataset,
            scratch=scratch,
            quarantine=home.quarantine,
            progress=reading,
            today=clock().date(),
            known=lambda batch: before is not None and _stands(before, batch, settings, lake),
        )
        if staged.known and before is not None:
            return before.again(clock())
        opt_outs = read_opt_outs(dataset.opt_out_file, staged.person_ids)
        with connected(scratch, places) as connection:
            loading = Loading(
                dataset,
                staged,
                policy,
                pseudonyms,
                opt_outs,
                lake,
                clock,
                scratch,
                connection,
                writing,
                Forgotten(home.forgotten).seals(),
            )
            tables = loading.run(written)
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
            settings=settings,
            marks=_marks(lake),
        )
        keep_report(report, home)
    return report


def release(dataset: DatasetSettings, *, node: NodeSettings, home: Home, clock: Clock) -> Release:
    """Freeze a dataset's tables as they are. Without a change since the newest release, that one is returned.

    Raises ``LakeError`` when the dataset was never ingested, its last ingest did not end, or a check forbids
    the release.
    """
    with workroom(dataset.name, home) as scratch:
        report = last_ingest(dataset.name, home)
        places = places_of(home, node.store)
        lake = Lake(places, dataset.name, scratch)
        if _marks(lake) != report.marks:
            raise LakeError(
                "ingest.unfinished", "an ingest of this dataset did not end", "run: atoll-node ingest"
            )
        return _frozen(dataset, report, lake.pinned(), node=node, home=home, clock=clock, scratch=scratch)


def _frozen(
    dataset: DatasetSettings,
    report: IngestReport,
    tables: tuple[PinnedTable, ...],
    *,
    node: NodeSettings,
    home: Home,
    clock: Clock,
    scratch: Path,
) -> Release:
    now = clock()
    files = {pinned.name: pinned.paths() for pinned in tables}
    with connected(scratch, places_of(home, node.store)) as connection:
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


def _stands(report: IngestReport, batch: str, settings: str, lake: Lake) -> bool:
    """Whether the tables hold just what the report's ingest left, of this batch under these settings."""
    return report.batch == batch and report.settings == settings and _marks(lake) == report.marks


def _marks(lake: Lake) -> Mapping[str, str]:
    """Return the last batch's mark of each table that exists."""
    return {table.spec.name: f"{table.mark(BATCH) or 0:016x}" for table in lake.tables()}


def _decisive(dataset: DatasetSettings, policy: Policy) -> str:
    """Return one text for equal choices of the hospital, its opt-out list included."""
    listed = b"" if dataset.opt_out_file is None else _bytes(dataset.opt_out_file)
    opted_out = hashlib.sha256(listed).hexdigest()
    return f"{RULES_VERSION}|{dataset.load}|{policy.canonical()}|{opted_out}"


def _bytes(file: Path) -> bytes:
    """Return a list's bytes; one that cannot be read is refused where it is read for its content."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _placed(dataset: DatasetSettings, home: Home) -> DatasetSettings:
    """Return the dataset with its relative paths set below the home."""
    paths = {"path": dataset.path, "mapping": dataset.mapping, "opt_out_file": dataset.opt_out_file}
    placed = {name: home.root / path for name, path in paths.items() if path is not None}
    return dataset.model_copy(update=placed)
