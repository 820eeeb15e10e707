"""Say what a distinct count counts of each kind of criteria (``getTableColumnForCriteriaColumn``)."""

from collections.abc import Mapping
from typing import Any

from atoll_node.errors import EngineError
from atoll_node.reference.attributes import amount, concept, end, start, words
from atoll_node.reference.domains import DOMAINS, Event, Read
from atoll_node.reference.rows import Cdm, integer

Columns = Mapping[str, Read]


def duration(_cdm: Cdm, event: Event) -> int | None:
    """Return the days from an event's start to its end."""
    return event.days


def one_day(_cdm: Cdm, _event: Event) -> int:
    """Records of one day all have the same duration, whatever the adjustment of their dates."""
    return 1


def visit(_cdm: Cdm, event: Event) -> int | None:
    """Return the visit in which the record was made."""
    return event.visit_id


def concept_of(_cdm: Cdm, event: Event) -> int | None:
    """Return the record's standard concept."""
    return event.concept_id


_EVERY: Columns = {"DOMAIN_CONCEPT": concept_of, "START_DATE": start, "END_DATE": end, "VISIT_ID": visit}
_SPAN: Columns = {**_EVERY, "DURATION": duration}
_MOMENT: Columns = {**_EVERY, "DURATION": one_day}
COLUMNS: Mapping[str, Columns] = {
    "ConditionOccurrence": _SPAN,
    "DrugExposure": {
        **_SPAN,
        "DAYS_SUPPLY": amount("days_supply"),
        "QUANTITY": amount("quantity"),
        "REFILLS": amount("refills"),
    },
    "ProcedureOccurrence": {**_MOMENT, "QUANTITY": amount("quantity")},
    "DeviceExposure": {**_SPAN, "QUANTITY": amount("quantity")},
    "Measurement": {
        **_MOMENT,
        "VALUE_AS_NUMBER": amount("value_as_number"),
        "RANGE_LOW": amount("range_low"),
        "RANGE_HIGH": amount("range_high"),
        "UNIT": concept("unit_concept_id"),
    },
    "Observation": {
        **_MOMENT,
        "VALUE_AS_NUMBER": amount("value_as_number"),
        "UNIT": concept("unit_concept_id"),
    },
    "Specimen": _MOMENT,
    "VisitOccurrence": _SPAN,
    "VisitDetail": {**_SPAN, "VISIT_DETAIL_ID": concept("visit_detail_id")},
    "Death": _MOMENT,
    "ConditionEra": {**_SPAN, "ERA_OCCURRENCES": amount("condition_occurrence_count")},
    "DrugEra": {
        **_SPAN,
        "ERA_OCCURRENCES": amount("drug_exposure_count"),
        "GAP_DAYS": amount("gap_days"),
    },
    "DoseEra": {**_SPAN, "VALUE_AS_NUMBER": amount("dose_value"), "UNIT": concept("unit_concept_id")},
    "ObservationPeriod": _SPAN,
    "PayerPlanPeriod": _SPAN,
    "LocationRegion": _SPAN,
    "ImageOccurrence": {**_MOMENT, "IMAGE_STUDY": words("image_study_uid")},
    "ImageFeature": _MOMENT,
    "VariantOccurrence": _MOMENT,
    "TrialParticipation": _SPAN,
    "TrialEpoch": _SPAN,
    "TrialExposure": _SPAN,
    "TrialEndpoint": _MOMENT,
}
"""What may be counted, under the class of the criteria."""


def counted(cdm: Cdm, body: Any, column: str, event: Event) -> object:
    """Return what the count counts once; an unknown value is not counted.

    Raises ``EngineError`` where the records have no such column, as circe-be does.
    """
    kind = type(body).__name__
    source = DOMAINS[kind].source_concept
    if column == "DOMAIN_SOURCE_CONCEPT" and source is not None:
        return integer(event.row, source)
    if column not in COLUMNS[kind]:
        raise EngineError("engine.unsupported", f"{kind} has no {column} to count", "count another column")
    return COLUMNS[kind][column](cdm, event)
