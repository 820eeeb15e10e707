"""Hold a cohort expression: the part of OHDSI's Circe language that Atoll runs."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from atoll_schemas.circe.concepts import ConceptSet
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.groups import EndStrategy, Group, InclusionRule
from atoll_schemas.circe.limits import MOST_CRITERIA, check_extent
from atoll_schemas.circe.parts import CollapseType, Limit, Part, Period
from atoll_schemas.circe.reading import json_value, told


class ObservationWindow(Part):
    """Days of observation that an entry event needs before and after it."""

    prior_days: int = Field(default=0, ge=0, le=100_000)
    post_days: int = Field(default=0, ge=0, le=100_000)


class PrimaryCriteria(Part):
    """The entry events."""

    criteria_list: tuple[Criteria, ...] = Field(min_length=1)
    observation_window: ObservationWindow = ObservationWindow()
    primary_criteria_limit: Limit = Limit()


class CollapseSettings(Part):
    """Cohort periods at most ``EraPad`` days apart become one."""

    collapse_type: CollapseType = "ERA"
    era_pad: int = Field(default=0, ge=0, le=100_000)


class CohortExpression(Part):
    """Who is in the cohort and from when to when, in Circe's own JSON names.

    Semantics are those of the SQL that OHDSI's circe-be generates.
    """

    documentation = frozenset({"cdmVersionRange", "Title"})
    concept_sets: tuple[ConceptSet, ...] = Field(default=(), max_length=1_000)
    primary_criteria: PrimaryCriteria
    additional_criteria: Group | None = None
    qualified_limit: Limit = Limit()
    expression_limit: Limit = Limit()
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
            return cls.model_validate(value)
        except ValidationError as error:
            raise told(error) from None

    @model_validator(mode="before")
    @classmethod
    def _within_bounds(cls, value: Any) -> Any:
        check_extent(value)
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
        for _, value in item:
            inner = value if isinstance(value, tuple) else (value,)
            stack.extend(found for found in inner if isinstance(found, BaseModel))


def used_codesets(expression: CohortExpression) -> set[int]:
    """Return the ids of the concept sets that criteria name."""
    names = ("codeset_id", "drug_codeset_id")
    return {
        value
        for part in parts_of(expression)
        for name in names
        if isinstance(value := getattr(part, name, None), int)
    }
