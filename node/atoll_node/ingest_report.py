"""Say what one ingest did, and keep the last report of each dataset: releases and the next ingest read it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_schemas.catalog import DeidentificationEntry
from atoll_schemas.contract import Contract
from atoll_schemas.query import Outcome, Variable


class TableReport(Contract):
    """What became of one table's records; ``read = written + quarantined + opted_out`` holds."""

    table: str
    read: int
    written: int
    quarantined: int
    opted_out: int
    changed: bool
    """Whether this run made a new Delta version."""


@dataclass(frozen=True)
class WriteProgress:
    """How far a table's rows are written. No value."""

    table: str
    rows: int
    rows_total: int
    rows_per_second: float


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
    settings: str = ""
    """Keyed number of all that decides, beside the files, what the tables hold."""
    marks: Mapping[str, str] = {}
    """The batch mark that each table carried at the end: a later one is of an ingest that did not end."""

    @property
    def changed(self) -> bool:
        """Whether any table changed."""
        return any(table.changed for table in self.tables)

    def again(self, at: datetime) -> "IngestReport":
        """Return the report of the same batch, found again: nothing changed."""
        tables = tuple(table.model_copy(update={"changed": False}) for table in self.tables)
        return self.model_copy(update={"tables": tables, "finished_at": at})


def last_ingest(dataset: str, home: Home) -> IngestReport:
    """Return the report of the dataset's last finished ingest. Raises ``LakeError`` when there is none."""
    try:
        return IngestReport.model_validate_json(_report_file(dataset, home).read_bytes())
    except FileNotFoundError as error:
        raise LakeError(
            "ingest.none", "this dataset was never ingested to its end", "run: atoll-node ingest"
        ) from error
    except ValidationError as error:
        raise LakeError(
            "ingest.report", "the report of the last ingest is damaged", "run: atoll-node ingest"
        ) from error


def finished_ingest(dataset: str, home: Home) -> IngestReport | None:
    """Return the report of the last finished ingest, or ``None`` when none can be read."""
    try:
        return last_ingest(dataset, home)
    except LakeError:
        return None


def keep_report(report: IngestReport, home: Home) -> None:
    """Replace the dataset's report as a whole."""
    file = _report_file(report.dataset, home)
    draft = file.with_suffix(".draft")
    with draft.open("wb") as out:
        out.write(report.canonical())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _report_file(dataset: str, home: Home) -> Path:
    return home.state.parent / f"{dataset}.ingest.json"
