"""Give every part of a cohort expression one base, and hold the small parts: ranges, limits, concepts.

A part is read from Circe JSON, keeps what it must know to write that JSON again (see
``atoll_schemas.circe.writing``), and is compared by what it means.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ModelWrapValidatorHandler,
    model_serializer,
    model_validator,
)

from atoll_schemas.circe.spelling import ASIDE, circe_name, sort_out, written_otherwise
from atoll_schemas.circe.writing import canonical_form
from atoll_schemas.contract import Contract


class CodesetMark:
    """Marks the fields whose number names a concept set of the expression."""


Days = Annotated[int, Field(ge=-100_000, le=100_000)]
SomeDays = Annotated[int, Field(ge=0, le=100_000)]
Number = Annotated[int | float, Field(ge=-(2**53), le=2**53)]
ConceptId = Annotated[int, Field(ge=0, le=2**53 - 1)]
CodesetId = Annotated[int, Field(ge=0, le=2**31 - 1), CodesetMark()]
Text = Annotated[str, Field(max_length=4_000)]
Code = Annotated[str, Field(min_length=1, max_length=255)]
Codes = Annotated[tuple[Code, ...], FailFast(), Field(max_length=1_000)]


class Part(Contract):
    """A part of a cohort expression, spelled as Circe spells it (``CodesetId``).

    ``null`` means absent. ``documentation`` names the fields that change no answer.
    ``also`` maps other spellings of a field, which some versions wrote, to the field's Circe name;
    ``units`` names fields that may only say ``day``.
    """

    model_config = ConfigDict(alias_generator=circe_name, populate_by_name=False)
    documentation: ClassVar[frozenset[str]] = frozenset()
    also: ClassVar[Mapping[str, str]] = {}
    units: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Read the fields, and keep aside what would be written otherwise than it was."""
        if not isinstance(value, Mapping):
            return read(value)
        fields, aside = sort_out(cls, value)
        part = read(fields)
        aside |= written_otherwise(part, fields)
        if aside:
            part.__dict__[ASIDE] = aside
        return part

    @model_serializer(mode="plain")
    def _canonical_form(self) -> dict[str, Any]:
        """The wire carries the canonical form, whose bytes are digested."""
        return canonical_form(self)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy; a changed copy is written from its values, no longer as it was read."""
        copy = super().model_copy(update=update, deep=deep)
        if update:
            copy.__dict__.pop(ASIDE, None)
        return copy


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def whole(value: Any) -> Any:
    """Read a small number of a closed list, which some versions wrote as a text."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def _capital(value: Any) -> Any:
    return value.capitalize() if isinstance(value, str) else value


_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:T[0-9:.]{1,16}Z?)?", re.ASCII)


def _day(value: Any) -> Any:
    """Circe cuts a date at its hyphens, so that 2020-1-5 is a date too; the first ATLAS wrote a time."""
    if isinstance(value, date):
        return value
    found = _DAY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a date is written as 2020-01-31")
    return date(*(int(part) for part in found.groups()))


Day = Annotated[date, BeforeValidator(_day)]
_Caption = Annotated[str, Field(max_length=1_000)]


class Concept(Part):
    """An OMOP concept; only its id decides."""

    model_config = ConfigDict(alias_generator=str.upper)
    documentation = frozenset(
        {
            "concept_name",
            "standard_concept",
            "standard_concept_caption",
            "invalid_reason",
            "invalid_reason_caption",
            "concept_code",
            "domain_id",
            "vocabulary_id",
            "concept_class_id",
            "valid_start_date",
            "valid_end_date",
        }
    )
    concept_id: ConceptId
    concept_name: _Caption | None = None
    standard_concept: _Caption | None = None
    standard_concept_caption: _Caption | None = None
    invalid_reason: _Caption | None = None
    invalid_reason_caption: _Caption | None = None
    concept_code: _Caption | None = None
    domain_id: _Caption | None = None
    vocabulary_id: _Caption | None = None
    concept_class_id: _Caption | None = None
    valid_start_date: int | _Caption | None = None
    valid_end_date: int | _Caption | None = None


Concepts = Annotated[tuple[Concept, ...], FailFast(), Field(max_length=10_000)]
"""Concepts of which one must be recorded; none asks for nothing."""


class ConceptSetSelection(Part):
    """Concepts named by a concept set: one of them must be recorded, or none of them."""

    codeset_id: CodesetId
    is_exclusion: bool = False


def _selection(value: Any) -> Any:
    """Early versions wrote the bare number of the concept set."""
    return {"CodesetId": value} if type(value) is int else value


Selection = Annotated[ConceptSetSelection, BeforeValidator(_selection)]
Operator = Literal["lt", "lte", "eq", "!eq", "gt", "gte", "bt", "!bt"]


class NumericRange(Part):
    """A number compared with ``Value`` (and ``Extent``, included, for ``bt``; ``!bt`` is its opposite)."""

    value: Number
    op: Operator
    extent: Number | None = None

    @model_validator(mode="after")
    def _between_has_an_extent(self) -> Self:
        if self.op.endswith("bt") and self.extent is None:
            raise ValueError("a range with Op bt needs an Extent")
        return self


class DateRange(Part):
    """A date compared with ``Value`` (and ``Extent``, included, for ``bt``)."""

    value: Day
    op: Operator
    extent: Day | None = None

    @model_validator(mode="after")
    def _between_has_an_extent(self) -> Self:
        if self.op.endswith("bt") and self.extent is None:
            raise ValueError("a range with Op bt needs an Extent")
        return self


class TextFilter(Part):
    """A text compared with ``Text`` as SQL's LIKE does; ``eq`` compares the whole text."""

    text: Text
    op: Literal["startsWith", "contains", "endsWith", "!startsWith", "!contains", "!endsWith", "eq", "!eq"]


class Period(Part):
    """Two calendar dates, either of which may be open."""

    start_date: Day | None = None
    end_date: Day | None = None


class DateAdjustment(Part):
    """Where an event starts and ends instead: days from its own start or end."""

    start_with: Literal["START_DATE", "END_DATE"] = "START_DATE"
    start_offset: Days = 0
    end_with: Literal["START_DATE", "END_DATE"] = "END_DATE"
    end_offset: Days = 0


class ResultLimit(Part):
    """Which of a person's events to keep, by start date."""

    type: Annotated[Literal["All", "First", "Last"], BeforeValidator(_capital)] = "First"


GroupType = Annotated[Literal["ALL", "ANY", "AT_LEAST", "AT_MOST"], BeforeValidator(_upper)]
CollapseType = Annotated[Literal["ERA"], BeforeValidator(_upper)]
