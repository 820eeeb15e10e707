"""Describe a release: an immutable name for exact Delta versions of a dataset's tables."""

from datetime import datetime

from pydantic import Field

from atoll_schemas.catalog import DeidentificationEntry, QualityEntry
from atoll_schemas.contract import Contract
from atoll_schemas.query import Name, Outcome, SiteName, Variable


class PinnedFile(Contract):
    """One Parquet file of a pinned Delta version; ``path`` is relative to the table's root."""

    path: str
    bytes: int = Field(ge=0)
    rows: int = Field(ge=0)


class PinnedTable(Contract):
    """One table at one Delta version, with exactly the files that are live in it."""

    name: Name
    uri: str
    """Absolute path or ``s3://bucket/key`` of the Delta table."""
    version: int = Field(ge=0)
    rows: int = Field(ge=0)
    files: tuple[PinnedFile, ...]

    def paths(self) -> tuple[str, ...]:
        """Return every file's full path."""
        return tuple(self.path(file) for file in self.files)

    def path(self, file: PinnedFile) -> str:
        """Return a file's full path."""
        return f"{self.uri}/{file.path}"


class Release(Contract):
    """A frozen set of Delta versions. ``content_digest`` covers all other fields that decide an answer."""

    name: str
    """Such as ``colon-0001``: the dataset and a number that grows."""
    site: SiteName
    dataset: Name
    created_at: datetime
    tables: tuple[PinnedTable, ...]
    quality: tuple[QualityEntry, ...] = ()
    deidentification: tuple[DeidentificationEntry, ...] = ()
    date_shift: bool = False
    synthetic: bool = False
    variables: tuple[Variable, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    vocabulary_version: str | None = None
    content_digest: str

    def table(self, name: str) -> PinnedTable | None:
        """Return the pinned table of that name, or ``None`` when the release has none."""
        return next((table for table in self.tables if table.name == name), None)
