"""Write cohort expressions that mean harm: too large, too deep, no numbers, and texts that look like SQL."""

import json
import sys
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def cohort(entry: Json | None = None, **parts: Any) -> Json:
    """Return a small expression with one concept set."""
    return {
        "ConceptSets": [concept_set([7])],
        "PrimaryCriteria": {"CriteriaList": [entry or {"ConditionOccurrence": {"CodesetId": 1}}]},
        **parts,
    }


def concept_set(ids: list[int], name: str = "x", **more: Any) -> Json:
    items = [{"concept": {"CONCEPT_ID": number}, "includeDescendants": True} for number in ids]
    return {"id": 1, "name": name, "expression": {"items": items}, **more}


def groups(depth: int) -> Json:
    group: Json = {"Type": "ALL"}
    for _ in range(depth):
        group = {"Type": "ALL", "Groups": [group]}
    return cohort(AdditionalCriteria=group)


def criteria_within_criteria(depth: int) -> Json:
    body: Json = {"ConditionOccurrence": {}}
    for _ in range(depth):
        counted = {"Criteria": body, "Occurrence": {"Type": 2, "Count": 1}}
        body = {"ConditionOccurrence": {"CorrelatedCriteria": {"Type": "ALL", "CriteriaList": [counted]}}}
    return cohort(body)


def age(value: Any) -> Json:
    return cohort({"ConditionOccurrence": {"Age": {"Value": value, "Op": "gt"}}})


def text_of(value: Json) -> str:
    """Write JSON of any depth, NaN included."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(value)
    finally:
        sys.setrecursionlimit(before)


def concepts(count: int) -> Json:
    return cohort(ConceptSets=[concept_set(list(range(count)))])


HOSTILE: dict[str, Callable[[], str]] = {
    "10 MB": lambda: text_of(cohort(Title="x" * 10_000_000)),
    "8 MB of one list": lambda: '{"PrimaryCriteria": [' + "1," * 3_900_000 + "1]}",
    "8 MB of objects": lambda: '{"ConceptSets": [' + "{}," * 2_500_000 + "{}]}",
    "100,000 concepts": lambda: text_of(concepts(100_000)),
    "100,000 concepts in many sets": lambda: text_of(
        cohort(ConceptSets=[{**concept_set(list(range(1_000))), "id": number} for number in range(100)])
    ),
    "groups 1,000 deep": lambda: text_of(groups(1_000)),
    "criteria 1,000 deep": lambda: text_of(criteria_within_criteria(1_000)),
    "lists 100,000 deep": lambda: '{"ConceptSets": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "NaN": lambda: text_of(age(float("nan"))),
    "infinity": lambda: text_of(age(float("inf"))),
    "an integer of 4,000 digits": lambda: text_of(age(int("9" * 4_000))),
    "an integer of 100,000 digits": lambda: text_of(age(1)).replace(
        '"Value": 1', f'"Value": {"9" * 100_000}'
    ),
    "a concept beyond 64 bits": lambda: text_of(cohort(ConceptSets=[concept_set([2**70])])),
    "SQL for a number": lambda: text_of(age("1; DROP TABLE person")),
    "SQL for an operator": lambda: text_of(age(1)).replace('"gt"', '"> 0 OR 1=1 --"'),
    "SQL for a field": lambda: text_of(cohort({"ConditionOccurrence": {"CodesetId) OR (1=1": 1}})),
    "SQL for a domain": lambda: text_of(cohort({"person; DROP TABLE person": {}})),
    "SQL for a date": lambda: text_of(
        cohort({"Death": {"OccurrenceStartDate": {"Value": "2020-01-01' OR '1'='1", "Op": "gt"}}})
    ),
    "20,000 unknown fields": lambda: text_of(cohort(**{f"Field{number}": 1 for number in range(20_000)})),
    "20,000 wrong concepts": lambda: text_of(
        cohort(ConceptSets=[{"id": 1, "expression": {"items": [{"concept": {"CONCEPT_ID": "x"}}] * 20_000}}])
    ),
}
"""Each must be refused, within a second, by everything that reads a cohort."""
SQL_TEXT = "x'); DROP TABLE person; --"
