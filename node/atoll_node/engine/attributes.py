"""Say what each attribute of each kind of criteria asks of an event: a field of its record, or a fact of it.

The rules are those of the builders of OHDSI's circe-be. A concept list ``X`` and a concept set ``XCS`` ask
of the same field. What is read where is in ``atoll_node.engine.facts``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Asked:
    """What is compared; a range keeps four ``decimals`` of its bounds, or none."""

    attribute: str
    decimals: bool = False


Asks = Mapping[str, Asked]


def _coded(**fields: str) -> Asks:
    """Both spellings of attributes that list concepts."""
    plain = {name: Asked(value) for name, value in fields.items()}
    return {**plain, **{f"{name}_cs": asked for name, asked in plain.items()}}


def _same(*names: str) -> Asks:
    return {name: Asked(name) for name in names}


def _exact(**fields: str) -> Asks:
    return {name: Asked(field, decimals=True) for name, field in fields.items()}


_PERSON: Asks = {**_same("age"), **_coded(gender="gender")}
_DATED: Asks = {
    **_PERSON,
    "occurrence_start_date": Asked("start_date"),
    "occurrence_end_date": Asked("end_date"),
}
_CLINICAL: Asks = {**_DATED, **_coded(provider_specialty="specialty", visit_type="visit")}
_ERA: Asks = {
    **_coded(gender="gender"),
    **_same("age_at_end"),
    "age_at_start": Asked("age"),
    "era_start_date": Asked("start_date"),
    "era_end_date": Asked("end_date"),
    "era_length": Asked("length"),
}
_SPELL: Asks = {
    **_same("age_at_end"),
    "age_at_start": Asked("age"),
    "period_start_date": Asked("start_date"),
    "period_end_date": Asked("end_date"),
    "period_length": Asked("length"),
}
_PAYER = (
    "payer_concept", "plan_concept", "sponsor_concept", "stop_reason_concept", "payer_source_concept",
    "plan_source_concept", "sponsor_source_concept", "stop_reason_source_concept",
)  # fmt: skip
_TRIAL: Asks = {**_DATED, "trial": Asked("trial_code")}

ATTRIBUTES: Mapping[str, Asks] = MappingProxyType(
    {
        "DemographicCriteria": {**_DATED, **_coded(race="race", ethnicity="ethnicity")},
        "ConditionOccurrence": {
            **_CLINICAL,
            **_coded(
                condition_type="condition_type_concept_id", condition_status="condition_status_concept_id"
            ),
            **_same("stop_reason"),
        },
        "DrugExposure": {
            **_CLINICAL,
            # circe-be compares the start of an exposure with the bounds of its end, and so does Atoll.
            "occurrence_end_date": Asked("start_date"),
            **_coded(drug_type="drug_type_concept_id", route_concept="route_concept_id"),
            **_same("refills", "days_supply", "stop_reason", "lot_number"),
            **_exact(quantity="quantity"),
        },
        "ProcedureOccurrence": {
            **_CLINICAL,
            **_coded(procedure_type="procedure_type_concept_id", modifier="modifier_concept_id"),
            **_same("quantity"),
        },
        "DeviceExposure": {
            **_CLINICAL,
            **_coded(device_type="device_type_concept_id"),
            **_same("quantity", "unique_device_id"),
        },
        "Measurement": {
            **_CLINICAL,
            **_coded(
                measurement_type="measurement_type_concept_id",
                operator="operator_concept_id",
                value_as_concept="value_as_concept_id",
                unit="unit_concept_id",
            ),
            **_exact(
                value_as_number="value_as_number",
                range_low="range_low",
                range_high="range_high",
                range_low_ratio="range_low_ratio",
                range_high_ratio="range_high_ratio",
            ),
            **_same("abnormal"),
        },
        "Observation": {
            **_CLINICAL,
            **_coded(
                observation_type="observation_type_concept_id",
                value_as_concept="value_as_concept_id",
                qualifier="qualifier_concept_id",
                unit="unit_concept_id",
            ),
            **_exact(value_as_number="value_as_number"),
            **_same("value_as_string"),
        },
        "Specimen": {
            **_DATED,
            **_coded(
                specimen_type="specimen_type_concept_id",
                unit="unit_concept_id",
                anatomic_site="anatomic_site_concept_id",
                disease_status="disease_status_concept_id",
            ),
            **_exact(quantity="quantity"),
            "source_id": Asked("specimen_source_id"),
        },
        "VisitOccurrence": {
            **_CLINICAL,
            **_coded(visit_type="visit_type_concept_id", place_of_service="place_of_service"),
            "visit_length": Asked("length"),
            "place_of_service_location": Asked("place_of_service_region"),
        },
        "VisitDetail": {
            # The age of a visit detail is that at its end, unlike everywhere else.
            "age": Asked("age_at_end"),
            **_coded(
                gender="gender",
                provider_specialty="specialty",
                visit_detail_type="visit_detail_type_concept_id",
                place_of_service="place_of_service",
            ),
            "visit_detail_start_date": Asked("start_date"),
            "visit_detail_end_date": Asked("end_date"),
            "visit_detail_length": Asked("length"),
            "place_of_service_location": Asked("place_of_service_region"),
            "admitted_from_concept": Asked("admitted_from_concept_id"),
            "discharged_to_concept": Asked("discharged_to_concept_id"),
        },
        "Death": {**_DATED, **_coded(death_type="death_type_concept_id")},
        "ConditionEra": {**_ERA, "occurrence_count": Asked("condition_occurrence_count")},
        "DrugEra": {**_ERA, "occurrence_count": Asked("drug_exposure_count"), **_same("gap_days")},
        "DoseEra": {**_ERA, **_coded(unit="unit_concept_id"), **_exact(dose_value="dose_value")},
        "ObservationPeriod": {**_SPELL, **_coded(period_type="period_type_concept_id")},
        "PayerPlanPeriod": {
            **_SPELL,
            **_coded(gender="gender"),
            **{name: Asked(f"{name}_id") for name in _PAYER},
        },
        "LocationRegion": {"start_date": Asked("start_date"), "end_date": Asked("end_date")},
        "ImageOccurrence": {
            **_DATED,
            **_coded(
                visit_type="visit", modality="modality_concept_id", anatomic_site="anatomic_site_concept_id"
            ),
        },
        "ImageFeature": {
            **_DATED,
            **_coded(
                feature_type="image_feature_type_concept_id",
                finding="image_finding_concept_id",
                anatomic_site="anatomic_site_concept_id",
                modality="image_modality",
                value_as_concept="feature_value_concept",
                unit="feature_unit",
            ),
            **_exact(value_as_number="feature_value"),
            "algorithm": Asked("alg_system"),
        },
        "VariantOccurrence": {
            **_DATED,
            **_same(
                "hgvs_c",
                "hgvs_p",
                "hgvs_g",
                "consequence",
                "variant_type",
                "zygosity",
                "read_depth",
                "origin",
                "assembly",
                "chromosome",
                "position",
                "clinical_significance",
            ),
            **_exact(allele_fraction="allele_fraction", copy_number="copy_number"),
            "gene": Asked("gene_symbol"),
            "gene_cs": Asked("gene_concept_id"),
            "clinical_significance_cs": Asked("clinical_significance_concept_id"),
        },
        "TrialParticipation": {
            **_TRIAL,
            "arm": Asked("arm_code"),
            "actual_arm": Asked("actual_arm_code"),
            "status": Asked("subject_status"),
            "randomization_date": Asked("randomization_date"),
        },
        "TrialEpoch": {**_TRIAL, "epoch": Asked("epoch_code"), **_same("epoch_number")},
        "TrialExposure": {
            **_TRIAL,
            "epoch": Asked("epoch_code"),
            "treatment": Asked("treatment_source_value"),
            "dose_unit": Asked("dose_unit_source_value"),
            **_exact(dose_value="dose_value"),
        },
        "TrialEndpoint": {
            **_TRIAL,
            "endpoint": Asked("endpoint_code"),
            "value_as_string": Asked("value_source_value"),
            "unit": Asked("unit_source_value"),
            **_exact(value_as_number="value_as_number"),
            **_same("censored"),
        },
    }
)
"""Under the class of the criteria."""

COUNTED: Mapping[str, str] = MappingProxyType(
    {
        "DOMAIN_CONCEPT": "concept_id",
        "DOMAIN_SOURCE_CONCEPT": "source_concept_id",
        "START_DATE": "start_date",
        "END_DATE": "end_date",
        "VISIT_ID": "visit_id",
        "VISIT_DETAIL_ID": "visit_detail_id",
        "DURATION": "length",
        "QUANTITY": "quantity",
        "DAYS_SUPPLY": "days_supply",
        "REFILLS": "refills",
        "RANGE_LOW": "range_low",
        "RANGE_HIGH": "range_high",
        "VALUE_AS_NUMBER": "value_as_number",
        "UNIT": "unit_concept_id",
        "ERA_OCCURRENCES": "occurrence_count",
        "GAP_DAYS": "gap_days",
        "IMAGE_STUDY": "image_study",
    }
)
"""What a distinct count counts, under Circe's name of the column."""
