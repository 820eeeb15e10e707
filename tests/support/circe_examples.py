"""Show an example of every attribute of the cohort language, and from these one of every part.

An example says something in every field (no default), so that a field that is lost is seen.
"""

import inspect
from typing import Any

from atoll_schemas.circe import concepts, criteria, endings, expression, groups, parts
from atoll_schemas.circe.spelling import form_of

Wire = dict[str, Any]

CONCEPT: Wire = {"CONCEPT_ID": 4180790}
CONCEPTS = [{"CONCEPT_ID": 8532}, {"CONCEPT_ID": 8507}]
SELECTION: Wire = {"CodesetId": 1, "IsExclusion": True}
NUMBER: Wire = {"Value": 3.5, "Op": "bt", "Extent": 5}
SINCE: Wire = {"Value": "2015-01-01", "Op": "bt", "Extent": "2019-12-31"}
TEXT: Wire = {"Text": "p.Val600Glu", "Op": "!startsWith"}
PERIOD: Wire = {"StartDate": "2015-01-01", "EndDate": "2019-12-31"}
SOURCE_CODE: Wire = {"vocabulary": "ICD10", "code": "C18.9"}
ITEM: Wire = {"concept": CONCEPT, "isExcluded": True, "includeDescendants": True, "includeMapped": True}
CONCEPT_SET: Wire = {
    "id": 1,
    "name": "colon cancer",
    "expression": {"items": [ITEM]},
    "SourceCodes": [SOURCE_CODE],
}
BEFORE: Wire = {"Days": 365, "Coeff": -1}
WINDOW: Wire = {"Start": BEFORE, "End": {"Coeff": 1}, "UseIndexEnd": True, "UseEventEnd": False}
OCCURRENCE: Wire = {"Type": 2, "Count": 1, "IsDistinct": True, "CountColumn": "VISIT_DETAIL_ID"}
CRITERIA: Wire = {"DrugEra": {"CodesetId": 1, "GapDays": NUMBER}}
FACTS: Wire = {"Age": NUMBER, "Gender": CONCEPTS, "RaceCS": SELECTION}
CORRELATED: Wire = {
    "Criteria": CRITERIA,
    "StartWindow": WINDOW,
    "EndWindow": WINDOW,
    "Occurrence": OCCURRENCE,
    "RestrictVisit": True,
    "IgnoreObservationPeriod": True,
}
INNER: Wire = {"Type": "AT_MOST", "Count": 1, "CriteriaList": [CORRELATED]}
GROUP: Wire = {
    "Type": "AT_LEAST",
    "Count": 2,
    "CriteriaList": [CORRELATED],
    "DemographicCriteriaList": [FACTS],
    "Groups": [INNER],
}
ADJUSTED: Wire = {"StartWith": "END_DATE", "StartOffset": -7, "EndWith": "START_DATE", "EndOffset": 7}
OFFSET: Wire = {"DateField": "EndDate", "Offset": 365}
ERA_END: Wire = {"DrugCodesetId": 1, "GapDays": 30, "Offset": 7, "DaysSupplyOverride": 28}

NUMBERS = [
    "Age", "AgeAtStart", "AgeAtEnd", "Refills", "Quantity", "DaysSupply", "EffectiveDrugDose",
    "ValueAsNumber", "RangeLow", "RangeHigh", "RangeLowRatio", "RangeHighRatio", "VisitLength",
    "VisitDetailLength", "PlaceOfServiceDistance", "EraLength", "DoseValue", "OccurrenceCount", "GapDays",
    "PeriodLength", "AlleleFraction", "ReadDepth", "CopyNumber", "Position", "EpochNumber",
]  # fmt: skip
DATES = [
    "OccurrenceStartDate", "OccurrenceEndDate", "EraStartDate", "EraEndDate", "PeriodStartDate",
    "PeriodEndDate", "StartDate", "EndDate", "VisitDetailStartDate", "VisitDetailEndDate",
    "RandomizationDate",
]  # fmt: skip
LISTS = [
    "Gender", "ProviderSpecialty", "VisitType", "ConditionType", "ConditionStatus", "DrugType",
    "RouteConcept", "DoseUnit", "ProcedureType", "Modifier", "DeviceType", "MeasurementType", "Operator",
    "ValueAsConcept", "Unit", "ObservationType", "Qualifier", "SpecimenType", "AnatomicSite",
    "DiseaseStatus", "PlaceOfService", "DeathType", "PeriodType", "Race", "Ethnicity", "Modality",
    "FeatureType", "Finding",
]  # fmt: skip
SETS = [
    "CodesetId", "ConditionSourceConcept", "DrugSourceConcept", "ProcedureSourceConcept",
    "DeviceSourceConcept", "MeasurementSourceConcept", "ObservationSourceConcept", "SpecimenSourceConcept",
    "VisitSourceConcept", "VisitDetailSourceConcept", "DeathSourceConcept", "CauseSourceConcept",
    "PlaceOfServiceLocation", "AdmittedFromConcept", "DischargedToConcept", "PayerConcept", "PlanConcept",
    "SponsorConcept", "StopReasonConcept", "PayerSourceConcept", "PlanSourceConcept",
    "SponsorSourceConcept", "StopReasonSourceConcept", "VariantSourceConcept",
]  # fmt: skip
TEXTS = [
    "StopReason", "LotNumber", "UniqueDeviceId", "ValueAsString", "SourceId", "Algorithm", "HgvsC", "HgvsP",
    "HgvsG", "Treatment",
]  # fmt: skip
CODES = [
    "Gene", "Consequence", "VariantType", "Zygosity", "Chromosome", "ClinicalSignificance", "Trial", "Arm",
    "ActualArm", "Status", "Epoch", "Endpoint",
]  # fmt: skip

ATTRIBUTES: Wire = {
    **dict.fromkeys(NUMBERS, NUMBER),
    **dict.fromkeys(DATES, SINCE),
    **dict.fromkeys(LISTS, CONCEPTS),
    **dict.fromkeys(SETS, 1),
    **dict.fromkeys(TEXTS, TEXT),
    **{key: ["BRAF", "KRAS"] for key in CODES},
    "First": True,
    "Abnormal": True,
    "Censored": True,
    "Origin": ["somatic", "germline"],
    "Assembly": ["GRCh38"],
    "UserDefinedPeriod": PERIOD,
    "CorrelatedCriteria": GROUP,
    "DateAdjustment": ADJUSTED,
}
"""An example of every attribute of criteria; ``…CS`` and ``…Exclude`` follow their endings."""

_CODES_NOT_CONCEPTS = {("TrialExposure", "DoseUnit"), ("TrialEndpoint", "Unit")}

PARTS: dict[type[parts.Part], Wire] = {
    parts.Part: {},
    parts.Concept: CONCEPT,
    parts.ConceptSetSelection: SELECTION,
    parts.NumericRange: NUMBER,
    parts.DateRange: SINCE,
    parts.TextFilter: TEXT,
    parts.Period: PERIOD,
    parts.DateAdjustment: ADJUSTED,
    parts.ResultLimit: {"Type": "Last"},
    concepts.ConceptSetItem: ITEM,
    concepts.ConceptSetExpression: {"items": [ITEM]},
    concepts.ConceptSet: CONCEPT_SET,
    groups.Endpoint: BEFORE,
    groups.Window: WINDOW,
    groups.Occurrence: OCCURRENCE,
    criteria.CorrelatedCriteria: CORRELATED,
    criteria.CriteriaGroup: GROUP,
    criteria.Criteria: CRITERIA,
    endings.DateOffset: OFFSET,
    endings.CustomEra: ERA_END,
    endings.EndStrategy: {"DateOffset": OFFSET},
    endings.CollapseSettings: {"EraPad": 30},
    expression.ObservationFilter: {"PriorDays": 365, "PostDays": 30},
    expression.PrimaryCriteria: {
        "CriteriaList": [CRITERIA],
        "ObservationWindow": {"PriorDays": 365},
        "PrimaryCriteriaLimit": {"Type": "All"},
    },
    expression.InclusionRule: {"name": "an earlier record", "expression": GROUP},
    expression.CohortExpression: {
        "ConceptSets": [CONCEPT_SET],
        "PrimaryCriteria": {"CriteriaList": [CRITERIA, {"Death": {}}]},
        "AdditionalCriteria": GROUP,
        "QualifiedLimit": {"Type": "Last"},
        "ExpressionLimit": {"Type": "All"},
        "InclusionRules": [{"name": "an earlier record", "expression": GROUP}],
        "EndStrategy": {"CustomEra": ERA_END},
        "CensoringCriteria": [CRITERIA],
        "CollapseSettings": {"EraPad": 30},
        "CensorWindow": PERIOD,
    },
}


def attribute(kind: type[parts.Part], key: str) -> Any:
    """Return an example of an attribute of criteria."""
    if (kind.__name__, key) in _CODES_NOT_CONCEPTS:
        return ["mg"]
    if key.endswith("CS"):
        return SELECTION
    return True if key.endswith("Exclude") else ATTRIBUTES[key]


def bodies() -> list[type[parts.Part]]:
    """Return every class of criteria, and the demographic criteria."""
    found = [
        member
        for _, member in inspect.getmembers(criteria, inspect.isclass)
        if issubclass(member, criteria.CriteriaBody)
    ]
    return [*found, groups.DemographicCriteria]


def body(kind: type[parts.Part]) -> Wire:
    """Return criteria of a class that state every attribute."""
    return {field.key: attribute(kind, field.key) for field in form_of(kind).fields}


PARTS |= {kind: body(kind) for kind in bodies()}
