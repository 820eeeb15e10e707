"""Say for each kind of criteria which records are its events, on which days, and what its attributes read.

The rules are those of the SQL templates of OHDSI's circe-be (``cohortdefinition/sql/*.sql``) and of the
builder of each kind (``builders/*SqlBuilder.java``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from atoll_node.reference.rows import Cdm, Row, day, integer, text

End = Callable[[Row, date], date | None]
ONE_DAY = timedelta(days=1)
NO_END = date(2099, 12, 31)


@dataclass(frozen=True)
class Event:
    """A record as an event of a person. ``order`` is the day by which entry events are put in order."""

    person_id: int
    record_id: int
    start: date
    end: date | None
    order: date
    visit_id: int | None
    concept_id: int | None
    row: Row

    @property
    def days(self) -> int | None:
        """The days from start to end."""
        return None if self.end is None else (self.end - self.start).days


Start = Callable[[Cdm, Row], date | None]
Rows = Callable[[Cdm, int], Iterable[Row]]
Read = Callable[[Cdm, Event], object]


@dataclass(frozen=True)
class Domain:
    """Where the records of one kind of criteria lie, by their part in an event."""

    table: str
    key: str
    start: Start
    end: End
    concept: str | None
    source_value: str | None = None
    source_concept: str | None = None
    source_attribute: str | None = None
    """The attribute of the criteria that names a concept set for ``source_concept``."""
    visit: str | None = "visit_occurrence_id"
    no_concept: int | None = None
    """What is counted as the concept of a record without one."""
    rows: Rows | None = None
    """How a person's rows are found where they do not name the person."""

    def records(self, cdm: Cdm, person_id: int) -> Iterable[Row]:
        """Return the person's rows."""
        return cdm.rows_of(self.table, person_id) if self.rows is None else self.rows(cdm, person_id)


@dataclass(frozen=True)
class Attribute:
    """What an attribute of criteria reads.

    ``decimals``: its bounds keep four of them, else none. ``is_flag``: false asks for nothing.
    """

    read: Read
    decimals: bool = False
    is_flag: bool = False


def on(field: str) -> Start:
    """Return the rule of nearly all records: they start on a day of their own."""
    return lambda _, row: day(row, field)


def on_image(cdm: Cdm, row: Row) -> date | None:
    """A feature is of the day of its image."""
    image = cdm.row("image_occurrence", "image_occurrence_id", integer(row, "image_occurrence_id"))
    return day(image or {}, "image_occurrence_date")


def places(cdm: Cdm, person_id: int) -> Iterable[Row]:
    """Return where a person lived and when (``locationRegion.sql``)."""
    for stay in cdm.rows("location_history"):
        if text(stay, "domain_id") == "PERSON" and integer(stay, "entity_id") == person_id:
            location = cdm.row("location", "location_id", integer(stay, "location_id"))
            if location is not None:
                yield {**location, **stay}


def next_day(_row: Row, start: date) -> date:
    """Records without an end last to the next day."""
    return start + ONE_DAY


def recorded(field: str) -> End:
    """Return the rule of visits and eras: the end as recorded, or none."""
    return lambda row, _: day(row, field)


def recorded_or_next_day(field: str) -> End:
    """Return the rule of diagnoses and devices: the end as recorded, else the next day."""
    return lambda row, start: day(row, field) or start + ONE_DAY


def exposed(row: Row, start: date) -> date:
    """A drug exposure ends as recorded, else after the days of supply, else on the next day."""
    supply = integer(row, "days_supply")
    return day(row, "drug_exposure_end_date") or start + timedelta(days=1 if supply is None else supply)


def lived(row: Row, _start: date) -> date:
    """A stay at a place ends as recorded, else at the end of the century."""
    return day(row, "end_date") or NO_END


DOMAINS: Mapping[str, Domain] = {
    "ConditionOccurrence": Domain(
        table="condition_occurrence",
        key="condition_occurrence_id",
        start=on("condition_start_date"),
        end=recorded_or_next_day("condition_end_date"),
        concept="condition_concept_id",
        source_value="condition_source_value",
        source_concept="condition_source_concept_id",
        source_attribute="condition_source_concept",
    ),
    "DrugExposure": Domain(
        table="drug_exposure",
        key="drug_exposure_id",
        start=on("drug_exposure_start_date"),
        end=exposed,
        concept="drug_concept_id",
        source_value="drug_source_value",
        source_concept="drug_source_concept_id",
        source_attribute="drug_source_concept",
    ),
    "ProcedureOccurrence": Domain(
        table="procedure_occurrence",
        key="procedure_occurrence_id",
        start=on("procedure_date"),
        end=next_day,
        concept="procedure_concept_id",
        source_value="procedure_source_value",
        source_concept="procedure_source_concept_id",
        source_attribute="procedure_source_concept",
    ),
    "DeviceExposure": Domain(
        table="device_exposure",
        key="device_exposure_id",
        start=on("device_exposure_start_date"),
        end=recorded_or_next_day("device_exposure_end_date"),
        concept="device_concept_id",
        source_value="device_source_value",
        source_concept="device_source_concept_id",
        source_attribute="device_source_concept",
    ),
    "Measurement": Domain(
        table="measurement",
        key="measurement_id",
        start=on("measurement_date"),
        end=next_day,
        concept="measurement_concept_id",
        source_value="measurement_source_value",
        source_concept="measurement_source_concept_id",
        source_attribute="measurement_source_concept",
    ),
    "Observation": Domain(
        table="observation",
        key="observation_id",
        start=on("observation_date"),
        end=next_day,
        concept="observation_concept_id",
        source_value="observation_source_value",
        source_concept="observation_source_concept_id",
        source_attribute="observation_source_concept",
    ),
    "Specimen": Domain(
        table="specimen",
        key="specimen_id",
        start=on("specimen_date"),
        end=next_day,
        concept="specimen_concept_id",
        source_value="specimen_source_value",
        visit=None,
    ),
    "VisitOccurrence": Domain(
        table="visit_occurrence",
        key="visit_occurrence_id",
        start=on("visit_start_date"),
        end=recorded("visit_end_date"),
        concept="visit_concept_id",
        source_value="visit_source_value",
        source_concept="visit_source_concept_id",
        source_attribute="visit_source_concept",
    ),
    "VisitDetail": Domain(
        table="visit_detail",
        key="visit_detail_id",
        start=on("visit_detail_start_date"),
        end=recorded("visit_detail_end_date"),
        concept="visit_detail_concept_id",
        source_value="visit_detail_source_value",
        source_concept="visit_detail_source_concept_id",
        source_attribute="visit_detail_source_concept",
    ),
    "Death": Domain(
        table="death",
        key="person_id",
        start=on("death_date"),
        end=next_day,
        concept="cause_concept_id",
        source_value="cause_source_value",
        source_concept="cause_source_concept_id",
        source_attribute="death_source_concept",
        visit=None,
        no_concept=0,
    ),
    "ConditionEra": Domain(
        table="condition_era",
        key="condition_era_id",
        start=on("condition_era_start_date"),
        end=recorded("condition_era_end_date"),
        concept="condition_concept_id",
        visit=None,
    ),
    "DrugEra": Domain(
        table="drug_era",
        key="drug_era_id",
        start=on("drug_era_start_date"),
        end=recorded("drug_era_end_date"),
        concept="drug_concept_id",
        visit=None,
    ),
    "DoseEra": Domain(
        table="dose_era",
        key="dose_era_id",
        start=on("dose_era_start_date"),
        end=recorded("dose_era_end_date"),
        concept="drug_concept_id",
        visit=None,
    ),
    "ObservationPeriod": Domain(
        table="observation_period",
        key="observation_period_id",
        start=on("observation_period_start_date"),
        end=recorded("observation_period_end_date"),
        concept="period_type_concept_id",
        visit=None,
    ),
    "PayerPlanPeriod": Domain(
        table="payer_plan_period",
        key="payer_plan_period_id",
        start=on("payer_plan_period_start_date"),
        end=recorded("payer_plan_period_end_date"),
        concept="payer_concept_id",
        visit=None,
    ),
    "LocationRegion": Domain(
        table="location_history",
        key="location_history_id",
        start=on("start_date"),
        end=lived,
        concept="region_concept_id",
        visit=None,
        rows=places,
    ),
    "ImageOccurrence": Domain(
        table="image_occurrence",
        key="image_occurrence_id",
        start=on("image_occurrence_date"),
        end=next_day,
        concept="modality_concept_id",
    ),
    "ImageFeature": Domain(
        table="image_feature",
        key="image_feature_id",
        start=on_image,
        end=next_day,
        concept="image_feature_concept_id",
        visit=None,
    ),
    "VariantOccurrence": Domain(
        table="variant_occurrence",
        key="variant_occurrence_id",
        start=on("variant_date"),
        end=next_day,
        concept="variant_concept_id",
        source_value="variant_source_value",
        source_concept="variant_source_concept_id",
        source_attribute="variant_source_concept",
        visit=None,
    ),
    "TrialParticipation": Domain(
        table="trial_subject",
        key="trial_subject_id",
        start=on("start_date"),
        end=recorded_or_next_day("end_date"),
        concept=None,
        visit=None,
    ),
    "TrialEpoch": Domain(
        table="trial_epoch",
        key="trial_epoch_id",
        start=on("epoch_start_date"),
        end=recorded_or_next_day("epoch_end_date"),
        concept=None,
        visit=None,
    ),
    "TrialExposure": Domain(
        table="trial_exposure",
        key="trial_exposure_id",
        start=on("exposure_start_date"),
        end=recorded_or_next_day("exposure_end_date"),
        concept="drug_concept_id",
        source_value="treatment_source_value",
        visit=None,
    ),
    "TrialEndpoint": Domain(
        table="trial_endpoint",
        key="trial_endpoint_id",
        start=on("endpoint_date"),
        end=next_day,
        concept=None,
        visit=None,
    ),
}
"""The records of each kind of criteria, under the class of the criteria."""
