"""List the names of the Circe language, so that a refusal can tell "not yet" from "no such thing".

The names are those of the JSON that ATLAS exports (OHDSI circe-be, cohort definition model).
"""

_DOMAINS = (
    "ConditionEra ConditionOccurrence Death DeviceExposure DoseEra DrugEra DrugExposure LocationRegion "
    "Measurement Observation ObservationPeriod PayerPlanPeriod ProcedureOccurrence Specimen VisitDetail "
    "VisitOccurrence"
)
_ATTRIBUTES = (
    "Abnormal Age AgeAtEnd AgeAtStart AnatomicSite AnatomicSiteCS CauseSourceConcept CodesetId Concept "
    "ConditionSourceConcept ConditionStatus ConditionStatusCS ConditionType ConditionTypeCS "
    "ConditionTypeExclude CorrelatedCriteria DateAdjustment DaysSupply DeathSourceConcept DeathType "
    "DeathTypeCS DeathTypeExclude DeviceSourceConcept DeviceType DeviceTypeCS DeviceTypeExclude "
    "DiseaseStatus DiseaseStatusCS DoseUnit DoseUnitCS DoseValue DrugSourceConcept DrugType DrugTypeCS "
    "DrugTypeExclude EffectiveDrugDose EndDate EraEndDate EraLength EraStartDate First GapDays Gender "
    "GenderCS LotNumber MeasurementSourceConcept MeasurementType MeasurementTypeCS MeasurementTypeExclude "
    "Modifier ModifierCS ObservationSourceConcept ObservationType ObservationTypeCS "
    "ObservationTypeExclude OccurrenceCount OccurrenceEndDate OccurrenceStartDate Operator OperatorCS "
    "PayerConcept PayerSourceConcept PeriodEndDate PeriodLength PeriodStartDate PeriodType PeriodTypeCS "
    "PlaceOfService PlaceOfServiceCS PlaceOfServiceDistance PlaceOfServiceLocation PlanConcept "
    "PlanSourceConcept ProcedureSourceConcept ProcedureType ProcedureTypeCS ProcedureTypeExclude "
    "ProviderSpecialty ProviderSpecialtyCS Qualifier QualifierCS Quantity Race RaceCS Ethnicity "
    "EthnicityCS RangeHigh RangeHighRatio RangeLow RangeLowRatio Refills RegionCodesetId RouteConcept "
    "RouteConceptCS SourceId SpecimenSourceConcept SpecimenType SpecimenTypeCS SpecimenTypeExclude "
    "SponsorConcept SponsorSourceConcept StartDate StopReason StopReasonConcept StopReasonSourceConcept "
    "UniqueDeviceId Unit UnitCS UserDefinedPeriod ValueAsConcept ValueAsConceptCS ValueAsNumber "
    "ValueAsString VisitDetailEndDate VisitDetailLength VisitDetailSourceConcept VisitDetailStartDate "
    "VisitDetailTypeCS VisitDetailTypeExclude VisitLength VisitSourceConcept VisitType VisitTypeCS "
    "VisitTypeExclude"
)
_STRUCTURE = (
    "AdditionalCriteria CensorWindow CensoringCriteria Coeff CollapseSettings CollapseType ConceptSets "
    "Count CountColumn Criteria CriteriaList CustomEra DateField DateOffset Days DaysSupplyOverride "
    "DemographicCriteriaList DrugCodesetId End EndOffset EndStrategy EndWindow EndWith EraPad "
    "ExpressionLimit Extent Groups IgnoreObservationPeriod InclusionRules IsDistinct IsExclusion "
    "ObservationWindow Occurrence Offset Op PostDays PrimaryCriteria PrimaryCriteriaLimit PriorDays "
    "QualifiedLimit RestrictVisit Start StartOffset StartWindow StartWith Text Title Type UseEventEnd "
    "UseIndexEnd Value cdmVersionRange concept description expression id includeDescendants "
    "includeMapped isExcluded items name"
)

CIRCE_NAMES = frozenset(f"{_DOMAINS} {_ATTRIBUTES} {_STRUCTURE}".split())
"""Every field name that a Circe cohort definition may use."""
