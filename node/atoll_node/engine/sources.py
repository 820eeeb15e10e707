"""Say for each kind of events where its records lie, and on which days they start and end.

The end dates are those of the published Circe SQL. ``r`` is the record's own row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from atoll_schemas.tables import DOMAINS, DomainTable, core_1


@dataclass(frozen=True)
class Source:
    """Where the records of one kind lie; every field is an expression over ``r`` and what it joins."""

    table: str
    person: str
    key: str
    start: str
    end: str
    concept: str | None = None
    source_concept: str | None = None
    source_value: str | None = None
    visit: str | None = None
    where: str | None = None
    joins: tuple[str, ...] = ()
    """Look-ups of ``atoll_node.engine.facts`` that the start needs."""
    counted: Mapping[str, str] = field(default_factory=dict)
    """What a distinct count finds under another name than the field's."""


def _of(domain: DomainTable, end: str | None = None, **other: str) -> Source:
    start = f"r.{domain.start_date}"
    recorded = end or (
        f"({start} + 1)" if domain.end_date is None else f"coalesce(r.{domain.end_date}, {start} + 1)"
    )
    has_visit = core_1().table(domain.table).has("visit_occurrence_id")
    return Source(
        table=domain.table,
        person=f"r.{domain.person}",
        key=f"r.{domain.key}",
        start=start,
        end=recorded,
        concept=_field(domain.concept),
        source_concept=_field(domain.source_concept),
        source_value=_field(domain.source_value),
        visit="r.visit_occurrence_id" if has_visit else None,
        counted=MappingProxyType(other),
    )


def _field(name: str | None) -> str | None:
    return None if name is None else f"r.{name}"


_DRUG_END = (
    "coalesce(r.drug_exposure_end_date, r.drug_exposure_start_date + r.days_supply, "
    "r.drug_exposure_start_date + 1)"
)
_FEATURE = Source(
    table="image_feature",
    person="r.person_id",
    key="r.image_feature_id",
    start="io.image_occurrence_date",
    end="(io.image_occurrence_date + 1)",
    concept="r.image_feature_concept_id",
    joins=("image",),
    counted=MappingProxyType({"image_study": "io.image_study_uid"}),
)
_EPOCH = Source(
    table="trial_epoch",
    person="r.person_id",
    key="r.trial_epoch_id",
    start="r.epoch_start_date",
    end="coalesce(r.epoch_end_date, r.epoch_start_date + 1)",
)
_REGION = Source(
    table="location_history",
    person="r.entity_id",
    key="r.location_history_id",
    start="r.start_date",
    end="coalesce(r.end_date, DATE '2099-12-31')",
    concept="lo.region_concept_id",
    where="r.domain_id = 'PERSON'",
    joins=("location",),
)

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "condition": _of(DOMAINS["condition"]),
        "drug": _of(DOMAINS["drug"], _DRUG_END),
        "procedure": _of(DOMAINS["procedure"], "(r.procedure_date + 1)"),
        "device": _of(DOMAINS["device"]),
        "measurement": _of(DOMAINS["measurement"]),
        "observation": _of(DOMAINS["observation"]),
        "visit": _of(DOMAINS["visit"], "r.visit_end_date"),
        "visit_detail": _of(DOMAINS["visit_detail"], "r.visit_detail_end_date"),
        "specimen": _of(DOMAINS["specimen"]),
        # A death without a cause counts as one of concept 0.
        "death": _of(DOMAINS["death"], concept_id="coalesce(r.cause_concept_id, 0)"),
        "condition_era": _of(
            DOMAINS["condition_era"],
            "r.condition_era_end_date",
            occurrence_count="r.condition_occurrence_count",
        ),
        "drug_era": _of(DOMAINS["drug_era"], "r.drug_era_end_date", occurrence_count="r.drug_exposure_count"),
        "dose_era": _of(DOMAINS["dose_era"], "r.dose_era_end_date", value_as_number="r.dose_value"),
        "observation_period": _of(DOMAINS["observation_period"], "r.observation_period_end_date"),
        "payer_plan_period": _of(DOMAINS["payer_plan_period"], "r.payer_plan_period_end_date"),
        "episode": _of(DOMAINS["episode"]),
        "note": _of(DOMAINS["note"]),
        "location_region": _REGION,
        "image": _of(DOMAINS["image"], image_study="r.image_study_uid"),
        "image_feature": _FEATURE,
        "variant": _of(DOMAINS["variant"]),
        "trial": _of(DOMAINS["trial"]),
        "trial_epoch": _EPOCH,
        "trial_exposure": _of(DOMAINS["trial_exposure"]),
        "trial_endpoint": _of(DOMAINS["trial_endpoint"]),
    }
)

CRITERIA: Mapping[str, str] = MappingProxyType(
    {
        "condition_occurrence": "condition",
        "drug_exposure": "drug",
        "procedure_occurrence": "procedure",
        "device_exposure": "device",
        "measurement": "measurement",
        "observation": "observation",
        "visit_occurrence": "visit",
        "visit_detail": "visit_detail",
        "specimen": "specimen",
        "death": "death",
        "condition_era": "condition_era",
        "drug_era": "drug_era",
        "dose_era": "dose_era",
        "observation_period": "observation_period",
        "payer_plan_period": "payer_plan_period",
        "location_region": "location_region",
        "image_occurrence": "image",
        "image_feature": "image_feature",
        "variant_occurrence": "variant",
        "trial_participation": "trial",
        "trial_epoch": "trial_epoch",
        "trial_exposure": "trial_exposure",
        "trial_endpoint": "trial_endpoint",
    }
)
"""The kind of events that each kind of criteria asks for."""
