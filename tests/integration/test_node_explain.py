"""`atoll-node explain`: the plan of a question at this node, and nothing of anybody."""

import json
from pathlib import Path
from typing import Any

import pytest

from atoll_schemas.query import Codes, Count, Presence, Query, Variable
from tests.support.lake_node import LakeNode, make_node
from tests.support.questions import cohort

HEMOGLOBIN = 3000963
DEFINITION: dict[str, Any] = {
    "ConceptSets": [
        {"id": 0, "name": "hb", "expression": {"items": [{"concept": {"CONCEPT_ID": HEMOGLOBIN}}]}}
    ],
    "PrimaryCriteria": {
        "CriteriaList": [{"Measurement": {"CodesetId": 0}}],
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
}


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> LakeNode:
    made = make_node(tmp_path, capsys)
    made.call("ingest")
    made.call("release")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "10.json"
    found.write_text(json.dumps(DEFINITION), encoding="utf-8")
    return found


def test_a_cohort_definition_is_explained_on_the_newest_release(node: LakeNode, file: Path) -> None:
    code, said, error = node.run("explain", str(file), "--dataset", "lab")
    assert code == 0, error
    assert said.startswith("-- release: lab-0001\n-- engine: DuckDB\n")
    assert "over columns in memory" in said
    assert "FROM measurement" in said.replace('"', "")
    assert "$p" in said
    assert str(HEMOGLOBIN) not in said, "values stand as placeholders"


def test_a_query_names_its_own_dataset_and_its_variables_are_in_the_plan(
    node: LakeNode, tmp_path: Path
) -> None:
    asked = Query(
        project="P-1",
        dataset="lab",
        cohort=cohort(),
        analysis=Count(
            by=(
                Variable(
                    name="tested",
                    definition=Presence(domain="measurement", codes=Codes(concept_ids=(HEMOGLOBIN,))),
                ),
            )
        ),
    )
    file = tmp_path / "query.json"
    file.write_text(asked.model_dump_json(), encoding="utf-8")
    said = node.call("explain", str(file))
    assert (said["dataset"], said["release"]) == ("lab", "lab-0001")
    assert "measurement" in said["plan"]


def test_an_older_release_is_explained_by_its_name(node: LakeNode, file: Path) -> None:
    assert (
        node.call("explain", str(file), "--dataset", "lab", "--release", "lab-0001")["release"] == "lab-0001"
    )
    code, _, error = node.run("explain", str(file), "--dataset", "lab", "--release", "lab-0099")
    assert code != 0
    assert error.startswith("release.unknown")


def test_nothing_is_asked_by_it(node: LakeNode, file: Path) -> None:
    before = node.call("audit", "list")
    node.call("explain", str(file), "--dataset", "lab")
    assert node.call("audit", "list") == before
    assert node.call("outbound")["messages"] == []


@pytest.mark.parametrize(
    "text, arguments, said",
    [
        (None, ("--dataset", "lab"), "explain.file: 10.json cannot be read"),
        ("{", ("--dataset", "lab"), "explain.file: 10.json is no JSON"),
        ("[1]", ("--dataset", "lab"), "neither a query nor a cohort definition"),
        ('{"a": 1}', ("--dataset", "lab"), "neither a query nor a cohort definition"),
        (json.dumps(DEFINITION), (), "explain.dataset: 10.json is a cohort definition"),
        (json.dumps({**DEFINITION, "Criteria": 1}), ("--dataset", "lab"), "explain.cohort: 10.json"),
        ('{"analysis": {"kind": "count"}}', (), "explain.query: 10.json is no query of this version"),
        (json.dumps(DEFINITION), ("--dataset", "other"), "release.none: other has no release"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_told_with_what_to_do(
    node: LakeNode, file: Path, text: str | None, arguments: tuple[str, ...], said: str
) -> None:
    file.unlink()
    if text is not None:
        file.write_text(text, encoding="utf-8")
    code, out, error = node.run("explain", str(file), *arguments)
    assert code not in (0, 70)
    assert out == ""
    assert said in error
    assert "Next: " in error
    assert len(error.splitlines()) == 1


def test_a_question_that_the_node_would_refuse_has_no_plan(node: LakeNode, file: Path) -> None:
    sets = [{**DEFINITION["ConceptSets"][0]}]
    sets[0] = json.loads(json.dumps(sets[0]))
    sets[0]["expression"]["items"][0]["includeDescendants"] = True
    file.write_text(json.dumps({**DEFINITION, "ConceptSets": sets}), encoding="utf-8")
    code, _, error = node.run("explain", str(file), "--dataset", "lab")
    assert code != 0
    assert error.startswith("engine.")
