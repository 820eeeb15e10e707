"""Model a mapping: which columns of a hospital's flat files feed which fields of ``core@1``.

TOML and YAML have the same form. Everything is closed: an unknown key is refused.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from atoll_schemas.query import Label, Name, Outcome, Variable

FORMAT = "atoll-mapping@1"
EACH = "*"
"""As a column: the column of the ``each`` entry."""
Scalar = int | float | str
_FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", min_length=1)]


class Part(BaseModel):
    """A frozen part of a mapping, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class FileSpec(Part):
    """One flat file and how it is written. What is left out is found out, dates and decimals apart."""

    name: Name
    path: _FileName
    """The file's name in the dataset's folder; ``.csv``, ``.tsv`` or ``.txt``, also with ``.gz``."""
    person: str
    """The column that holds the hospital's person identifier."""
    key: tuple[str, ...] = ()
    """Columns that tell two records apart; a later record with the same key is a duplicate. Default: all."""
    encoding: str | None = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] = "."
    date_format: str = "yyyy-mm-dd"
    absent: tuple[str, ...] = ("",)
    """Texts that stand for a missing value."""


class FieldSource(Part):
    """Where a field's value comes from: one of ``column``, ``constant`` and ``year_of``."""

    column: str | None = None
    constant: Scalar | None = None
    year_of: str | None = None
    """The year of the date in this column."""
    minus: str | int | None = None
    """With ``year_of``: a number of years, or the column that holds it, to subtract."""
    values: dict[str, Scalar] = Field(default_factory=dict)
    """The source's codes and what each becomes; another code sends the record to quarantine."""
    otherwise: Scalar | None = None
    """What a code that is not in ``values`` becomes."""
    date_format: str | None = None
    plus_days: str | int | None = None
    """Days after the date in ``column``: a number, or the column that holds it."""
    unit: str | None = None
    """The unit of the source's number."""
    to: str | None = None
    """The unit of the staged number."""


class Condition(Part):
    """Make a record only where the column says so."""

    column: str
    equals: tuple[str, ...] = Field(default=(), alias="is")
    otherwise: tuple[str, ...] | None = None
    """The other texts that are allowed; with it, a text in neither list sends the record to quarantine."""
    present: bool | None = None


class Each(Part):
    """One column of a wide file that becomes a record of its own; an empty one becomes none."""

    column: str
    fields: dict[str, FieldSource | str] = Field(default_factory=dict)


class RecordSpec(Part):
    """One kind of record: from each row of ``file`` one record of ``table``, or one per ``each`` column."""

    file: Name
    table: str
    vocabulary: Label | None = None
    """The code system of the record's source codes."""
    when: tuple[Condition, ...] = ()
    fields: dict[str, FieldSource | str] = Field(default_factory=dict)
    """A text alone is the name of a column."""
    each: tuple[Each, ...] = ()


class Mapping(Part):
    """A whole mapping file."""

    format: Literal["atoll-mapping@1"]
    vocabularies: dict[Label, str] = Field(default_factory=dict)
    """The hospital's own code systems, each with a title."""
    files: tuple[FileSpec, ...] = Field(min_length=1)
    records: tuple[RecordSpec, ...] = Field(min_length=1)
    variables: tuple[Variable, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


PARTS: tuple[type[BaseModel], ...] = (
    Mapping,
    FileSpec,
    RecordSpec,
    FieldSource,
    Condition,
    Each,
    Variable,
    Outcome,
)
"""The parts whose keys a mapping may use."""
