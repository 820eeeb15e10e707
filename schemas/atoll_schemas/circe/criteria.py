"""Hold criteria, which say what records are events, and the groups of criteria that they may hold again.

Criteria nest: a criterion may ask for a group of others around its own events (``CorrelatedCriteria``),
which is why criteria and groups are one module. The classes are named as in OHDSI's circe-be; a concept
list (``Gender``) and a concept set (``GenderCS``) are two spellings of one question, and both must hold
where both are given.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from atoll_schemas.circe.groups import DemographicCriteria, Occurrence, Window
from atoll_schemas.circe.parts import (
    Codes,
    CodesetId,
    Concepts,
    DateAdjustment,
    DateRange,
    GroupType,
    NumericRange,
    Part,
    Period,
    Selection,
    TextFilter,
)


class CriteriaGroup(Part):
    """Conditions of which ALL, ANY, AT_LEAST or AT_MOST ``Count`` must hold; an empty group always holds."""

    type: GroupType
    count: int | None = Field(default=None, ge=0, le=100_000)
    criteria_list: tuple["CorrelatedCriteria", ...] = ()
    demographic_criteria_list: tuple[DemographicCriteria, ...] = ()
    groups: tuple["CriteriaGroup", ...] = ()

    @model_validator(mode="after")
    def _counted_types_have_a_count(self) -> Self:
        if self.type.startswith("AT_") and self.count is None:
            raise ValueError("a group of Type AT_LEAST or AT_MOST needs a Count")
        return self

    @property
    def empty(self) -> bool:
        """Whether the group states nothing."""
        return not (self.criteria_list or self.demographic_criteria_list or self.groups)


class CorrelatedCriteria(Part):
    """Criteria whose events are counted around the index event.

    Events count inside the index event's observation period, unless ``IgnoreObservationPeriod``.
    """

    criteria: "Criteria"
    start_window: Window | None = None
    end_window: Window | None = None
    occurrence: Occurrence
    restrict_visit: bool = False
    ignore_observation_period: bool = False


class CriteriaBody(Part):
    """What the criteria of every domain share."""

    correlated_criteria: CriteriaGroup | None = None
    date_adjustment: DateAdjustment | None = None


class Coded(CriteriaBody):
    """Records with a concept. An absent ``CodesetId`` takes every record.

    ``First`` keeps a person's first record of the concept set, before the other attributes are looked at.
    """

    codeset_id: CodesetId | None = None
    first: bool = False


class Record(Coded):
    """Records of a visit or a test, of a person of an age and a gender."""

    occurrence_start_date: DateRange | None = None
    age: NumericRange | None = None
    gender: Concepts = ()
    gender_cs: Selection | None = None


class ClinicalRecord(Record):
    """Records of a provider in a visit."""

    provider_specialty: Concepts = ()
    provider_specialty_cs: Selection | None = None
    visit_type: Concepts = ()
    visit_type_cs: Selection | None = None


class ConditionOccurrence(ClinicalRecord):
    """Diagnoses."""

    occurrence_end_date: DateRange | None = None
    condition_type: Concepts = ()
    condition_type_cs: Selection | None = None
    condition_type_exclude: bool = False
    stop_reason: TextFilter | None = None
    condition_source_concept: CodesetId | None = None
    condition_status: Concepts = ()
    condition_status_cs: Selection | None = None


class DrugExposure(ClinicalRecord):
    """Drugs given or prescribed."""

    occurrence_end_date: DateRange | None = None
    drug_type: Concepts = ()
    drug_type_cs: Selection | None = None
    drug_type_exclude: bool = False
    stop_reason: TextFilter | None = None
    refills: NumericRange | None = None
    quantity: NumericRange | None = None
    days_supply: NumericRange | None = None
    route_concept: Concepts = ()
    route_concept_cs: Selection | None = None
    effective_drug_dose: NumericRange | None = None
    dose_unit: Concepts = ()
    dose_unit_cs: Selection | None = None
    lot_number: TextFilter | None = None
    drug_source_concept: CodesetId | None = None


class ProcedureOccurrence(ClinicalRecord):
    """Procedures."""

    occurrence_end_date: DateRange | None = None
    procedure_type: Concepts = ()
    procedure_type_cs: Selection | None = None
    procedure_type_exclude: bool = False
    modifier: Concepts = ()
    modifier_cs: Selection | None = None
    quantity: NumericRange | None = None
    procedure_source_concept: CodesetId | None = None


class DeviceExposure(ClinicalRecord):
    """Devices."""

    occurrence_end_date: DateRange | None = None
    device_type: Concepts = ()
    device_type_cs: Selection | None = None
    device_type_exclude: bool = False
    unique_device_id: TextFilter | None = None
    quantity: NumericRange | None = None
    device_source_concept: CodesetId | None = None


class Measurement(ClinicalRecord):
    """Laboratory values and other measurements."""

    occurrence_end_date: DateRange | None = None
    measurement_type: Concepts = ()
    measurement_type_cs: Selection | None = None
    measurement_type_exclude: bool = False
    operator: Concepts = ()
    operator_cs: Selection | None = None
    value_as_number: NumericRange | None = None
    value_as_concept: Concepts = ()
    value_as_concept_cs: Selection | None = None
    unit: Concepts = ()
    unit_cs: Selection | None = None
    range_low: NumericRange | None = None
    range_high: NumericRange | None = None
    range_low_ratio: NumericRange | None = None
    range_high_ratio: NumericRange | None = None
    abnormal: bool | None = None
    measurement_source_concept: CodesetId | None = None


class Observation(ClinicalRecord):
    """Observations."""

    occurrence_end_date: DateRange | None = None
    observation_type: Concepts = ()
    observation_type_cs: Selection | None = None
    observation_type_exclude: bool = False
    value_as_number: NumericRange | None = None
    value_as_string: TextFilter | None = None
    value_as_concept: Concepts = ()
    value_as_concept_cs: Selection | None = None
    qualifier: Concepts = ()
    qualifier_cs: Selection | None = None
    unit: Concepts = ()
    unit_cs: Selection | None = None
    observation_source_concept: CodesetId | None = None


class Specimen(Record):
    """Specimens."""

    occurrence_end_date: DateRange | None = None
    specimen_type: Concepts = ()
    specimen_type_cs: Selection | None = None
    specimen_type_exclude: bool = False
    quantity: NumericRange | None = None
    unit: Concepts = ()
    unit_cs: Selection | None = None
    anatomic_site: Concepts = ()
    anatomic_site_cs: Selection | None = None
    disease_status: Concepts = ()
    disease_status_cs: Selection | None = None
    source_id: TextFilter | None = None
    specimen_source_concept: CodesetId | None = None


class VisitOccurrence(ClinicalRecord):
    """Visits. ``PlaceOfServiceLocation`` names a concept set of regions."""

    occurrence_end_date: DateRange | None = None
    visit_type_exclude: bool = False
    visit_source_concept: CodesetId | None = None
    visit_length: NumericRange | None = None
    place_of_service: Concepts = ()
    place_of_service_cs: Selection | None = None
    place_of_service_location: CodesetId | None = None
    place_of_service_distance: NumericRange | None = None


class VisitDetail(Coded):
    """Parts of visits."""

    visit_detail_start_date: DateRange | None = None
    visit_detail_end_date: DateRange | None = None
    visit_detail_type_cs: Selection | None = None
    visit_detail_type_exclude: bool = False
    visit_detail_source_concept: CodesetId | None = None
    visit_detail_length: NumericRange | None = None
    age: NumericRange | None = None
    gender_cs: Selection | None = None
    provider_specialty_cs: Selection | None = None
    place_of_service_cs: Selection | None = None
    place_of_service_location: CodesetId | None = None
    place_of_service_distance: NumericRange | None = None
    admitted_from_concept: CodesetId | None = None
    discharged_to_concept: CodesetId | None = None


class Death(CriteriaBody):
    """Death; ``CodesetId`` is looked for in its cause."""

    codeset_id: CodesetId | None = None
    occurrence_start_date: DateRange | None = None
    death_type: Concepts = ()
    death_type_cs: Selection | None = None
    death_type_exclude: bool = False
    death_source_concept: CodesetId | None = None
    cause_source_concept: CodesetId | None = None
    age: NumericRange | None = None
    gender: Concepts = ()
    gender_cs: Selection | None = None


class Era(Coded):
    """Records of one concept joined over short gaps."""

    era_start_date: DateRange | None = None
    era_end_date: DateRange | None = None
    era_length: NumericRange | None = None
    age_at_start: NumericRange | None = None
    age_at_end: NumericRange | None = None
    gender: Concepts = ()
    gender_cs: Selection | None = None


class ConditionEra(Era):
    """Condition eras."""

    occurrence_count: NumericRange | None = None


class DrugEra(Era):
    """Drug eras (ingredients)."""

    occurrence_count: NumericRange | None = None
    gap_days: NumericRange | None = None


class DoseEra(Era):
    """Dose eras (ingredients at one dose)."""

    unit: Concepts = ()
    unit_cs: Selection | None = None
    dose_value: NumericRange | None = None


class Spell(CriteriaBody):
    """Periods of a person. ``UserDefinedPeriod`` puts its own dates in place of the recorded ones."""

    first: bool = False
    period_start_date: DateRange | None = None
    period_end_date: DateRange | None = None
    user_defined_period: Period | None = None
    period_length: NumericRange | None = None
    age_at_start: NumericRange | None = None
    age_at_end: NumericRange | None = None


class ObservationPeriod(Spell):
    """Observation periods."""

    period_type: Concepts = ()
    period_type_cs: Selection | None = None


class PayerPlanPeriod(Spell):
    """Periods under a payer's plan; each concept attribute names a concept set."""

    gender: Concepts = ()
    gender_cs: Selection | None = None
    payer_concept: CodesetId | None = None
    plan_concept: CodesetId | None = None
    sponsor_concept: CodesetId | None = None
    stop_reason_concept: CodesetId | None = None
    payer_source_concept: CodesetId | None = None
    plan_source_concept: CodesetId | None = None
    sponsor_source_concept: CodesetId | None = None
    stop_reason_source_concept: CodesetId | None = None


class LocationRegion(CriteriaBody):
    """Stays of a person in a region (``location_history``)."""

    codeset_id: CodesetId | None = None
    start_date: DateRange | None = None
    end_date: DateRange | None = None


class ImageOccurrence(Record):
    """Imaging series (Atoll). ``CodesetId`` is looked for in the modality."""

    visit_type: Concepts = ()
    visit_type_cs: Selection | None = None
    modality: Concepts = ()
    modality_cs: Selection | None = None
    anatomic_site: Concepts = ()
    anatomic_site_cs: Selection | None = None


class ImageFeature(Record):
    """What a person or an algorithm found in an image (Atoll), on the day of its image.

    Value and unit are those of the measurement or observation to which the feature points.
    """

    feature_type: Concepts = ()
    feature_type_cs: Selection | None = None
    finding: Concepts = ()
    finding_cs: Selection | None = None
    algorithm: TextFilter | None = None
    anatomic_site: Concepts = ()
    anatomic_site_cs: Selection | None = None
    modality: Concepts = ()
    modality_cs: Selection | None = None
    value_as_number: NumericRange | None = None
    value_as_concept: Concepts = ()
    value_as_concept_cs: Selection | None = None
    unit: Concepts = ()
    unit_cs: Selection | None = None


class VariantOccurrence(Record):
    """Genetic variants found in a sample (Atoll). A list of codes asks for one of them."""

    variant_source_concept: CodesetId | None = None
    gene: Codes = ()
    gene_cs: Selection | None = None
    hgvs_c: TextFilter | None = None
    hgvs_p: TextFilter | None = None
    hgvs_g: TextFilter | None = None
    consequence: Codes = ()
    variant_type: Codes = ()
    zygosity: Codes = ()
    allele_fraction: NumericRange | None = None
    read_depth: NumericRange | None = None
    origin: tuple[Literal["somatic", "germline", "unknown"], ...] = ()
    copy_number: NumericRange | None = None
    assembly: tuple[Literal["GRCh37", "GRCh38"], ...] = ()
    chromosome: Codes = ()
    position: NumericRange | None = None
    clinical_significance: Codes = ()
    clinical_significance_cs: Selection | None = None


class TrialRecord(CriteriaBody):
    """Records of a person in a trial (Atoll). ``Trial`` lists trial codes, of which one must match."""

    first: bool = False
    trial: Codes = ()
    occurrence_start_date: DateRange | None = None
    occurrence_end_date: DateRange | None = None
    age: NumericRange | None = None
    gender: Concepts = ()
    gender_cs: Selection | None = None


class TrialParticipation(TrialRecord):
    """Participations in trials, from the first to the last day (Atoll)."""

    arm: Codes = ()
    actual_arm: Codes = ()
    status: Codes = ()
    randomization_date: DateRange | None = None


class TrialEpoch(TrialRecord):
    """Epochs of trials, such as SCREENING (Atoll)."""

    epoch: Codes = ()
    epoch_number: NumericRange | None = None


class TrialExposure(TrialRecord):
    """Intervals of study treatment (Atoll)."""

    codeset_id: CodesetId | None = None
    epoch: Codes = ()
    treatment: TextFilter | None = None
    dose_value: NumericRange | None = None
    dose_unit: Codes = ()


class TrialEndpoint(TrialRecord):
    """Endpoints of persons, such as progression (Atoll). ``Censored`` false asks for events."""

    endpoint: Codes = ()
    value_as_number: NumericRange | None = None
    value_as_string: TextFilter | None = None
    unit: Codes = ()
    censored: bool | None = None


class Criteria(Part):
    """The criteria of exactly one domain, under the domain's name."""

    condition_occurrence: ConditionOccurrence | None = None
    drug_exposure: DrugExposure | None = None
    procedure_occurrence: ProcedureOccurrence | None = None
    device_exposure: DeviceExposure | None = None
    measurement: Measurement | None = None
    observation: Observation | None = None
    visit_occurrence: VisitOccurrence | None = None
    visit_detail: VisitDetail | None = None
    specimen: Specimen | None = None
    death: Death | None = None
    condition_era: ConditionEra | None = None
    drug_era: DrugEra | None = None
    dose_era: DoseEra | None = None
    observation_period: ObservationPeriod | None = None
    payer_plan_period: PayerPlanPeriod | None = None
    location_region: LocationRegion | None = None
    image_occurrence: ImageOccurrence | None = None
    image_feature: ImageFeature | None = None
    variant_occurrence: VariantOccurrence | None = None
    trial_participation: TrialParticipation | None = None
    trial_epoch: TrialEpoch | None = None
    trial_exposure: TrialExposure | None = None
    trial_endpoint: TrialEndpoint | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._present()) != 1:
            raise ValueError("criteria name exactly one domain")
        return self

    def _present(self) -> list[tuple[str, Any]]:
        return [(name, body) for name in self.model_fields_set if (body := getattr(self, name)) is not None]

    @property
    def domain(self) -> str:
        """The kind of criteria, such as ``condition_occurrence``: mostly the name of the CDM's table."""
        return self._present()[0][0]

    @property
    def body(self) -> CriteriaBody:
        """The attributes."""
        body: CriteriaBody = self._present()[0][1]
        return body
