"""Hold groups of conditions on an event: correlated criteria, demographics, groups within groups."""

from typing import Literal, Self

from pydantic import Field, model_validator

from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.parts import Concepts, DateRange, Days, GroupType, NumericRange, Part, Text


class Endpoint(Part):
    """One end of a window: ``Days`` before (``Coeff`` -1) or after (1); without, the end of observation."""

    days: int | None = Field(default=None, ge=0, le=100_000)
    coeff: Literal[-1, 1]


class EventWindow(Part):
    """Where an event's date may lie relative to the index event's, both ends included.

    Absent in a start window, ``UseEventEnd`` means the event's start; in an end window, its end.
    """

    start: Endpoint
    end: Endpoint
    use_index_end: bool | None = None
    use_event_end: bool | None = None


class Occurrence(Part):
    """How many events: ``Type`` 0 exactly, 1 at most, 2 at least; distinct by standard concept if asked."""

    type: Literal[0, 1, 2]
    count: int = Field(ge=0, le=1_000_000)
    is_distinct: bool = False


class CorrelatedCriterion(Part):
    """Criteria whose events are counted around the index event.

    Events count inside the index event's observation period, unless ``IgnoreObservationPeriod``.
    """

    criteria: Criteria
    start_window: EventWindow | None = None
    end_window: EventWindow | None = None
    occurrence: Occurrence
    restrict_visit: bool = False
    ignore_observation_period: bool = False


class DemographicCriteria(Part):
    """Facts of the person at the index event."""

    age: NumericRange | None = None
    gender: Concepts = ()
    race: Concepts = ()
    ethnicity: Concepts = ()
    occurrence_start_date: DateRange | None = None
    occurrence_end_date: DateRange | None = None


class Group(Part):
    """Conditions of which ALL, ANY, AT_LEAST or AT_MOST ``Count`` must hold; an empty group always holds."""

    type: GroupType
    count: int | None = Field(default=None, ge=0, le=100_000)
    criteria_list: tuple[CorrelatedCriterion, ...] = ()
    demographic_criteria_list: tuple[DemographicCriteria, ...] = ()
    groups: tuple["Group", ...] = ()

    @model_validator(mode="after")
    def _counted_types_have_a_count(self) -> Self:
        if self.type.startswith("AT_") and self.count is None:
            raise ValueError("a group of Type AT_LEAST or AT_MOST needs a Count")
        return self

    @property
    def empty(self) -> bool:
        """Whether the group states nothing."""
        return not (self.criteria_list or self.demographic_criteria_list or self.groups)


class InclusionRule(Part):
    """A named group; the names appear in the attrition."""

    documentation = frozenset({"description"})
    name: Text = Field(default="", alias="name")
    expression: Group = Field(alias="expression")


class DateOffset(Part):
    """The cohort ends a fixed number of days after the event's start or end."""

    date_field: Literal["StartDate", "EndDate"]
    offset: Days


class CustomEra(Part):
    """The cohort ends with the continuous exposure to a drug."""

    drug_codeset_id: int
    gap_days: int = Field(default=0, ge=0, le=100_000)
    offset: Days = 0
    days_supply_override: int | None = Field(default=None, ge=0, le=100_000)


class EndStrategy(Part):
    """How long a person stays in the cohort; absent, to the end of the observation period."""

    date_offset: DateOffset | None = None
    custom_era: CustomEra | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.date_offset is None) == (self.custom_era is None):
            raise ValueError("an end strategy is either DateOffset or CustomEra")
        return self
