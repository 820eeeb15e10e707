"""Hold a cohort expression: the whole of OHDSI's Circe language, with Atoll's additions."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from atoll_schemas.canonical import canonical_json
from atoll_schemas.circe.concepts import ConceptSet
from atoll_schemas.circe.criteria import Criteria, CriteriaGroup
from atoll_schemas.circe.endings import CollapseSettings, EndStrategy
from atoll_schemas.circe.errors import InvalidCohort
from atoll_schemas.circe.limits import MOST_CRITERIA, check_extent
from atoll_schemas.circe.parts import CodesetMark, Part, Period, ResultLimit, SomeDays, Text
from atoll_schemas.circe.reading import json_value, told
from atoll_schemas.circe.writing import as_read, canonical_form

_BOUNDED = object()
"""Tells that the extent of the JSON is checked already."""


class ObservationFilter(Part):
    """Days of observation that an entry event needs before and after it."""

    prior_days: SomeDays = 0
    post_days: SomeDays = 0


class PrimaryCriteria(Part):
    """The entry events."""

    criteria_list: tuple[Criteria, ...] = Field(min_length=1)
    observation_window: ObservationFilter = ObservationFilter()
    primary_criteria_limit: ResultLimit = ResultLimit()


class InclusionRule(Part):
    """A named group; the names appear in the attrition."""

    documentation = frozenset({"description"})
    name: Text = Field(default="", alias="name")
    description: str | None = Field(default=None, alias="description", max_length=100_000)
    expression: CriteriaGroup = Field(alias="expression")


class CohortExpression(Part):
    """Who is in the cohort and from when to when, in Circe's own JSON names.

    Semantics are those of the SQL that OHDSI's circe-be generates. Two expressions are equal when their
    canonical forms are: what only documents is not compared.
    """

    documentation = frozenset({"title", "cdm_version_range"})
    title: Text | None = None
    cdm_version_range: Text | None = Field(default=None, alias="cdmVersionRange")
    concept_sets: tuple[ConceptSet, ...] = Field(default=(), max_length=1_000)
    primary_criteria: PrimaryCriteria
    additional_criteria: CriteriaGroup | None = None
    qualified_limit: ResultLimit = ResultLimit()
    expression_limit: ResultLimit = ResultLimit()
    inclusion_rules: tuple[InclusionRule, ...] = Field(default=(), max_length=200)
    end_strategy: EndStrategy | None = None
    censoring_criteria: tuple[Criteria, ...] = ()
    collapse_settings: CollapseSettings = CollapseSettings()
    censor_window: Period = Period()

    @classmethod
    def from_json(cls, source: str | bytes | Mapping[str, Any]) -> Self:
        """Read the JSON that ATLAS exports. Raises ``InvalidCohort`` or ``UnsupportedCohort``."""
        value = json_value(source)
        try:
            return cls.model_validate(value, context=_BOUNDED)
        except ValidationError as error:
            raise told(error, cls) from None

    def to_circe(self) -> dict[str, Any]:
        """Return the JSON from which the expression was read, key order aside."""
        return as_read(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CohortExpression) and canonical_form(self) == canonical_form(other)

    def __hash__(self) -> int:
        return hash(canonical_json(canonical_form(self)))

    @model_validator(mode="before")
    @classmethod
    def _within_bounds(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is _BOUNDED:
            return value
        try:
            check_extent(value)
        except InvalidCohort as error:
            raise PydanticCustomError("cohort_too_large", "{what}", {"what": error.message}) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {concept_set.id for concept_set in self.concept_sets}
        if len(known) != len(self.concept_sets):
            raise ValueError("two concept sets have the same id")
        if used_codesets(self) - known:
            raise ValueError("a CodesetId names no concept set of the expression")
        if sum(isinstance(part, Criteria) for part in parts_of(self)) > MOST_CRITERIA:
            raise ValueError(f"more than {MOST_CRITERIA} criteria")
        return self


def parts_of(part: BaseModel) -> Iterator[BaseModel]:
    """Yield ``part`` and every part within it, concept sets' items left out."""
    stack: list[BaseModel] = [part]
    while stack:
        item = stack.pop()
        yield item
        if isinstance(item, ConceptSet):
            continue
        for name in item.model_fields_set:
            value = getattr(item, name)
            inner = value if isinstance(value, tuple) else (value,)
            stack.extend(found for found in inner if isinstance(found, BaseModel))


@cache
def codeset_fields(part: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields of a class of parts whose number names a concept set."""
    return tuple(name for name, field in part.model_fields.items() if _names_a_set(field))


def _names_a_set(field: FieldInfo) -> bool:
    inner = [mark for choice in get_args(field.annotation) for mark in get_args(choice)]
    return any(isinstance(mark, CodesetMark) for mark in (*field.metadata, *inner))


def used_codesets(expression: CohortExpression) -> set[int]:
    """Return the ids of the concept sets that criteria name."""
    return {
        value
        for part in parts_of(expression)
        for name in codeset_fields(type(part))
        if (value := getattr(part, name)) is not None
    }
