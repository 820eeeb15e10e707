"""Hold the small parts of conditions around an event: windows, counts, facts of the person."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from atoll_schemas.circe.parts import Concepts, DateRange, NumericRange, Part, Selection, SomeDays, whole

CountColumn = Literal[
    "DOMAIN_CONCEPT", "DOMAIN_SOURCE_CONCEPT", "START_DATE", "END_DATE", "VISIT_ID", "VISIT_DETAIL_ID",
    "DURATION", "QUANTITY", "DAYS_SUPPLY", "REFILLS", "RANGE_LOW", "RANGE_HIGH", "VALUE_AS_NUMBER", "UNIT",
    "ERA_OCCURRENCES", "GAP_DAYS", "IMAGE_STUDY",
]  # fmt: skip
"""What makes events distinct; ``IMAGE_STUDY`` is Atoll's addition."""


class Endpoint(Part):
    """One end of a window: ``Days`` before (``Coeff`` -1) or after (1); without, the end of observation."""

    also: ClassVar[Mapping[str, str]] = {"TimeUnitValue": "Days"}
    units = frozenset({"TimeUnit"})
    days: SomeDays | None = None
    coeff: Annotated[Literal[-1, 1], BeforeValidator(whole)]


class Window(Part):
    """Where an event's date may lie relative to the index event's, both ends included.

    Absent in a start window, ``UseEventEnd`` means the event's start; in an end window, its end.
    """

    start: Endpoint
    end: Endpoint
    use_index_end: bool | None = None
    use_event_end: bool | None = None


class Occurrence(Part):
    """How many events: ``Type`` 0 exactly, 1 at most, 2 at least; distinct by ``CountColumn`` if asked.

    Without ``CountColumn``, distinct means by standard concept.
    """

    type: Annotated[Literal[0, 1, 2], BeforeValidator(whole)]
    count: int = Field(ge=0, le=1_000_000)
    is_distinct: bool = False
    count_column: CountColumn | None = None


class DemographicCriteria(Part):
    """Facts of the person at the index event."""

    age: NumericRange | None = None
    gender: Concepts = ()
    gender_cs: Selection | None = None
    race: Concepts = ()
    race_cs: Selection | None = None
    ethnicity: Concepts = ()
    ethnicity_cs: Selection | None = None
    occurrence_start_date: DateRange | None = None
    occurrence_end_date: DateRange | None = None
