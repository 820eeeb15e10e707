"""Say what each attribute of each kind of criteria reads.

The rules are those of the builder of each kind in OHDSI's circe-be (``builders/*SqlBuilder.java``). An
attribute ``X`` lists concepts; ``XCS`` names a concept set for the same field, with its own ``IsExclusion``.
"""

from collections.abc import Mapping
from datetime import date

from atoll_node.reference.domains import NO_END, Attribute, Event, Read
from atoll_node.reference.rows import Cdm, Row, day, integer, number, text

Attributes = Mapping[str, Attribute]
POINTS_TO = {1147138: ("measurement", "measurement_id"), 1147165: ("observation", "observation_id")}
"""OMOP's concepts of the two key fields to which a feature of an image may point."""
ABNORMAL = {4155142, 4155143}
"""Abnormal and abnormally high, as circe-be's ``MeasurementSqlBuilder`` lists them."""


def start(_cdm: Cdm, event: Event) -> date:
    """Return the day on which an event starts."""
    return event.start


def end(_cdm: Cdm, event: Event) -> date | None:
    """Return the day on which an event ends."""
    return event.end


def length(_cdm: Cdm, event: Event) -> int | None:
    """Return the days from an event's start to its end."""
    return event.days


def age_at_start(cdm: Cdm, event: Event) -> int | None:
    """Return the year of the event's start less the person's year of birth."""
    return _age(cdm, event, event.start)


def age_at_end(cdm: Cdm, event: Event) -> int | None:
    """Return the year of the event's end less the person's year of birth."""
    return _age(cdm, event, event.end)


def _age(cdm: Cdm, event: Event, moment: date | None) -> int | None:
    born = integer(cdm.person(event.person_id), "year_of_birth")
    return None if born is None or moment is None else moment.year - born


def of_person(field: str) -> Read:
    """Return a concept of the person."""
    return lambda cdm, event: integer(cdm.person(event.person_id), field)


def concept(field: str) -> Read:
    """Return a concept of the record."""
    return lambda _, event: integer(event.row, field)


def amount(field: str) -> Read:
    """Return a number of the record."""
    return lambda _, event: number(event.row, field)


def words(field: str) -> Read:
    """Return a text of the record."""
    return lambda _, event: text(event.row, field)


def specialty(cdm: Cdm, event: Event) -> int | None:
    """Return the specialty of the record's provider."""
    provider = cdm.row("provider", "provider_id", integer(event.row, "provider_id"))
    return integer(provider or {}, "specialty_concept_id")


def visit_concept(cdm: Cdm, event: Event) -> int | None:
    """Return the kind of the visit in which the record was made, if it is a visit of the same person."""
    visit = cdm.row("visit_occurrence", "visit_occurrence_id", integer(event.row, "visit_occurrence_id"))
    own = visit is not None and integer(visit, "person_id") == event.person_id
    return integer(visit or {}, "visit_concept_id") if own else None


def place_of_service(cdm: Cdm, event: Event) -> int | None:
    """Return the kind of the care site of a visit."""
    site = cdm.row("care_site", "care_site_id", integer(event.row, "care_site_id"))
    return integer(site or {}, "place_of_service_concept_id")


def lies_in_region(cdm: Cdm, event: Event) -> list[int | None]:
    """Return the regions of the visit's care site over the whole visit (``location_history``)."""
    return [
        integer(location, "region_concept_id")
        for stay in cdm.rows("location_history")
        if text(stay, "domain_id") == "CARE_SITE"
        and integer(stay, "entity_id") == integer(event.row, "care_site_id")
        and (first := day(stay, "start_date")) is not None
        and event.end is not None
        and first <= event.start
        and event.end <= (day(stay, "end_date") or NO_END)
        and (location := cdm.row("location", "location_id", integer(stay, "location_id"))) is not None
    ]


def image_of(cdm: Cdm, event: Event) -> Row:
    """Return the image in which a feature was found."""
    key = integer(event.row, "image_occurrence_id")
    return cdm.row("image_occurrence", "image_occurrence_id", key) or {}


def modality_of_image(cdm: Cdm, event: Event) -> int | None:
    """Return the modality of the image in which a feature was found."""
    return integer(image_of(cdm, event), "modality_concept_id")


def measured(field: str) -> Read:
    """Return a field of the measurement or observation to which a feature of an image points.

    ``image_feature_event_field_concept_id`` says of which table ``image_feature_event_id`` is a key.
    """

    def read(cdm: Cdm, event: Event) -> object:
        table, key = POINTS_TO.get(integer(event.row, "image_feature_event_field_concept_id") or 0, ("", ""))
        row = cdm.row(table, key, integer(event.row, "image_feature_event_id")) or {}
        return (number if field == "value_as_number" else integer)(row, field)

    return read


def censored(_cdm: Cdm, event: Event) -> bool | None:
    """Whether the time to an endpoint is censored: ADaM's ``CNSR`` is 0 for an event."""
    code = integer(event.row, "censored")
    return None if code is None else code > 0


def ratio(field: str) -> Read:
    """Return the measured value divided by a bound of its normal range, if that is not 0."""

    def read(_cdm: Cdm, event: Event) -> float | None:
        value, bound = number(event.row, "value_as_number"), number(event.row, field)
        return None if value is None or not bound else value / bound

    return read


def abnormal(_cdm: Cdm, event: Event) -> bool:
    """Whether a measured value lies outside its normal range, or is called abnormal."""
    value = number(event.row, "value_as_number")
    low, high = number(event.row, "range_low"), number(event.row, "range_high")
    below = value is not None and low is not None and value < low
    above = value is not None and high is not None and value > high
    return below or above or integer(event.row, "value_as_concept_id") in ABNORMAL


def _coded(name: str, read: Read | str) -> Attributes:
    """Both spellings of an attribute that lists concepts."""
    attribute = Attribute(concept(read) if isinstance(read, str) else read)
    return {name: attribute, f"{name}_cs": attribute}


def _exact(name: str, field: str) -> Attributes:
    return {name: Attribute(amount(field), decimals=True)}


def _whole(name: str, field: str) -> Attributes:
    return {name: Attribute(amount(field))}


def _words(*fields: str) -> Attributes:
    return {field: Attribute(words(field)) for field in fields}


_PERSON: Attributes = {
    "age": Attribute(age_at_start),
    **_coded("gender", of_person("gender_concept_id")),
}
_RECORD: Attributes = {
    **_PERSON,
    "occurrence_start_date": Attribute(start),
    "occurrence_end_date": Attribute(end),
    **_coded("provider_specialty", specialty),
    **_coded("visit_type", visit_concept),
}
_ERA: Attributes = {
    "era_start_date": Attribute(start),
    "era_end_date": Attribute(end),
    "era_length": Attribute(length),
    "age_at_start": Attribute(age_at_start),
    "age_at_end": Attribute(age_at_end),
    **_coded("gender", of_person("gender_concept_id")),
}
_PERIOD: Attributes = {
    "period_start_date": Attribute(start),
    "period_end_date": Attribute(end),
    "period_length": Attribute(length),
    "age_at_start": Attribute(age_at_start),
    "age_at_end": Attribute(age_at_end),
}
_TRIAL: Attributes = {
    **_PERSON,
    "trial": Attribute(words("trial_code")),
    "occurrence_start_date": Attribute(start),
    "occurrence_end_date": Attribute(end),
}
_PAYER = (
    "payer_concept", "plan_concept", "sponsor_concept", "stop_reason_concept", "payer_source_concept",
    "plan_source_concept", "sponsor_source_concept", "stop_reason_source_concept",
)  # fmt: skip

ATTRIBUTES: Mapping[str, Attributes] = {
    "DemographicCriteria": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        "occurrence_end_date": Attribute(end),
        **_coded("race", of_person("race_concept_id")),
        **_coded("ethnicity", of_person("ethnicity_concept_id")),
    },
    "ConditionOccurrence": {
        **_RECORD,
        **_coded("condition_type", "condition_type_concept_id"),
        **_coded("condition_status", "condition_status_concept_id"),
        "stop_reason": Attribute(words("stop_reason")),
    },
    "DrugExposure": {
        **_RECORD,
        # circe-be's DrugExposureSqlBuilder compares the start with the bounds of the end, and so do we.
        "occurrence_end_date": Attribute(start),
        **_coded("drug_type", "drug_type_concept_id"),
        **_coded("route_concept", "route_concept_id"),
        **_whole("refills", "refills"),
        **_exact("quantity", "quantity"),
        **_whole("days_supply", "days_supply"),
        "stop_reason": Attribute(words("stop_reason")),
        "lot_number": Attribute(words("lot_number")),
    },
    "ProcedureOccurrence": {
        **_RECORD,
        **_coded("procedure_type", "procedure_type_concept_id"),
        **_coded("modifier", "modifier_concept_id"),
        **_whole("quantity", "quantity"),
    },
    "DeviceExposure": {
        **_RECORD,
        **_coded("device_type", "device_type_concept_id"),
        **_whole("quantity", "quantity"),
        "unique_device_id": Attribute(words("unique_device_id")),
    },
    "Measurement": {
        **_RECORD,
        **_coded("measurement_type", "measurement_type_concept_id"),
        **_coded("operator", "operator_concept_id"),
        **_exact("value_as_number", "value_as_number"),
        **_coded("value_as_concept", "value_as_concept_id"),
        **_coded("unit", "unit_concept_id"),
        **_exact("range_low", "range_low"),
        **_exact("range_high", "range_high"),
        "range_low_ratio": Attribute(ratio("range_low"), decimals=True),
        "range_high_ratio": Attribute(ratio("range_high"), decimals=True),
        "abnormal": Attribute(abnormal, is_flag=True),
    },
    "Observation": {
        **_RECORD,
        **_coded("observation_type", "observation_type_concept_id"),
        **_exact("value_as_number", "value_as_number"),
        "value_as_string": Attribute(words("value_as_string")),
        **_coded("value_as_concept", "value_as_concept_id"),
        **_coded("qualifier", "qualifier_concept_id"),
        **_coded("unit", "unit_concept_id"),
    },
    "Specimen": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        "occurrence_end_date": Attribute(end),
        **_coded("specimen_type", "specimen_type_concept_id"),
        **_exact("quantity", "quantity"),
        **_coded("unit", "unit_concept_id"),
        **_coded("anatomic_site", "anatomic_site_concept_id"),
        **_coded("disease_status", "disease_status_concept_id"),
        "source_id": Attribute(words("specimen_source_id")),
    },
    "VisitOccurrence": {
        **_RECORD,
        **_coded("visit_type", "visit_type_concept_id"),
        "visit_length": Attribute(length),
        **_coded("place_of_service", place_of_service),
        "place_of_service_location": Attribute(lies_in_region),
    },
    "VisitDetail": {
        # The age of a visit detail is that at its end, unlike everywhere else.
        "age": Attribute(age_at_end),
        **_coded("gender", of_person("gender_concept_id")),
        "visit_detail_start_date": Attribute(start),
        "visit_detail_end_date": Attribute(end),
        "visit_detail_length": Attribute(length),
        **_coded("visit_detail_type", "visit_detail_type_concept_id"),
        **_coded("provider_specialty", specialty),
        **_coded("place_of_service", place_of_service),
        "place_of_service_location": Attribute(lies_in_region),
        "admitted_from_concept": Attribute(concept("admitted_from_concept_id")),
        "discharged_to_concept": Attribute(concept("discharged_to_concept_id")),
    },
    "Death": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        **_coded("death_type", "death_type_concept_id"),
    },
    "ConditionEra": {**_ERA, **_whole("occurrence_count", "condition_occurrence_count")},
    "DrugEra": {
        **_ERA,
        **_whole("occurrence_count", "drug_exposure_count"),
        **_whole("gap_days", "gap_days"),
    },
    "DoseEra": {
        **_ERA,
        **_coded("unit", "unit_concept_id"),
        **_exact("dose_value", "dose_value"),
    },
    "ObservationPeriod": {**_PERIOD, **_coded("period_type", "period_type_concept_id")},
    "PayerPlanPeriod": {
        **_PERIOD,
        **_coded("gender", of_person("gender_concept_id")),
        **{name: Attribute(concept(f"{name}_id")) for name in _PAYER},
    },
    "LocationRegion": {"start_date": Attribute(start), "end_date": Attribute(end)},
    "ImageOccurrence": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        **_coded("visit_type", visit_concept),
        **_coded("modality", "modality_concept_id"),
        **_coded("anatomic_site", "anatomic_site_concept_id"),
    },
    "ImageFeature": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        **_coded("feature_type", "image_feature_type_concept_id"),
        **_coded("finding", "image_finding_concept_id"),
        "algorithm": Attribute(words("alg_system")),
        **_coded("anatomic_site", "anatomic_site_concept_id"),
        **_coded("modality", modality_of_image),
        "value_as_number": Attribute(measured("value_as_number"), decimals=True),
        **_coded("value_as_concept", measured("value_as_concept_id")),
        **_coded("unit", measured("unit_concept_id")),
    },
    "VariantOccurrence": {
        **_PERSON,
        "occurrence_start_date": Attribute(start),
        "gene": Attribute(words("gene_symbol")),
        "gene_cs": Attribute(concept("gene_concept_id")),
        **_words("hgvs_c", "hgvs_p", "hgvs_g", "consequence", "variant_type", "zygosity", "origin"),
        **_words("assembly", "chromosome", "clinical_significance"),
        "clinical_significance_cs": Attribute(concept("clinical_significance_concept_id")),
        **_exact("allele_fraction", "allele_fraction"),
        **_whole("read_depth", "read_depth"),
        **_exact("copy_number", "copy_number"),
        **_whole("position", "position"),
    },
    "TrialParticipation": {
        **_TRIAL,
        "arm": Attribute(words("arm_code")),
        "actual_arm": Attribute(words("actual_arm_code")),
        "status": Attribute(words("subject_status")),
        "randomization_date": Attribute(lambda _, event: day(event.row, "randomization_date")),
    },
    "TrialEpoch": {
        **_TRIAL,
        "epoch": Attribute(words("epoch_code")),
        **_whole("epoch_number", "epoch_number"),
    },
    "TrialExposure": {
        **_TRIAL,
        "epoch": Attribute(words("epoch_code")),
        "treatment": Attribute(words("treatment_source_value")),
        **_exact("dose_value", "dose_value"),
        "dose_unit": Attribute(words("dose_unit_source_value")),
    },
    "TrialEndpoint": {
        **_TRIAL,
        "endpoint": Attribute(words("endpoint_code")),
        **_exact("value_as_number", "value_as_number"),
        "value_as_string": Attribute(words("value_source_value")),
        "unit": Attribute(words("unit_source_value")),
        "censored": Attribute(censored),
    },
}
"""What the attributes of criteria read, under the class of the criteria."""
