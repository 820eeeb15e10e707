"""Stage one dataset: find its files, read them, and account for every record."""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import duckdb

from atoll_node.errors import SourceError
from atoll_node.settings import DatasetSettings
from atoll_node.sources import duck
from atoll_node.sources.defects import WARNINGS
from atoll_node.sources.files import batch_of, digested
from atoll_node.sources.flat import FlatSource, files_of, unread
from atoll_node.sources.mapping_file import read_mapping
from atoll_node.sources.omop import OmopTable, tables_in
from atoll_node.sources.progress import SourceProgress, TableProgress
from atoll_node.sources.quarantine import LISTED, QuarantineLog, kept_in
from atoll_node.staging import Quarantined, SourceWarning, Staged, StagedTable
from atoll_schemas.tables import core_1

_VERSION = "sources@1"
"""Enters the batch: a change of how records are read makes another batch."""


def _never(_: str) -> bool:
    return False


def stage(
    dataset: DatasetSettings,
    *,
    scratch: Path,
    quarantine: Path,
    progress: Callable[[SourceProgress], None],
    today: date,
    known: Callable[[str], bool] = _never,
    threads: int | None = None,
) -> Staged:
    """Read a dataset's files into typed Parquet below ``scratch``.

    Records that cannot be taken are kept in ``quarantine/<dataset>/<batch>/``. ``today`` bounds dates that
    lie ahead. A batch that is ``known`` by its digest is not read.
    Raises ``SourceError`` when a file or the mapping cannot be read at all.
    """
    workers = threads or min(os.cpu_count() or 1, 4)
    work = scratch / "sources"
    shutil.rmtree(work, ignore_errors=True)
    (work / "texts").mkdir(parents=True)
    (work / "staged").mkdir()
    read = _omop if dataset.format == "omop" else _flat
    try:
        return read(dataset, work, quarantine, progress, today, known, workers)
    except duckdb.Error as error:
        # The cause may carry file names or values, so only its kind is told.
        raise SourceError(
            "source.engine",
            f"DuckDB stopped while it read the files: {type(error).__name__}",
            "see that the scratch folder has room (twice the size of the files)",
        ) from None
    finally:
        shutil.rmtree(work / "texts", ignore_errors=True)


def _omop(
    dataset: DatasetSettings,
    work: Path,
    quarantine: Path,
    progress: Callable[[SourceProgress], None],
    today: date,
    known: Callable[[str], bool],
    threads: int,
) -> Staged:
    found, unknown = tables_in(dataset.path)
    digests = {file: digested(file) for files in found.values() for file in files}
    parts = (f"{table}/{file.ordinal}/{file.form}/{digests[file].digest}"
             for table, files in found.items() for file in files)  # fmt: skip
    batch = batch_of((_VERSION, dataset.name, "omop", *parts))
    if known(batch):
        return _known(dataset.name, batch, quarantine)
    tables: list[StagedTable] = []
    listed: list[Quarantined] = []
    warnings = list(unknown)
    folder = quarantine_folder(quarantine, dataset.name, batch)
    with duck.connect(work, threads) as connection:
        for name, files in found.items():
            size = sum(file.size for file in files)
            with QuarantineLog(folder, name) as log:
                log.restart()
                reading = OmopTable(
                    connection, core_1().table(name), files, digests, log, work / "staged", work / "texts",
                    TableProgress(name, size, progress), today,
                )  # fmt: skip
                tables.append(reading.stage())
                listed.extend(log.listed)
                warnings.extend(reading.warnings)
                warnings.extend(shortened(log))
    return Staged(dataset.name, batch, tuple(tables), tuple(listed), warnings=tuple(warnings))


def _flat(
    dataset: DatasetSettings,
    work: Path,
    quarantine: Path,
    progress: Callable[[SourceProgress], None],
    today: date,
    known: Callable[[str], bool],
    threads: int,
) -> Staged:
    mapping, content = read_mapping(dataset.mapping)
    if not dataset.path.is_dir():
        raise SourceError("source.folder", "the dataset's path is no folder", "correct path in the settings")
    files = files_of(mapping, dataset.path)
    digests = {file: digested(file) for file in files}
    parts = (f"{file.ordinal}/{file.form}/{digests[file].digest}" for file in files)
    batch = batch_of((_VERSION, dataset.name, "flat", hashlib.sha256(content).hexdigest(), *parts))
    if known(batch):
        return _known(dataset.name, batch, quarantine)
    folder = quarantine_folder(quarantine, dataset.name, batch)
    with duck.connect(work, threads) as connection, ExitStack() as stack:
        source = FlatSource(connection, mapping, files, digests, work, progress, today)
        fed = {record.table for record in mapping.records}
        logs = {
            name: stack.enter_context(QuarantineLog(folder, name)) for name in core_1().names if name in fed
        }
        for log in logs.values():
            log.restart()
        tables, person_ids = source.stage(logs)
    return Staged(
        dataset.name,
        batch,
        tables,
        tuple(found for log in logs.values() for found in log.listed),
        mapping.variables,
        mapping.outcomes,
        person_ids,
        (
            *unread(mapping, dataset.path),
            *source.warnings,
            *(warning for log in logs.values() for warning in shortened(log)),
        ),
    )


def _known(dataset: str, batch: str, quarantine: Path) -> Staged:
    """Return a batch that is not read again, with what its first reading left in quarantine."""
    return Staged(dataset, batch, (), kept_in(quarantine_folder(quarantine, dataset, batch)), known=True)


def quarantine_folder(quarantine: Path, dataset: str, batch: str) -> Path:
    """Return the folder of one batch's quarantined records."""
    return quarantine / dataset / batch.removeprefix("sha256:")


def shortened(log: QuarantineLog) -> tuple[SourceWarning, ...]:
    """Say when the report lists fewer records than the folder holds."""
    if log.count <= LISTED:
        return ()
    code = "quarantine.shortened"
    return (SourceWarning(log.table, None, code, WARNINGS[code]),)
