"""Stage one dataset: find its files, read them, and account for every record."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

from atoll_node.errors import SourceError
from atoll_node.settings import DatasetSettings
from atoll_node.sources import duck
from atoll_node.sources.defects import WARNINGS
from atoll_node.sources.files import batch_of, digested
from atoll_node.sources.omop import OmopTable, tables_in
from atoll_node.sources.progress import SourceProgress, TableProgress
from atoll_node.sources.quarantine import LISTED, QuarantineLog
from atoll_node.staging import Quarantined, SourceWarning, Staged, StagedTable
from atoll_schemas.tables import core_1

_VERSION = "sources@1"
"""Enters the batch: a change of how records are read makes another batch."""


def stage(
    dataset: DatasetSettings,
    *,
    scratch: Path,
    quarantine: Path,
    progress: Callable[[SourceProgress], None],
    today: date | None = None,
    threads: int | None = None,
) -> Staged:
    """Read a dataset's files into typed Parquet below ``scratch``.

    Records that cannot be taken are kept in ``quarantine/<dataset>/<batch>/``. ``today`` bounds dates that
    lie ahead. Raises ``SourceError`` when a file or the mapping cannot be read at all.
    """
    workers = threads or min(os.cpu_count() or 1, 4)
    day = today or date.today()
    work = scratch / "sources"
    shutil.rmtree(work, ignore_errors=True)
    (work / "texts").mkdir(parents=True)
    (work / "staged").mkdir()
    if dataset.format == "omop":
        staged = _omop(dataset, work, quarantine, progress, day, workers)
    else:
        raise SourceError("source.format", "flat files are not supported yet")
    shutil.rmtree(work / "texts", ignore_errors=True)
    return staged


def _omop(
    dataset: DatasetSettings,
    work: Path,
    quarantine: Path,
    progress: Callable[[SourceProgress], None],
    today: date,
    threads: int,
) -> Staged:
    found, unknown = tables_in(dataset.path)
    digests = {file: digested(file) for files in found.values() for file in files}
    parts = (f"{table}/{file.ordinal}/{file.form}/{digests[file].digest}"
             for table, files in found.items() for file in files)  # fmt: skip
    batch = batch_of((_VERSION, dataset.name, "omop", *parts))
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


def quarantine_folder(quarantine: Path, dataset: str, batch: str) -> Path:
    """Return the folder of one batch's quarantined records."""
    return quarantine / dataset / batch.removeprefix("sha256:")


def shortened(log: QuarantineLog) -> tuple[SourceWarning, ...]:
    """Say when the report lists fewer records than the folder holds."""
    if log.count <= LISTED:
        return ()
    code = "quarantine.shortened"
    return (SourceWarning(log.table, None, code, WARNINGS[code]),)
