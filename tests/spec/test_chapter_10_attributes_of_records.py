"""Chapter 10. What each attribute of each kind of criteria asks of a record.

Person 1 has a record with the first value, person 2 one with the second, person 3 one without a value.
An unknown value never fulfils what is asked, not even its opposite.
"""

from datetime import date
from typing import Any, NamedTuple

import pytest

from atoll_schemas.circe.criteria import Criteria
from tests.support.circe_strategies import KINDS
from tests.support.circe_text import cohort, item
from tests.support.records import TABLES, persons, record

FIVE = 5
SETS = [{"id": FIVE, "name": "five", "expression": {"items": [item(5)]}}]


class Line(NamedTuple):
    """An attribute, the field that it reads, two values, and what only the first one fulfils."""

    kind: str
    attribute: str
    field: str
    values: tuple[Any, Any]
    asked: Any


def coded(kind: str, **fields: str) -> list[Line]:
    return [Line(kind, name, field, (5, 6), [{"CONCEPT_ID": 5}]) for name, field in fields.items()]


def selected(kind: str, **fields: str) -> list[Line]:
    return [Line(kind, name, field, (5, 6), {"CodesetId": FIVE}) for name, field in fields.items()]


def sets(kind: str, **fields: str) -> list[Line]:
    return [Line(kind, name, field, (5, 6), FIVE) for name, field in fields.items()]


def whole(kind: str, **fields: str) -> list[Line]:
    return [Line(kind, name, field, (3, 4), {"Value": 4, "Op": "lt"}) for name, field in fields.items()]


def exact(kind: str, **fields: str) -> list[Line]:
    return [
        Line(kind, name, field, (0.25, 0.5), {"Value": 0.3, "Op": "lt"}) for name, field in fields.items()
    ]


def text(kind: str, **fields: str) -> list[Line]:
    asked = {"Text": "en", "Op": "endsWith"}
    return [Line(kind, name, field, ("taken", "given"[:4]), asked) for name, field in fields.items()]


def codes(kind: str, **fields: str) -> list[Line]:
    return [Line(kind, name, field, ("A", "B"), ["A", "C"]) for name, field in fields.items()]


LISTS = [
    *coded(
        "ConditionOccurrence",
        ConditionType="condition_type_concept_id",
        ConditionStatus="condition_status_concept_id",
    ),
    *coded("DrugExposure", DrugType="drug_type_concept_id", RouteConcept="route_concept_id"),
    *coded("ProcedureOccurrence", ProcedureType="procedure_type_concept_id", Modifier="modifier_concept_id"),
    *coded("DeviceExposure", DeviceType="device_type_concept_id"),
    *coded(
        "Measurement",
        MeasurementType="measurement_type_concept_id",
        Operator="operator_concept_id",
        ValueAsConcept="value_as_concept_id",
        Unit="unit_concept_id",
    ),
    *coded(
        "Observation",
        ObservationType="observation_type_concept_id",
        ValueAsConcept="value_as_concept_id",
        Qualifier="qualifier_concept_id",
        Unit="unit_concept_id",
    ),
    *coded(
        "Specimen",
        SpecimenType="specimen_type_concept_id",
        Unit="unit_concept_id",
        AnatomicSite="anatomic_site_concept_id",
        DiseaseStatus="disease_status_concept_id",
    ),
    *coded("VisitOccurrence", VisitType="visit_type_concept_id"),
    *coded("Death", DeathType="death_type_concept_id"),
    *coded("DoseEra", Unit="unit_concept_id"),
    *coded("ObservationPeriod", PeriodType="period_type_concept_id"),
    *coded("ImageOccurrence", Modality="modality_concept_id", AnatomicSite="anatomic_site_concept_id"),
    *coded(
        "ImageFeature",
        FeatureType="image_feature_type_concept_id",
        Finding="image_finding_concept_id",
        AnatomicSite="anatomic_site_concept_id",
    ),
]
"""Attributes that list concepts; each has a second spelling that names a concept set."""
EXCLUDED = {
    "ConditionType", "DrugType", "ProcedureType", "DeviceType", "MeasurementType", "ObservationType",
    "SpecimenType", "VisitType", "DeathType",
}  # fmt: skip
"""Those that ``…Exclude`` turns into their opposite."""
OTHERS = [
    *selected("VisitDetail", VisitDetailTypeCS="visit_detail_type_concept_id"),
    *selected(
        "VariantOccurrence",
        GeneCS="gene_concept_id",
        ClinicalSignificanceCS="clinical_significance_concept_id",
    ),
    *sets("ConditionOccurrence", ConditionSourceConcept="condition_source_concept_id"),
    *sets("DrugExposure", DrugSourceConcept="drug_source_concept_id"),
    *sets("ProcedureOccurrence", ProcedureSourceConcept="procedure_source_concept_id"),
    *sets("DeviceExposure", DeviceSourceConcept="device_source_concept_id"),
    *sets("Measurement", MeasurementSourceConcept="measurement_source_concept_id"),
    *sets("Observation", ObservationSourceConcept="observation_source_concept_id"),
    *sets("VisitOccurrence", VisitSourceConcept="visit_source_concept_id"),
    *sets(
        "VisitDetail",
        VisitDetailSourceConcept="visit_detail_source_concept_id",
        AdmittedFromConcept="admitted_from_concept_id",
        DischargedToConcept="discharged_to_concept_id",
    ),
    *sets("Death", DeathSourceConcept="cause_source_concept_id"),
    *sets("VariantOccurrence", VariantSourceConcept="variant_source_concept_id"),
    *sets(
        "PayerPlanPeriod",
        PayerConcept="payer_concept_id",
        PlanConcept="plan_concept_id",
        SponsorConcept="sponsor_concept_id",
        StopReasonConcept="stop_reason_concept_id",
        PayerSourceConcept="payer_source_concept_id",
        PlanSourceConcept="plan_source_concept_id",
        SponsorSourceConcept="sponsor_source_concept_id",
        StopReasonSourceConcept="stop_reason_source_concept_id",
    ),
    *whole("DrugExposure", Refills="refills", DaysSupply="days_supply"),
    *exact("DrugExposure", Quantity="quantity"),
    *whole("ProcedureOccurrence", Quantity="quantity"),
    *whole("DeviceExposure", Quantity="quantity"),
    *exact("Measurement", ValueAsNumber="value_as_number", RangeLow="range_low", RangeHigh="range_high"),
    *exact("Observation", ValueAsNumber="value_as_number"),
    *exact("Specimen", Quantity="quantity"),
    *whole("ConditionEra", OccurrenceCount="condition_occurrence_count"),
    *whole("DrugEra", OccurrenceCount="drug_exposure_count", GapDays="gap_days"),
    *exact("DoseEra", DoseValue="dose_value"),
    *exact("VariantOccurrence", AlleleFraction="allele_fraction", CopyNumber="copy_number"),
    *whole("VariantOccurrence", ReadDepth="read_depth", Position="position"),
    *whole("TrialEpoch", EpochNumber="epoch_number"),
    *exact("TrialExposure", DoseValue="dose_value"),
    *exact("TrialEndpoint", ValueAsNumber="value_as_number"),
    *text("ConditionOccurrence", StopReason="stop_reason"),
    *text("DrugExposure", StopReason="stop_reason", LotNumber="lot_number"),
    *text("DeviceExposure", UniqueDeviceId="unique_device_id"),
    *text("Observation", ValueAsString="value_as_string"),
    *text("Specimen", SourceId="specimen_source_id"),
    *text("ImageFeature", Algorithm="alg_system"),
    *text("VariantOccurrence", HgvsC="hgvs_c", HgvsP="hgvs_p", HgvsG="hgvs_g"),
    *text("TrialExposure", Treatment="treatment_source_value"),
    *text("TrialEndpoint", ValueAsString="value_source_value"),
    *codes(
        "VariantOccurrence",
        Gene="gene_symbol",
        Consequence="consequence",
        VariantType="variant_type",
        Zygosity="zygosity",
        Chromosome="chromosome",
        ClinicalSignificance="clinical_significance",
    ),
    Line("VariantOccurrence", "Origin", "origin", ("somatic", "germline"), ["somatic"]),
    Line("VariantOccurrence", "Assembly", "assembly", ("GRCh38", "GRCh37"), ["GRCh38"]),
    *codes(
        "TrialParticipation",
        Trial="trial_code",
        Arm="arm_code",
        ActualArm="actual_arm_code",
        Status="subject_status",
    ),
    *codes("TrialEpoch", Trial="trial_code", Epoch="epoch_code"),
    *codes("TrialExposure", Trial="trial_code", Epoch="epoch_code", DoseUnit="dose_unit_source_value"),
    *codes("TrialEndpoint", Trial="trial_code", Endpoint="endpoint_code", Unit="unit_source_value"),
    Line("TrialEndpoint", "Censored", "censored", (0, 1), False),
    Line(
        "TrialParticipation",
        "RandomizationDate",
        "randomization_date",
        (date(2020, 2, 1), date(2020, 2, 2)),
        {"Value": "2020-02-01", "Op": "lte"},
    ),
]
LINES = [*LISTS, *OTHERS]


def named(line: Line) -> str:
    return f"{line.kind}.{line.attribute}"


every_line = pytest.mark.parametrize("line", LINES, ids=named)
every_list = pytest.mark.parametrize("line", LISTS, ids=named)


@pytest.fixture
def who(stays):
    """Return ``who(line, attributes)``: the persons of three whose record fulfils the attributes."""

    def found(line: Line, attributes: dict[str, Any]) -> list[int]:
        table = TABLES[line.kind]
        tables = persons(3)
        rows = [record(table, n, **{line.field: value}) for n, value in enumerate((*line.values, None), 1)]
        if table == "observation_period":
            rows = [old | {line.field: new[line.field]} for old, new in zip(tables[table], rows, strict=True)]
        tables[table] = rows
        if table == "image_feature":
            tables["image_occurrence"] = [record("image_occurrence", n) for n in (1, 2, 3)]
            rows[:] = [row | {"image_occurrence_id": row["person_id"]} for row in rows]
        asked = cohort({line.kind: attributes}, ConceptSets=SETS)
        return [int(row.split(":")[0]) for row in stays(tables, asked)]

    return found


@every_line
def test_an_attribute_takes_the_records_whose_field_fulfils_it(who, line):
    assert who(line, {line.attribute: line.asked}) == [1]


@every_line
def test_without_the_attribute_every_record_is_taken(who, line):
    assert who(line, {}) == [1, 2, 3]


@every_list
def test_a_concept_set_may_stand_for_the_list(who, line):
    assert who(line, {f"{line.attribute}CS": {"CodesetId": FIVE}}) == [1]


@every_list
def test_an_excluded_concept_set_takes_the_other_known_values(who, line):
    assert who(line, {f"{line.attribute}CS": {"CodesetId": FIVE, "IsExclusion": True}}) == [2]


@pytest.mark.parametrize("line", [line for line in LISTS if line.attribute in EXCLUDED], ids=named)
def test_an_excluded_list_takes_the_other_known_values(who, line):
    assert who(line, {line.attribute: line.asked, f"{line.attribute}Exclude": True}) == [2]


@pytest.mark.parametrize("line", [line for line in LISTS if line.attribute in EXCLUDED], ids=named)
def test_to_exclude_nothing_excludes_nothing(who, line):
    assert who(line, {f"{line.attribute}Exclude": True}) == [1, 2, 3]


def test_an_excluded_type_of_visit_details_is_the_opposite_of_its_concept_set(who):
    line = next(line for line in OTHERS if line.attribute == "VisitDetailTypeCS")
    assert who(line, {"VisitDetailTypeCS": {"CodesetId": FIVE}, "VisitDetailTypeExclude": True}) == [2]


@pytest.mark.parametrize(
    "op, expected",
    [
        ("startsWith", [1]), ("endsWith", []), ("contains", [1, 2]), ("eq", []),
        ("!startsWith", [2]), ("!endsWith", [1, 2]), ("!contains", []), ("!eq", [1, 2]),
    ],
)  # fmt: skip
def test_a_text_is_compared_at_its_start_its_end_or_anywhere(who, op, expected):
    line = Line("ConditionOccurrence", "StopReason", "stop_reason", ("healed", "not healed"), None)
    assert who(line, {"StopReason": {"Text": "heal", "Op": op}}) == expected


@pytest.mark.parametrize(
    "text, expected", [("h%d", [1]), ("h_aled", [1]), ("HEALED", []), ("%", [1, 2]), ("healed", [1])]
)
def test_a_text_is_compared_as_sql_compares_it(who, text, expected):
    line = Line("ConditionOccurrence", "StopReason", "stop_reason", ("healed", "not healed"), None)
    assert who(line, {"StopReason": {"Text": text, "Op": "eq"}}) == expected


@pytest.mark.parametrize(
    "value, op, expected", [(3.9, "lte", [1]), (3.9, "gt", [2]), (-0.5, "gte", [1, 2]), (4.2, "eq", [2])]
)
def test_bounds_of_whole_numbers_lose_their_decimals(who, value, op, expected):
    line = Line("DrugExposure", "Refills", "refills", (3, 4), None)
    assert who(line, {"Refills": {"Value": value, "Op": op}}) == expected


@pytest.mark.parametrize("value, expected", [(0.25004, [1]), (0.25006, []), (0.24995, [1])])
def test_bounds_of_other_numbers_keep_four_decimals(who, value, expected):
    line = Line("Measurement", "ValueAsNumber", "value_as_number", (0.25, 0.5), None)
    assert who(line, {"ValueAsNumber": {"Value": value, "Op": "eq"}}) == expected


ELSEWHERE = {
    "chapters 4 and 8": {"CodesetId", "First"},
    "chapter 9": {"DateAdjustment", "OccurrenceStartDate", "OccurrenceEndDate", "EraStartDate", "EraEndDate",
                  "PeriodStartDate", "PeriodEndDate", "VisitDetailStartDate", "VisitDetailEndDate",
                  "EraLength", "VisitLength", "VisitDetailLength", "PeriodLength"},
    "chapter 11": {"Age", "AgeAtStart", "AgeAtEnd", "Gender", "GenderCS", "ProviderSpecialty",
                   "ProviderSpecialtyCS", "PlaceOfService", "PlaceOfServiceCS", "PlaceOfServiceLocation",
                   "Abnormal", "RangeLowRatio", "RangeHighRatio"},
    "chapter 12": {"CorrelatedCriteria"},
    "chapter 13": {"UserDefinedPeriod"},
}  # fmt: skip
OF_VISITS = {"VisitType", "VisitTypeCS"}
"""Chapter 11, where they are not the type of a visit itself."""
OF_IMAGES = {
    "Modality",
    "ModalityCS",
    "ValueAsNumber",
    "ValueAsConcept",
    "ValueAsConceptCS",
    "Unit",
    "UnitCS",
}
"""Chapter 14: what a feature of an image reads elsewhere."""
REFUSED = {
    "CauseSourceConcept", "SpecimenSourceConcept", "PlaceOfServiceDistance", "EffectiveDrugDose", "DoseUnit",
    "DoseUnitCS",
}  # fmt: skip
"""Attributes of Circe without a field in the CDM of today."""


def _known(kind: str) -> set[str]:
    own = {line.attribute for line in LINES if line.kind == kind}
    own |= {f"{line.attribute}CS" for line in LISTS if line.kind == kind}
    own |= {f"{name}Exclude" for name in own} | {"VisitDetailTypeExclude"}
    own |= set().union(*ELSEWHERE.values())
    own |= OF_VISITS if kind != "VisitOccurrence" else set()
    own |= OF_IMAGES if kind == "ImageFeature" else set()
    return own | (
        REFUSED if kind in {"Death", "Specimen", "VisitOccurrence", "VisitDetail", "DrugExposure"} else set()
    )


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_attribute_of_the_language_has_a_line_in_a_chapter(name):
    kind = Criteria.model_fields[name].alias or name
    attributes = {field.alias for field in KINDS[name].model_fields.values()}
    assert attributes - _known(kind) == set()
