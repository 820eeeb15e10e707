"""Pass records from the source stage to the de-identification stage: typed Parquet in scratch.

``sources`` writes it, ``ingest`` carries it, ``deidentify`` and ``tables`` read it, so that these stages
do not know each other (law 2).
"""

from dataclasses import dataclass
from pathlib import Path

from atoll_schemas.query import Outcome, Variable


@dataclass(frozen=True)
class Quarantined:
    """One record that was not taken: where it stands and why. The record itself lies in quarantine."""

    file: str
    record: int
    """1-based number of the record in its file, header not counted."""
    field: str | None
    reason: str
    """Constant text of ``code``: no value of the record."""
    code: str


@dataclass(frozen=True)
class SourceWarning:
    """Something about a file that no single record is at fault for: an unknown column, an empty file."""

    table: str | None
    file: str | None
    code: str
    text: str
    """For the local report alone: it may name a column or the nearest known name."""


@dataclass(frozen=True)
class StagedTable:
    """Records of one ``core@1`` table, valid by themselves, identifiers still the hospital's.

    ``files`` are Parquet files with the same columns: fields of the table in the order of its spec, with the
    DuckDB types of the spec. A field that the source lacks may be left out. Identifier fields
    (``…_id`` that are keys) hold the source's identifiers: BIGINT where the source is OMOP, else any
    BIGINT that is stable for the same source identifier.
    ``read = written + quarantined`` holds; opt-outs are subtracted later.
    """

    table: str
    files: tuple[Path, ...]
    read: int
    written: int
    quarantined: int


@dataclass(frozen=True)
class Staged:
    """A batch: everything one ingest of one dataset found."""

    dataset: str
    batch: str
    """Digest of the source files' content and of the mapping: the same batch again changes nothing."""
    tables: tuple[StagedTable, ...]
    quarantined: tuple[Quarantined, ...]
    variables: tuple[Variable, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    person_ids: Path | None = None
    """Parquet (``source_id`` VARCHAR, ``person_id`` BIGINT): the hospital's person identifier as written in
    opt-out files, and the staged BIGINT. ``None`` when they are the same number."""
    warnings: tuple[SourceWarning, ...] = ()
    known: bool = False
    """The batch was known before a record was read: nothing is staged."""
