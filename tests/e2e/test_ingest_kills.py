"""A node's ingest is killed (SIGKILL) half-way: the next one finishes, and no table is doubled."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.federation import PATIENCE, Federation, is_alive, soon
from tests.support.federation_exports import dataset_toml, registry, write_export

pytestmark = pytest.mark.e2e
SITE = "harbour"
FIRST, SECOND = 30_000, 31_000
TABLES = ("person", "observation_period", "condition_occurrence", "measurement", "trial_subject")


@pytest.fixture(scope="module")
def arrivals(started: Federation, exports) -> Iterator[Path]:
    """Give one hospital a further dataset: its settings and its first export."""
    folder = exports.files / SITE / "arrivals"
    settings = started.nodes[SITE].home / "atoll-node.toml"
    before = settings.read_text()
    settings.write_text(f"{before}\n{dataset_toml('arrivals', folder, exports.mapping, synthetic=True)}")
    yield folder
    settings.write_text(before)


def start_ingest(federation: Federation) -> "subprocess.Popen[bytes]":
    return federation.nodes[SITE].begin("ingest", "arrivals")


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    assert process.wait(PATIENCE) == -signal.SIGKILL, "it was killed, it had not ended"
    assert not is_alive(process.pid)


def versions(federation: Federation) -> dict[str, int]:
    """Count the commits of each table of the dataset."""
    lake = federation.nodes[SITE].home / "lake" / "arrivals"
    return {table.parent.name: len(list(table.glob("*.json"))) for table in lake.glob("*/_delta_log")}


def rows(federation: Federation) -> dict[str, int]:
    """Return the rows of each table in the newest release."""
    return {table["name"]: table["rows"] for table in federation.releases(SITE, "arrivals")[-1]["tables"]}


def persons(federation: Federation) -> int:
    result = federation.count("arrivals").result(timeout=PATIENCE)
    assert (result.headline, result.state) == ("1 of 1 sites", "complete")
    return int(result.contract.merged.persons.value)


def finish(federation: Federation, patients: int) -> None:
    """Ingest to the end and release; check that every table holds each record once."""
    report = federation.nodes[SITE].call("ingest", "arrivals")
    for table in report["tables"]:
        assert table["read"] == table["written"] + table["quarantined"] + table["opted_out"]
    release = federation.nodes[SITE].call("release", "arrivals")
    assert {check["check"]: check["passed"] for check in release["quality"]}["unique_keys"]
    found = rows(federation)
    assert {name: found[name] for name in TABLES} == dict.fromkeys(TABLES, patients)
    soon(lambda: (SITE, release["release"]) in federation.offered(), "the release is in the catalog")


def ingests_on_record(federation: Federation) -> int:
    return federation.decisions_at_node(SITE)["ingest.completed", "arrivals"]


def test_an_ingest_killed_while_it_reads_leaves_nothing_that_can_be_released(federation, arrivals):
    write_export(arrivals, registry("arrivals", FIRST), prefix="A")
    scratch = federation.nodes[SITE].home / "scratch" / "arrivals"
    ingest = start_ingest(federation)
    soon(lambda: scratch.is_dir() and any(scratch.iterdir()), "the first staged file")
    kill(ingest)
    assert not versions(federation)
    assert federation.nodes[SITE].cli("release", "arrivals", check=False).code != 0
    assert ingests_on_record(federation) == 0


def test_an_ingest_killed_between_two_tables_is_finished_by_the_next(federation, arrivals):
    ingest = start_ingest(federation)
    soon(lambda: versions(federation), "the first table's commit")
    kill(ingest)
    half = versions(federation)
    assert 0 < len(half) < len(TABLES) + 1, "some tables are there, others are not"
    finish(federation, FIRST)
    assert set(versions(federation).values()) == {1}, "no table was written twice"
    assert persons(federation) == FIRST
    assert ingests_on_record(federation) == 1
    federation.assert_chains_hold(SITE)


def test_the_same_files_again_change_nothing(federation, arrivals):
    before = versions(federation)
    assert federation.nodes[SITE].call("ingest", "arrivals")["changed"] is False
    assert versions(federation) == before
    assert len(federation.releases(SITE, "arrivals")) == 1


def test_a_release_answers_as_before_while_a_new_export_dies_half_way(federation, arrivals):
    write_export(arrivals, registry("arrivals", SECOND), prefix="A")
    ingest = start_ingest(federation)
    soon(lambda: max(versions(federation).values()) == 2, "the first table's new version")
    kill(ingest)
    assert Counter(versions(federation).values())[1] > 0, "some tables are still as they were"
    assert persons(federation) == FIRST, "the release before is still what answers"
    finish(federation, SECOND)
    assert set(versions(federation).values()) == {2}
    assert persons(federation) == SECOND
    federation.assert_chains_hold(SITE)
