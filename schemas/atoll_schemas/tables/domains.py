"""Say in which table and fields each clinical domain keeps its dates, concepts, codes and values.

The engine, the reference engine and the catalog read the same rows, so that a domain means one thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

DomainName = Literal[
    "condition", "drug", "procedure", "device", "measurement", "observation", "visit", "visit_detail",
    "specimen", "death", "condition_era", "drug_era", "dose_era", "observation_period",
    "payer_plan_period", "episode", "note", "image", "variant", "trial", "trial_exposure",
    "trial_endpoint",
]  # fmt: skip
"""Every domain whose rows are events of one person; a superset of ``atoll_schemas.query.Domain``."""


@dataclass(frozen=True)
class DomainTable:
    """The fields of one domain's table by their part in an event; ``None`` where the table has none."""

    table: str
    key: str
    start_date: str
    concept: str | None
    end_date: str | None = None
    source_value: str | None = None
    source_concept: str | None = None
    type_concept: str | None = None
    value_number: str | None = None
    value_concept: str | None = None
    value_source: str | None = None
    unit_concept: str | None = None
    person: str = "person_id"


DOMAINS: Mapping[DomainName, DomainTable] = MappingProxyType(
    {
        "condition": DomainTable(
            table="condition_occurrence",
            key="condition_occurrence_id",
            start_date="condition_start_date",
            end_date="condition_end_date",
            concept="condition_concept_id",
            source_value="condition_source_value",
            source_concept="condition_source_concept_id",
            type_concept="condition_type_concept_id",
        ),
        "drug": DomainTable(
            table="drug_exposure",
            key="drug_exposure_id",
            start_date="drug_exposure_start_date",
            end_date="drug_exposure_end_date",
            concept="drug_concept_id",
            source_value="drug_source_value",
            source_concept="drug_source_concept_id",
            type_concept="drug_type_concept_id",
        ),
        "procedure": DomainTable(
            table="procedure_occurrence",
            key="procedure_occurrence_id",
            start_date="procedure_date",
            end_date="procedure_end_date",
            concept="procedure_concept_id",
            source_value="procedure_source_value",
            source_concept="procedure_source_concept_id",
            type_concept="procedure_type_concept_id",
        ),
        "device": DomainTable(
            table="device_exposure",
            key="device_exposure_id",
            start_date="device_exposure_start_date",
            end_date="device_exposure_end_date",
            concept="device_concept_id",
            source_value="device_source_value",
            source_concept="device_source_concept_id",
            type_concept="device_type_concept_id",
            unit_concept="unit_concept_id",
        ),
        "measurement": DomainTable(
            table="measurement",
            key="measurement_id",
            start_date="measurement_date",
            concept="measurement_concept_id",
            source_value="measurement_source_value",
            source_concept="measurement_source_concept_id",
            type_concept="measurement_type_concept_id",
            value_number="value_as_number",
            value_concept="value_as_concept_id",
            value_source="value_source_value",
            unit_concept="unit_concept_id",
        ),
        "observation": DomainTable(
            table="observation",
            key="observation_id",
            start_date="observation_date",
            concept="observation_concept_id",
            source_value="observation_source_value",
            source_concept="observation_source_concept_id",
            type_concept="observation_type_concept_id",
            value_number="value_as_number",
            value_concept="value_as_concept_id",
            value_source="value_source_value",
            unit_concept="unit_concept_id",
        ),
        "visit": DomainTable(
            table="visit_occurrence",
            key="visit_occurrence_id",
            start_date="visit_start_date",
            end_date="visit_end_date",
            concept="visit_concept_id",
            source_value="visit_source_value",
            source_concept="visit_source_concept_id",
            type_concept="visit_type_concept_id",
        ),
        "visit_detail": DomainTable(
            table="visit_detail",
            key="visit_detail_id",
            start_date="visit_detail_start_date",
            end_date="visit_detail_end_date",
            concept="visit_detail_concept_id",
            source_value="visit_detail_source_value",
            source_concept="visit_detail_source_concept_id",
            type_concept="visit_detail_type_concept_id",
        ),
        "specimen": DomainTable(
            table="specimen",
            key="specimen_id",
            start_date="specimen_date",
            concept="specimen_concept_id",
            source_value="specimen_source_value",
            type_concept="specimen_type_concept_id",
            unit_concept="unit_concept_id",
        ),
        "death": DomainTable(
            table="death",
            key="person_id",
            start_date="death_date",
            concept="cause_concept_id",
            source_value="cause_source_value",
            source_concept="cause_source_concept_id",
            type_concept="death_type_concept_id",
        ),
        "condition_era": DomainTable(
            table="condition_era",
            key="condition_era_id",
            start_date="condition_era_start_date",
            end_date="condition_era_end_date",
            concept="condition_concept_id",
        ),
        "drug_era": DomainTable(
            table="drug_era",
            key="drug_era_id",
            start_date="drug_era_start_date",
            end_date="drug_era_end_date",
            concept="drug_concept_id",
        ),
        "dose_era": DomainTable(
            table="dose_era",
            key="dose_era_id",
            start_date="dose_era_start_date",
            end_date="dose_era_end_date",
            concept="drug_concept_id",
            value_number="dose_value",
            unit_concept="unit_concept_id",
        ),
        "observation_period": DomainTable(
            table="observation_period",
            key="observation_period_id",
            start_date="observation_period_start_date",
            end_date="observation_period_end_date",
            concept="period_type_concept_id",
            type_concept="period_type_concept_id",
        ),
        "payer_plan_period": DomainTable(
            table="payer_plan_period",
            key="payer_plan_period_id",
            start_date="payer_plan_period_start_date",
            end_date="payer_plan_period_end_date",
            concept="payer_concept_id",
            source_value="payer_source_value",
            source_concept="payer_source_concept_id",
        ),
        "episode": DomainTable(
            table="episode",
            key="episode_id",
            start_date="episode_start_date",
            end_date="episode_end_date",
            concept="episode_concept_id",
            source_value="episode_source_value",
            source_concept="episode_source_concept_id",
            type_concept="episode_type_concept_id",
        ),
        "note": DomainTable(
            table="note",
            key="note_id",
            start_date="note_date",
            concept="note_class_concept_id",
            type_concept="note_type_concept_id",
        ),
        "image": DomainTable(
            table="image_occurrence",
            key="image_occurrence_id",
            start_date="image_occurrence_date",
            concept="modality_concept_id",
        ),
        "variant": DomainTable(
            table="variant_occurrence",
            key="variant_occurrence_id",
            start_date="variant_date",
            concept="variant_concept_id",
            source_value="variant_source_value",
            source_concept="variant_source_concept_id",
        ),
        "trial": DomainTable(
            table="trial_subject",
            key="trial_subject_id",
            start_date="start_date",
            end_date="end_date",
            concept=None,
            source_value="trial_code",
        ),
        "trial_exposure": DomainTable(
            table="trial_exposure",
            key="trial_exposure_id",
            start_date="exposure_start_date",
            end_date="exposure_end_date",
            concept="drug_concept_id",
            source_value="treatment_source_value",
            value_number="dose_value",
        ),
        "trial_endpoint": DomainTable(
            table="trial_endpoint",
            key="trial_endpoint_id",
            start_date="endpoint_date",
            concept=None,
            source_value="endpoint_code",
            value_number="value_as_number",
            value_source="value_source_value",
        ),
    }
)

DOMAIN_OF_TABLE: Mapping[str, DomainName] = MappingProxyType(
    {domain.table: name for name, domain in DOMAINS.items()}
)
"""The domain of each event table."""

PERSON_TABLES: tuple[str, ...] = (
    "person", "observation_period", "visit_occurrence", "visit_detail", "condition_occurrence",
    "drug_exposure", "procedure_occurrence", "device_exposure", "measurement", "observation", "death", "note",
    "specimen", "payer_plan_period", "drug_era", "dose_era", "condition_era", "episode", "cohort",
    "image_occurrence", "image_feature", "variant_occurrence", "trial_subject", "trial_epoch",
    "trial_exposure", "trial_endpoint",
)  # fmt: skip
"""The tables whose rows name their person, in the model's order (a test compares it with the model)."""
