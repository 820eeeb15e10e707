"""Describe a site's releases for the hub's catalog: metadata and cleared counts only."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from atoll_schemas.cells import Cell
from atoll_schemas.contract import Contract
from atoll_schemas.query import Label, Name, Outcome, SiteName, Variable


class FieldEntry(Contract):
    """One field that the release holds, and how much of it is filled."""

    name: Name
    datatype: str
    filled: Cell
    """Persons with at least one value."""


class TableEntry(Contract):
    """One table of the release."""

    name: Name
    persons: Cell
    rows: Cell
    fields: tuple[FieldEntry, ...]


class YearEntry(Contract):
    """Persons with a record in one calendar year of one table."""

    table: Name
    year: int
    persons: Cell


class ConceptEntry(Contract):
    """Persons and rows of one concept or source code in one table; entries below the minimum are absent."""

    table: Name
    concept_id: int
    vocabulary: Label | None = None
    code: Label | None = None
    name: Label | None = None
    persons: Cell
    rows: Cell


class DeidentificationEntry(Contract):
    """One rule as it was applied to this dataset, in words."""

    rule: Name
    description: str
    fields: tuple[str, ...] = ()


class QualityEntry(Contract):
    """One quality check of the release."""

    check: Name
    description: str
    passed: bool
    severity: Literal["info", "warning", "blocker"]


class CatalogEntry(Contract):
    """What one release of one dataset holds (``dcat:Dataset`` with its current distribution)."""

    site: SiteName
    dataset: Name
    title: Label
    description: str
    data_model: Literal["core@1"] = "core@1"
    release: str
    release_digest: str
    released_at: datetime
    synthetic: bool
    """The data is made up; every screen that shows it says so."""
    first_year: int | None = None
    last_year: int | None = None
    persons: Cell
    tables: tuple[TableEntry, ...]
    years: tuple[YearEntry, ...] = ()
    concepts: tuple[ConceptEntry, ...] = ()
    variables: tuple[Variable, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    vocabulary_version: Label | None = None
    shared_tables: tuple[Name, ...] = ()
    """Tables without persons that hold rows, such as ``concept_ancestor`` or ``care_site``."""
    deidentification: tuple[DeidentificationEntry, ...] = ()
    date_shift: bool = False
    quality: tuple[QualityEntry, ...] = ()
    gate_minimum_persons: int = Field(ge=1)


class CatalogPush(Contract):
    """A node's whole catalog, as of now; it replaces the one before."""

    site: SiteName
    entries: tuple[CatalogEntry, ...]
    pushed_at: datetime
    last_ingest: date | None = None


class SiteView(Contract):
    """A site as researchers see it."""

    site: SiteName
    title: Label
    state: Literal["invited", "online", "offline", "incompatible"]
    last_seen: datetime | None = None
    software: str | None = None
    protocol: str | None = None
    datasets: tuple[Name, ...] = ()
