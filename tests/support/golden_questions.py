"""Name small questions, each of which shows one construct, for golden files of the compiler's passes."""

from collections.abc import Mapping
from typing import Any

from tests.support.circe_text import (
    AT_MOST,
    CODES,
    COLON,
    DRUG,
    EXACTLY,
    TREE,
    cohort,
    condition,
    counted,
    drug,
    group,
    rule,
    window,
)

COUNT: dict[str, Any] = {"method": "count"}
DEATH = {"name": "death", "definition": {"kind": "death"}}
SEX = {"name": "sex", "definition": {"kind": "demographic", "field": "sex"}}
AGE = {"name": "age", "definition": {"kind": "demographic", "field": "age"}, "edges": [50, 65]}
STAGE = {
    "name": "stage",
    "definition": {
        "kind": "category",
        "domain": "observation",
        "codes": {"concept_ids": [30]},
        "levels": [{"label": "early", "values": ["I", "4001"]}, {"label": "late", "values": ["IV"]}],
        "window": {"start": -30, "end": 7},
        "take": "first",
    },
}
WEIGHT = {
    "name": "weight",
    "definition": {"kind": "number", "domain": "measurement", "codes": {"concept_ids": [40]}},
    "unit": "kg",
}
ILL = {
    "name": "ill",
    "definition": {
        "kind": "presence",
        "domain": "condition",
        "codes": {"concept_ids": [10], "descendants": True},
        "window": {"start": None, "end": None},
    },
}
ARM = {
    "name": "arm",
    "definition": {
        "kind": "trial_arm",
        "trial": "T1",
        "levels": [{"label": "control", "values": ["C"]}, {"label": "treated", "values": ["X", "Y"]}],
    },
}
WOMEN = {"Gender": [{"CONCEPT_ID": 8532}]}
NEAR = counted(drug(CodesetId=DRUG), StartWindow=window("-30", "+0"))
OFFSET = {"DateOffset": {"DateField": "EndDate", "Offset": 7}}

QUESTIONS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everybody": (cohort(), COUNT),
    "first_of_a_concept": (cohort(condition(CodesetId=COLON, First=True), entry="First"), COUNT),
    "last_of_many_records": (cohort(condition(CodesetId=COLON), entry="Last"), COUNT),
    "descendants_less_some": (cohort(condition(CodesetId=TREE)), COUNT),
    "source_codes": (cohort(condition(CodesetId=CODES)), COUNT),
    "two_domains": (cohort(condition(), {"Death": {}}, entry="First"), COUNT),
    "ranges": (
        cohort(
            {
                "Measurement": {
                    "Age": {"Value": 18, "Op": "gte"},
                    "ValueAsNumber": {"Value": 1.5, "Extent": 2.5, "Op": "!bt"},
                    "ValueAsConcept": [{"CONCEPT_ID": 46}, {"CONCEPT_ID": 45}],
                    "OccurrenceStartDate": {"Value": "2020-01-01", "Extent": "2020-12-31", "Op": "bt"},
                }
            }
        ),
        COUNT,
    ),
    "observed_before_and_after": (
        cohort(condition(), ObservationWindow={"PriorDays": 365, "PostDays": 30}),
        COUNT,
    ),
    "one_near_event": (cohort(condition(), InclusionRules=[rule(group("ALL", NEAR), "drug")]), COUNT),
    "windows_by_ends": (
        cohort(
            condition(),
            AdditionalCriteria=group(
                "ALL",
                counted(
                    drug(),
                    StartWindow=window("-all", "+0", UseIndexEnd=True),
                    EndWindow=window("+0", "+all", UseEventEnd=False),
                ),
            ),
        ),
        COUNT,
    ),
    "counts": (
        cohort(
            condition(),
            InclusionRules=[
                rule(group("ALL", counted(drug(), 0, EXACTLY)), "none"),
                rule(group("ALL", counted(drug(), 2, AT_MOST, distinct=True)), "two kinds"),
                rule(group("ALL", counted(drug(), 0)), "any number"),
                rule(group("ALL", counted(drug(), 3, RestrictVisit=True)), ""),
                rule(group("ALL", counted(drug(), IgnoreObservationPeriod=True)), ""),
            ],
        ),
        COUNT,
    ),
    "groups": (
        cohort(
            condition(),
            InclusionRules=[
                rule(group("ANY", WOMEN, group("AT_MOST", NEAR, WOMEN, count=1)), "either"),
                rule(group("AT_LEAST", WOMEN, NEAR, group("ALL"), count=2), "either"),
            ],
        ),
        COUNT,
    ),
    "limits": (
        cohort(
            condition(),
            AdditionalCriteria=group("ALL", NEAR),
            QualifiedLimit={"Type": "Last"},
            ExpressionLimit={"Type": "First"},
        ),
        COUNT,
    ),
    "fixed_end_and_window": (
        cohort(
            condition(),
            EndStrategy=OFFSET,
            CollapseSettings={"EraPad": 30},
            CensorWindow={"StartDate": "2015-01-01"},
        ),
        COUNT,
    ),
    "end_of_exposure_and_censoring": (
        cohort(
            drug(CodesetId=DRUG),
            EndStrategy={"CustomEra": {"DrugCodesetId": DRUG, "GapDays": 30, "Offset": 7}},
            CensoringCriteria=[{"Death": {}}, condition(CodesetId=COLON)],
        ),
        COUNT,
    ),
    "count_by_two": (cohort(), {"method": "count", "by": [SEX, ILL]}),
    "crosstab_of_three": (cohort(), {"method": "crosstab", "variables": [AGE, STAGE, ARM]}),
    "table_1": (cohort(), {"method": "table1", "variables": [WEIGHT, AGE, STAGE], "by": SEX}),
    "survival_by_arm": (cohort(), {"method": "kaplan_meier", "outcome": DEATH, "by": ARM, "max_days": 365}),
    "survival_to_the_first_of_two": (
        cohort(),
        {
            "method": "kaplan_meier",
            "outcome": {
                "name": "progression",
                "definition": {
                    "kind": "any_of",
                    "outcomes": [
                        {"kind": "death"},
                        {"kind": "event", "domain": "condition", "codes": {"concept_ids": [10]}},
                    ],
                },
            },
        },
    ),
}
"""Each question: its cohort expression and its analysis."""
