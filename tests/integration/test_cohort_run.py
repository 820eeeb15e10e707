"""`atoll-node cohort run`: definitions on a folder of CDM files as another site may have written it."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atoll_node.cli.main import app
from tests.support.shared_data import shared

COLON = {"id": 0, "name": "colon", "expression": {"items": [{"concept": {"CONCEPT_ID": 10}}]}}
BELOW = {
    "id": 0,
    "name": "colon and below",
    "expression": {"items": [{"concept": {"CONCEPT_ID": 10}, "includeDescendants": True}]},
}


def cohort(concept_set: dict[str, Any] = COLON, **more: Any) -> dict[str, Any]:
    return {
        "ConceptSets": [concept_set],
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}],
            "PrimaryCriteriaLimit": {"Type": "All"},
        },
        "ExpressionLimit": {"Type": "All"},
        "EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 1}},
        **more,
    }


RULES = {
    "InclusionRules": [
        {
            "name": "women",
            "expression": {
                "Type": "ALL",
                "DemographicCriteriaList": [{"Gender": [{"CONCEPT_ID": 8532}]}],
            },
        }
    ]
}


@pytest.fixture
def cdm(tmp_path: Path) -> Path:
    """Upper-case names, whole numbers of 32 bits, moments for dates, a column and a file too many."""
    folder = tmp_path / "cdm"
    folder.mkdir()
    person = {"PERSON_ID": [1, 2], "GENDER_CONCEPT_ID": [8532, 8507], "YEAR_OF_BIRTH": [1960, 1970]}
    period = {
        "observation_period_id": [1, 2],
        "person_id": [1, 2],
        "observation_period_start_date": [datetime(2020, 1, 1, 8, 30)] * 2,
        "observation_period_end_date": [datetime(2020, 12, 31)] * 2,
        "extra": ["a", "b"],
    }
    condition = {
        "condition_occurrence_id": [1, 2, 3],
        "person_id": [1, 1, 2],
        "condition_concept_id": [10, 11, 10],
        "condition_start_date": [date(2020, 2, 1), date(2020, 3, 1), date(2020, 4, 1)],
    }
    write(folder / "PERSON.parquet", person)
    write(folder / "observation_period.parquet", period)
    (folder / "Condition_Occurrence").mkdir()
    write(folder / "Condition_Occurrence" / "part-0.parquet", condition)
    (folder / "notes.txt").write_text("not a table")
    write(folder / "achilles_results.parquet", {"count": [1]})
    return folder


def write(file: Path, columns: dict[str, list[Any]]) -> None:
    table = pa.table(columns)
    narrow = [pa.int32() if kind == pa.int64() else kind for kind in table.schema.types]
    pq.write_table(table.cast(pa.schema(list(zip(table.schema.names, narrow, strict=True)))), file)


@pytest.fixture
def run(cdm: Path, tmp_path: Path) -> Callable[..., int]:
    def ran(definitions: dict[str, Any], *more: str) -> int:
        folder = tmp_path / "definitions"
        folder.mkdir(exist_ok=True)
        for name, content in definitions.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
        return app(["cohort", "run", str(folder), "--cdm", str(cdm), "--out", str(tmp_path / "out"), *more])

    return ran


def rows(tmp_path: Path, name: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(tmp_path / "out" / f"{name}.parquet")
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_a_definition_runs_on_files_as_another_site_writes_them(run, tmp_path: Path) -> None:
    assert run({"7.json": cohort()}) == 0
    assert rows(tmp_path, "cohort") == [
        (7, 1, date(2020, 2, 1), date(2020, 2, 2)),
        (7, 2, date(2020, 4, 1), date(2020, 4, 2)),
    ]
    assert rows(tmp_path, "inclusion") == rows(tmp_path, "summary") == []


def test_inclusion_and_summary_are_counted_by_event_and_by_person(run, tmp_path: Path) -> None:
    assert run({"7.json": cohort(**RULES)}) == 0
    assert rows(tmp_path, "inclusion") == [(7, 0, 1, 0), (7, 0, 1, 1), (7, 1, 1, 0), (7, 1, 1, 1)]
    assert rows(tmp_path, "summary") == [(7, 2, 1, 0), (7, 2, 1, 1)]


def test_the_files_have_the_types_of_ohdsis_tables(run, tmp_path: Path) -> None:
    assert run({"7.json": cohort(**RULES)}) == 0

    def types(name: str) -> list[str]:
        return [f"{one.name} {one.type}" for one in pq.read_schema(tmp_path / "out" / f"{name}.parquet")]

    assert types("cohort") == [
        "cohort_definition_id int32",
        "subject_id int64",
        "cohort_start_date date32[day]",
        "cohort_end_date date32[day]",
    ]
    assert types("inclusion") == [
        "cohort_definition_id int32",
        "inclusion_rule_mask int64",
        "person_count int64",
        "mode_id int32",
    ]
    assert types("summary") == [
        "cohort_definition_id int32",
        "base_count int64",
        "final_count int64",
        "mode_id int32",
    ]


def test_seconds_are_told_for_each_definition(run, tmp_path: Path) -> None:
    assert run({"7.json": cohort(), "12.json": cohort()}) == 0
    seconds = json.loads((tmp_path / "out" / "seconds.json").read_text())
    assert {number: sorted(parts) for number, parts in seconds.items()} == {
        "7": ["compile", "run"],
        "12": ["compile", "run"],
    }
    assert all(part >= 0 for parts in seconds.values() for part in parts.values())


def test_what_fails_is_named_and_the_others_go_on(run, tmp_path: Path, capsys) -> None:
    ended = run(
        {"7.json": cohort(), "8.json": cohort(BELOW), "9.json": "{", "ten.json": cohort()},
        "--json",
    )
    assert ended == 3
    told = json.loads(capsys.readouterr().out)
    assert told["cohorts"] == 1
    reasons = {one["file"]: one["reason"] for one in told["failed"]}
    assert sorted(reasons) == ["8.json", "9.json", "ten.json"]
    assert reasons["8.json"].startswith("engine.vocabulary: ")
    assert "local has no concept_ancestor" in reasons["8.json"]
    assert {row[0] for row in rows(tmp_path, "cohort")} == {7}


def test_a_table_that_cannot_be_read_fails_only_the_definitions_that_need_it(
    run, cdm: Path, tmp_path: Path, capsys
) -> None:
    write(
        cdm / "measurement.parquet",
        {
            "measurement_id": [1],
            "person_id": [1],
            "measurement_concept_id": [10],
            "measurement_date": ["no date, but a secret"],
        },
    )
    measured = cohort()
    measured["PrimaryCriteria"]["CriteriaList"] = [{"Measurement": {"CodesetId": 0}}]
    assert run({"7.json": cohort(), "8.json": measured}, "--json") == 3
    told = capsys.readouterr()
    assert [one["file"] for one in json.loads(told.out)["failed"]] == ["8.json"]
    assert "secret" not in told.out + told.err
    assert {row[0] for row in rows(tmp_path, "cohort")} == {7}


def test_more_rules_than_a_mask_holds_are_summed_up_without_masks(run, tmp_path: Path) -> None:
    many = {"InclusionRules": RULES["InclusionRules"] * 70}
    assert run({"7.json": cohort(**many)}) == 0
    assert rows(tmp_path, "summary") == [(7, 2, 1, 0), (7, 2, 1, 1)]
    assert rows(tmp_path, "inclusion") == []


def test_a_record_of_nobody_is_nobodys(run, cdm: Path, tmp_path: Path) -> None:
    drug = {
        "drug_exposure_id": [1, 2],
        "person_id": [None, 2],
        "drug_concept_id": [10, 10],
        "drug_exposure_start_date": [date(2020, 2, 1)] * 2,
    }
    write(cdm / "drug_exposure.parquet", drug)
    exposed = cohort()
    exposed["PrimaryCriteria"]["CriteriaList"] = [{"DrugExposure": {"CodesetId": 0}}]
    assert run({"7.json": exposed}) == 0
    assert [row[1] for row in rows(tmp_path, "cohort")] == [2]


def test_when_nothing_runs_it_is_an_error(run) -> None:
    assert run({"9.json": "{"}) == 1


def test_descendants_are_found_where_there_is_a_vocabulary(run, cdm: Path, tmp_path: Path) -> None:
    write(cdm / "concept_ancestor.parquet", {"ancestor_concept_id": [10], "descendant_concept_id": [11]})
    assert run({"8.json": cohort(BELOW)}) == 0
    assert [row[2] for row in rows(tmp_path, "cohort")] == [
        date(2020, 2, 1),
        date(2020, 3, 1),
        date(2020, 4, 1),
    ]


def test_a_folder_that_is_no_cdm_is_refused(run, cdm: Path, capsys) -> None:
    (cdm / "observation_period.parquet").unlink()
    assert run({"7.json": cohort()}) == 1
    assert "observation_period" in capsys.readouterr().err


def test_a_file_that_is_not_parquet_is_refused_without_its_content(run, cdm: Path, capsys) -> None:
    (cdm / "death.parquet").write_text("secret")
    assert run({"7.json": cohort()}) == 1
    assert "secret" not in capsys.readouterr().err


def test_either_a_folder_or_a_release_is_named(tmp_path: Path) -> None:
    (tmp_path / "7.json").write_text(json.dumps(cohort()))
    assert app(["cohort", "run", str(tmp_path), "--out", str(tmp_path / "out")]) == 2


@pytest.mark.shared
def test_the_shared_definitions_give_the_published_files(tmp_path: Path) -> None:
    definitions = [str(shared(f"circe/definitions/{number}.json")) for number in (27, 54, 63, 1105)]
    cdm = str(shared("circe/cdm"))
    assert app(["cohort", "run", *definitions, "--cdm", cdm, "--out", str(tmp_path / "out")]) == 0
    for name, published in (("cohort", "cohorts"), ("inclusion", "inclusion"), ("summary", "summary")):
        table = pq.read_table(shared(f"circe/expected_{published}.parquet"))
        expected = sorted(
            row
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
            if row[0] in {27, 54, 63, 1105}
        )
        assert rows(tmp_path, name) == expected
