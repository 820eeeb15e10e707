"""`atoll-node cohort run --release`: definitions on a release of this node, in a folder or in MinIO."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.hospital import small_export
from tests.support.lake_node import LakeNode, make_node
from tests.support.minio import running_minio
from tests.support.node_of_a_store import store_text

HEMOGLOBIN = {"id": 0, "name": "hb", "expression": {"items": [{"concept": {"CONCEPT_ID": 3000963}}]}}


def cohort(**more: Any) -> str:
    """Return a cohort of persons with a measurement in 2016, to the end of their observation."""
    return json.dumps(
        {
            "ConceptSets": [HEMOGLOBIN],
            "PrimaryCriteria": {
                "CriteriaList": [{"Measurement": {"CodesetId": 0}}],
                "PrimaryCriteriaLimit": {"Type": "First"},
            },
            **more,
        }
    )


@pytest.fixture(scope="module", params=["folder", "minio"])
def node_text(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The settings of the store."""
    if request.param == "folder":
        yield ""
        return
    work = tmp_path_factory.mktemp("store")
    with running_minio(work / "minio") as server:
        yield store_text(server.store(work / "keys", prefix="runs"))


@pytest.fixture
def node(node_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> LakeNode:
    """A node with a first release of four persons."""
    made = make_node(tmp_path, capsys, more=node_text)
    made.call("ingest")
    made.call("release")
    return made


@pytest.fixture
def run(node: LakeNode, tmp_path: Path) -> Any:
    """Run definitions on a release; return exit code, what was said, and the rows."""

    def ran(definitions: dict[str, str], release: str) -> tuple[int, str, list[tuple[Any, ...]]]:
        folder = tmp_path / f"definitions-{release}"
        folder.mkdir(exist_ok=True)
        for name, text in definitions.items():
            (folder / name).write_text(text, encoding="utf-8")
        out = tmp_path / f"out-{release}"
        code, said, error = node.run("cohort", "run", str(folder), "--release", release, "--out", str(out))
        file = out / "cohort.parquet"
        table = pq.read_table(file) if file.exists() else None
        columns = [] if table is None else [column.to_pylist() for column in table.columns]
        return code, said + error, sorted(zip(*columns, strict=True))

    return ran


def test_the_rows_are_those_of_the_release(node: LakeNode, run: Any) -> None:
    code, said, rows = run({"7.json": cohort()}, "lab-0001")

    assert code == 0, said
    observed = date(2020, 12, 31) - date(2016, 2, 1)
    assert [(row[0], row[3] - row[2]) for row in rows] == [(7, observed)] * 4, (
        "dates are moved, lengths are not"
    )
    assert {row[1] for row in rows}.isdisjoint(range(1, 5)), "persons are pseudonyms"


def test_an_older_release_still_gives_its_own_rows(node: LakeNode, run: Any) -> None:
    before = run({"7.json": cohort()}, "lab-0001")
    node.export(small_export(persons=6))
    node.call("ingest")
    node.call("release")

    assert run({"7.json": cohort()}, "lab-0001") == before
    assert len(run({"7.json": cohort()}, "lab-0002")[2]) == 6


def test_a_table_that_the_release_lacks_is_empty_as_in_a_folder(node: LakeNode, run: Any) -> None:
    drug = {"Criteria": {"DrugExposure": {}}, "StartWindow": {"Start": {"Coeff": -1}, "End": {"Coeff": 1}}}
    untreated = {"Type": "ALL", "CriteriaList": [{**drug, "Occurrence": {"Type": 0, "Count": 0}}]}
    code, _, rows = run({"7.json": cohort(AdditionalCriteria=untreated)}, "lab-0001")

    assert (code, len(rows)) == (0, 4)


def test_what_cannot_run_is_named_and_the_others_go_on(node: LakeNode, run: Any) -> None:
    below = {"items": [{"concept": {"CONCEPT_ID": 3000963}, "includeDescendants": True}]}
    expanded = cohort(ConceptSets=[{**HEMOGLOBIN, "expression": below}])
    code, said, rows = run({"7.json": cohort(), "8.json": expanded}, "lab-0001")

    assert code == 3
    assert "8.json" in said
    assert "engine.vocabulary" in said
    assert {row[0] for row in rows} == {7}


def test_a_release_that_is_not_there_or_was_changed_is_refused(node: LakeNode, run: Any) -> None:
    code, said, rows = run({"7.json": cohort()}, "lab-0009")
    assert (code, rows) == (1, [])
    assert "release.unknown" in said

    file = node.home.releases / "lab" / "lab-0001.json"
    changed = file.read_text().replace('"rows":12', '"rows":13')
    file.chmod(0o600)
    file.write_text(changed)
    code, said, rows = run({"7.json": cohort()}, "lab-0001")
    assert (code, rows) == (1, [])
    assert "release.changed" in said


def test_nothing_of_a_run_waits_for_the_hub(node: LakeNode, run: Any) -> None:
    waiting = node.call("status")["waiting_to_be_sent"]
    run({"7.json": cohort()}, "lab-0001")

    assert node.call("status")["waiting_to_be_sent"] == waiting
