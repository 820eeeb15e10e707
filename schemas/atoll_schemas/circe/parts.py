"""Give every part of a cohort expression one base, and hold the small parts: ranges, limits, concepts."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from atoll_schemas.circe.names import CIRCE_NAMES
from atoll_schemas.contract import Contract

Days = Annotated[int, Field(ge=-100_000, le=100_000)]
ConceptId = Annotated[int, Field(ge=0, le=2**53 - 1)]
Text = Annotated[str, Field(max_length=4_000)]


class Part(Contract):
    """A part of a cohort expression, spelled as Circe spells it (``CodesetId``).

    ``null`` means absent. Fields that only document (``documentation``), and unsupported Circe fields
    whose value says nothing (``[]``, or ``false`` of ``…TypeExclude``), are left out.
    """

    model_config = ConfigDict(alias_generator=to_pascal)
    documentation: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _only_what_matters(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()} | set(cls.model_fields)
        return {key: item for key, item in value.items() if not cls._is_empty(key, item, known)}

    @classmethod
    def _is_empty(cls, key: object, item: object, known: set[str]) -> bool:
        if key in cls.documentation:
            return True
        if item is None:
            return key in known or key in CIRCE_NAMES
        if key in known or key not in CIRCE_NAMES:
            return False
        return item == [] or (item is False and str(key).endswith("TypeExclude"))


def unsupported(message: str) -> PydanticCustomError:
    """Return the error for a Circe construct that Atoll does not run yet."""
    return PydanticCustomError("unsupported", "{what}", {"what": message})


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _capital(value: Any) -> Any:
    return value.capitalize() if isinstance(value, str) else value


class Concept(Part):
    """An OMOP concept; only its id decides."""

    documentation = frozenset(
        {
            "CONCEPT_NAME",
            "STANDARD_CONCEPT",
            "STANDARD_CONCEPT_CAPTION",
            "INVALID_REASON",
            "INVALID_REASON_CAPTION",
            "CONCEPT_CODE",
            "DOMAIN_ID",
            "VOCABULARY_ID",
            "CONCEPT_CLASS_ID",
            "VALID_START_DATE",
            "VALID_END_DATE",
        }
    )
    concept_id: ConceptId = Field(alias="CONCEPT_ID")


Concepts = Annotated[tuple[Concept, ...], Field(max_length=10_000)]
Operator = Literal["lt", "lte", "eq", "!eq", "gt", "gte", "bt", "!bt"]


class NumericRange(Part):
    """A number compared with ``Value`` (and ``Extent``, included, for ``bt``; ``!bt`` is its opposite)."""

    value: float
    op: Operator
    extent: float | None = None

    @model_validator(mode="after")
    def _between_has_an_extent(self) -> Self:
        if self.op.endswith("bt") and self.extent is None:
            raise ValueError("a range with Op bt needs an Extent")
        return self


class DateRange(Part):
    """A date compared with ``Value`` (and ``Extent``, included, for ``bt``)."""

    value: date
    op: Operator
    extent: date | None = None

    @model_validator(mode="after")
    def _between_has_an_extent(self) -> Self:
        if self.op.endswith("bt") and self.extent is None:
            raise ValueError("a range with Op bt needs an Extent")
        return self


class Period(Part):
    """Two calendar dates, either of which may be open."""

    start_date: date | None = None
    end_date: date | None = None


class Limit(Part):
    """Which of a person's events to keep, by start date."""

    type: Annotated[Literal["All", "First", "Last"], BeforeValidator(_capital)] = "First"


GroupType = Annotated[Literal["ALL", "ANY", "AT_LEAST", "AT_MOST"], BeforeValidator(_upper)]
CollapseType = Annotated[Literal["ERA"], BeforeValidator(_upper)]
