"""``atoll-node lake status`` and ``lake maintain`` as typed, and maintenance after an ingest."""

import pytest

from atoll_node.maintenance.rules import MANY_FILES
from tests.support.hospital import small_export
from tests.support.lake_node import LakeNode, make_node


@pytest.fixture
def node(tmp_path, capsys) -> LakeNode:
    return make_node(tmp_path, capsys, load="persons")


def feed(node, deliveries):
    export = small_export(persons=deliveries)
    for number in range(1, deliveries + 1):
        node.export(
            {name: [row for row in rows if row["person_id"] == number] for name, rows in export.items()}
        )
        node.call("ingest", "lab")


def test_status_shows_tables_versions_releases_and_what_is_due(node):
    feed(node, 2)
    release = node.call("release", "lab")["release"]

    found = node.call("lake", "status", "lab")
    code, shown, _ = node.run("lake", "status")

    assert {table["table"] for table in found["tables"]} == set(small_export())
    assert {(table["version"], table["files"], table["small_files"]) for table in found["tables"]} == {
        (1, 2, 2)
    }
    assert [one["release"] for one in found["releases"]] == [release]
    assert code == 0
    assert "measurement" in shown
    assert f"releases that answer: {release}" in shown


def test_a_dry_run_changes_nothing(node):
    feed(node, 2)
    before = node.files()

    assert node.run("lake", "maintain", "--dry-run")[0] == 0
    assert node.files() == before


def test_an_ingest_does_what_is_due(node):
    feed(node, MANY_FILES)

    found = node.call("lake", "status", "lab")

    assert {table["files"] for table in found["tables"]} == {1}
    assert {table["unneeded_files"] for table in found["tables"]} == {0}
    assert "lake.maintained" in [entry["action"] for entry in node.call("audit", "list")]
    assert node.call("audit", "verify")["holds"]


def test_maintenance_after_an_ingest_can_be_turned_off(tmp_path, capsys):
    node = make_node(tmp_path, capsys, load="persons", more="\n[lake]\nmaintain = false\n")
    feed(node, MANY_FILES)

    assert {table["files"] for table in node.call("lake", "status", "lab")["tables"]} == {MANY_FILES}
    code, shown, _ = node.run("lake", "maintain")
    assert code == 0
    assert f"{MANY_FILES} → 1" in shown
    assert "nothing was due" in node.run("lake", "maintain")[1]


def test_an_unknown_dataset_is_named_with_its_nearest(node):
    code, _, error = node.run("lake", "status", "lap")

    assert code == 6
    assert "lab" in error
