"""Make a synthetic CDM and cohort definitions where the shared conformance set is absent; all seeded."""

import json
from pathlib import Path
from typing import Any

import duckdb

SEED = 0.42
CONCEPTS = 40
_TABLES = {
    "person": "SELECT i AS person_id, CASE WHEN random() < 0.5 THEN 8507 ELSE 8532 END AS gender_concept_id, "
    "1930 + (random() * 70)::INTEGER AS year_of_birth FROM people",
    "observation_period": "SELECT i AS observation_period_id, i AS person_id, "
    "DATE '2010-01-01' + (random() * 900)::INTEGER AS observation_period_start_date, "
    "DATE '2018-01-01' + (random() * 900)::INTEGER AS observation_period_end_date FROM people",
    "visit_occurrence": "SELECT i * 4 + k AS visit_occurrence_id, i AS person_id, 9202 AS visit_concept_id, "
    "day AS visit_start_date, day + (random() * 5)::INTEGER AS visit_end_date FROM moments WHERE k < 4",
    "condition_occurrence": "SELECT i * 8 + k AS condition_occurrence_id, i AS person_id, "
    f"1000 + floor(random() * random() * {CONCEPTS})::BIGINT AS condition_concept_id, "
    "day AS condition_start_date FROM moments WHERE k < 3",
    "drug_exposure": "SELECT i * 8 + k AS drug_exposure_id, i AS person_id, "
    f"2000 + floor(random() * {CONCEPTS})::BIGINT AS drug_concept_id, day AS drug_exposure_start_date, "
    "day + 30 AS drug_exposure_end_date FROM moments WHERE k < 2",
    "measurement": "SELECT i * 8 + k AS measurement_id, i AS person_id, "
    f"3000 + floor(random() * {CONCEPTS})::BIGINT AS measurement_concept_id, day AS measurement_date, "
    "random() * 200 AS value_as_number FROM moments WHERE k < 2",
}


def write_cdm(folder: Path, persons: int) -> Path:
    """Write one Parquet file a table; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        database.execute(f"SELECT setseed({SEED})")
        database.execute(f"CREATE TABLE people AS SELECT range AS i FROM range({persons})")
        database.execute(
            "CREATE TABLE moments AS SELECT i, k, DATE '2010-01-01' + (random() * 4000)::INTEGER AS day "
            "FROM people, (SELECT range AS k FROM range(4)) ORDER BY i, k"
        )
        for name, query in _TABLES.items():
            database.execute(f"COPY ({query}) TO '{folder / name}.parquet' (FORMAT parquet)")
    return folder


def write_definitions(folder: Path, number: int) -> Path:
    """Write so many definitions of five shapes; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(number):
        (folder / f"{place + 1}.json").write_text(json.dumps(_definition(place)), encoding="utf-8")
    return folder


def _definition(place: int) -> dict[str, Any]:
    concept = place % CONCEPTS
    shape = place % 5
    definition: dict[str, Any] = {
        "ConceptSets": [_set(0, 1000 + concept), _set(1, 2000 + concept), _set(2, 3000 + concept)],
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}],
            "ObservationWindow": {"PriorDays": 365 if shape % 2 else 0},
            "PrimaryCriteriaLimit": {"Type": "First" if shape in (1, 3) else "All"},
        },
        "ExpressionLimit": {"Type": "All"},
        "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 30 * shape}},
        "CollapseSettings": {"EraPad": 30},
    }
    if shape >= 2:
        definition["InclusionRules"] = [_rule("drug", {"DrugExposure": {"CodesetId": 1}}, 2)]
    if shape >= 3:
        high = {"Measurement": {"CodesetId": 2, "ValueAsNumber": {"Value": 100, "Op": "gt"}}}
        definition["InclusionRules"].append(_rule("no high value", high, 0))
    if shape == 4:
        definition["EndStrategy"] = {"CustomEra": {"DrugCodesetId": 1, "GapDays": 30, "Offset": 0}}
    return definition


def _set(number: int, concept: int) -> dict[str, Any]:
    return {"id": number, "expression": {"items": [{"concept": {"CONCEPT_ID": concept}}]}}


def _rule(name: str, criteria: dict[str, Any], kind: int) -> dict[str, Any]:
    """At least one (2), or exactly none (0), within two years of the event."""
    window = {"Start": {"Days": 730, "Coeff": -1}, "End": {"Days": 730, "Coeff": 1}}
    counted = {
        "Criteria": criteria,
        "StartWindow": window,
        "Occurrence": {"Type": kind, "Count": 1 if kind else 0},
    }
    return {"name": name, "expression": {"Type": "ALL", "CriteriaList": [counted]}}
