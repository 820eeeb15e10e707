"""Say what was searched and what is gone, without a word that leads to a person."""

from datetime import datetime

from atoll_schemas.contract import Contract


class TableErasure(Contract):
    """What happened to one table."""

    table: str
    files_searched: int
    """Data files of every version on the store."""
    files_rewritten: int
    """Files of the newest version that were written again without the rows."""
    files_removed: int
    files_left: int
    rows_found_afterwards: int
    """Of the second search, over every file that is left. Always 0: anything else is an error."""


class DatasetErasure(Contract):
    """What happened to one dataset."""

    dataset: str
    tables: tuple[TableErasure, ...]
    withdrawn: tuple[str, ...]
    successor: str | None = None


class ErasureProof(Contract):
    """What one run searched and removed. It holds no identifier, pseudonym, key or count of persons' rows."""

    id: str
    site: str
    at: datetime
    persons_asked: int
    datasets: tuple[DatasetErasure, ...]
    quarantine_files_searched: int
    quarantine_records_removed: int
    ledger_cohorts_changed: int
    scratch_emptied: bool
    kept_away: bool
    """Whether later ingests leave the persons out."""
    not_searched: tuple[str, ...] = (
        "the hospital's own files, from which the tables were made",
        "backups of the store and of the node's home that the hospital made",
        "cleared results that left earlier: they count persons and name none",
    )
