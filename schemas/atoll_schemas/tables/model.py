"""Describe the tables of a data model: fields, types, keys, and what each field's content may reveal."""

import difflib
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Literal

from pydantic import Field as Described

from atoll_schemas.contract import Contract

Group = Literal[
    "clinical", "derived", "health_system", "economics", "metadata", "vocabulary", "results", "imaging",
    "genomics", "trial",
]  # fmt: skip
"""Where a table belongs: OMOP's own groups, and the three that Atoll adds."""

Scope = Literal["person", "linked", "unlinked", "shared"]
"""How the rows of a table reach a person.

``person``: a field of its own names the person. ``linked``: one reference leads to a row that does.
``unlinked``: the rows are about persons, yet no single reference tells which table holds the person
(``cost``, ``fact_relationship``). ``shared``: the rows are about no patient.
"""


class UnknownTable(LookupError):
    """A table name is not of the data model; the message names the nearest one."""


class UnknownField(LookupError):
    """A field name is not of the table; the message names the nearest one."""


class Datatype(StrEnum):
    """The closed set of column types; the value is DuckDB's name in lower case."""

    BIGINT = "bigint"
    """Every key and every concept id: 64 bits, so that pseudonyms fit."""
    INTEGER = "integer"
    DOUBLE = "double"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """Without time zone, as the hospital's clock showed it."""
    VARCHAR = "varchar"

    @property
    def duckdb(self) -> str:
        """Return the DuckDB type."""
        return self.value.upper()

    @property
    def delta(self) -> str:
        """Return the Delta Lake primitive type."""
        return _DELTA[self]


_DELTA = {
    Datatype.BIGINT: "long",
    Datatype.INTEGER: "integer",
    Datatype.DOUBLE: "double",
    Datatype.DATE: "date",
    Datatype.TIMESTAMP: "timestamp_ntz",
    Datatype.VARCHAR: "string",
}


class Content(StrEnum):
    """What a field holds, as far as de-identification must know. Every field has exactly one."""

    PERSON_KEY = "person_key"
    """Names the person: becomes a pseudonym."""
    KEY = "key"
    """The row's own key, or a reference to another row: re-keyed, so that no hospital number stays."""
    CONCEPT = "concept"
    """An OMOP concept id: stays."""
    CODE = "code"
    """A code or short coded value as the source wrote it (``condition_source_value``, a unit): stays."""
    NUMBER = "number"
    """A quantity: stays."""
    DATE = "date"
    """A day or moment in the patient's life: shifted with the person's other dates."""
    BIRTH = "birth"
    """A part of the birth date: reduced to the year, capped by the age rule."""
    FREE_TEXT = "free_text"
    """Words that somebody typed: dropped unless the hospital declares the field safe."""
    DIRECT_IDENTIFIER = "direct_identifier"
    """A name, address, record number, serial number, UID or path: always dropped."""
    STRUCTURAL = "structural"
    """Content of a vocabulary or of the model itself, about no patient: stays."""


class Field(Contract):
    """One column. ``required`` speaks of the source: de-identification may still empty the column."""

    name: str
    datatype: Datatype
    content: Content
    length: int | None = None
    """The longest text that the standard allows, in characters; absent when unbounded or no text."""
    required: bool = False
    primary_key: bool = False
    foreign_table: str | None = None
    foreign_field: str | None = None
    description: str | None = None
    """What it holds, for fields that Atoll adds."""

    @property
    def free_text(self) -> bool:
        """Whether the field is dropped unless it is declared safe."""
        return self.content is Content.FREE_TEXT

    @property
    def direct_identifier(self) -> bool:
        """Whether the field is always dropped."""
        return self.content is Content.DIRECT_IDENTIFIER

    @property
    def person_key(self) -> bool:
        """Whether the field names the person."""
        return self.content is Content.PERSON_KEY


class Link(Contract):
    """The reference by which a ``linked`` table reaches the table that names the person."""

    field: str
    table: str


class Table(Contract):
    """One table: its fields in the order of the standard."""

    name: str
    group: Group
    scope: Scope
    fields: tuple[Field, ...]
    link: Link | None = None
    natural_key: tuple[str, ...] = ()
    """The fields that tell two rows apart where the standard declares no primary key."""
    description: str | None = None

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Return the declared primary key; empty when the standard declares none."""
        return tuple(field.name for field in self.fields if field.primary_key)

    @property
    def key(self) -> tuple[str, ...]:
        """Return the fields by which rows are merged: the primary key, else the natural key."""
        return self.primary_key or self.natural_key

    @property
    def person_field(self) -> str | None:
        """Return the field that names the person, or ``None``."""
        return next((field.name for field in self.fields if field.person_key), None)

    @property
    def person_scoped(self) -> bool:
        """Whether each row names its person."""
        return self.scope == "person"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the field names in order."""
        return tuple(field.name for field in self.fields)

    def has(self, name: str) -> bool:
        """Whether the table has a field of this name."""
        return name in self._by_name

    def field(self, name: str) -> Field:
        """Return the field. Raises ``UnknownField`` that names the nearest one."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownField(
                f"{self.name} has no field {name!r}" + did_you_mean(name, self._by_name)
            ) from None


class DataModel(Contract):
    """A versioned set of tables, such as ``core@1``."""

    name: str = Described(pattern=r"^[a-z]+@[0-9]+$")
    tables: tuple[Table, ...]

    @cached_property
    def _by_name(self) -> dict[str, Table]:
        return {table.name: table for table in self.tables}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the table names in order."""
        return tuple(table.name for table in self.tables)

    def has(self, name: str) -> bool:
        """Whether the model has a table of this name."""
        return name in self._by_name

    def table(self, name: str) -> Table:
        """Return the table. Raises ``UnknownTable`` that names the nearest one."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownTable(
                f"{self.name} has no table {name!r}" + did_you_mean(name, self._by_name)
            ) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` with the nearest known name, or nothing when none is near."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
