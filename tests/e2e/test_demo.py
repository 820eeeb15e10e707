"""The demo is run as a newcomer runs it, and every figure that it shows is computed once more."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atoll_schemas.audit import AuditEntry, flaws, head_of
from atoll_schemas.results import MergedCount, MergedKaplanMeier, MergedTable1, Result, StratifiedLogRank
from demo.make_data import DATA, DEFECTS, SITES
from tests.e2e.plain_figures import COLON_ARMS, followed_in_demo, log_rank
from tests.support.federation import is_alive, soon

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
EXACT = 1e-9
SECONDS = 240
CHAPTERS = (
    *("checks", "hub", "sites", "notes", "ingest", "quarantine", "releases", "catalog", "refused"),
    *("permits", "count", "table1", "kaplan_meier", "absence", "outbound", "audit", "seconds", "files"),
)


def begin(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start the demo as a terminal does: in a process group of its own that hears Ctrl-C.

    A shell that runs these tests in the background ignores Ctrl-C, and so would what it starts.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def processes_of(out: Path) -> list[int]:
    """Return the processes whose home folders lie below ``out``: the demo names them in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(out).encode() in environment and is_alive(int(folder.name)):
            found.append(int(folder.name))
    return found


@dataclass(frozen=True)
class Told:
    """What one run of the demo printed and left."""

    out: Path
    code: int
    document: dict[str, Any]
    left_running: list[int]
    stopped_earlier: tuple[int, list[int], int]
    """Of the run before, stopped half-way: exit code, what it left running, and how much ran until then."""

    def result(self, name: str) -> Result:
        return Result.model_validate(self.document[name])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Stop a first run by Ctrl-C while hospitals ingest, then run to the end in the same folder."""
    out = tmp_path_factory.mktemp("demo") / "out"
    stopped = _stopped_half_way(out)
    run = begin("--json", "--out", str(out))
    try:
        output, errors = run.communicate(timeout=SECONDS)
    finally:
        _end(run)
    assert output, errors
    return Told(out, run.returncode, json.loads(output), processes_of(out), stopped)


def _stopped_half_way(out: Path, number: signal.Signals = signal.SIGINT) -> tuple[int, list[int], int]:
    run = begin("--json", "--out", str(out))
    try:
        soon(lambda: list(out.glob("*/node/lake")), "a hospital writes tables", seconds=SECONDS)
        ran = len(processes_of(out))
        # A terminal sends Ctrl-C to everything in the foreground, the commands that the demo runs included.
        os.killpg(run.pid, number)
        run.communicate(timeout=30)
    finally:
        _end(run)
    return run.returncode, processes_of(out), ran


def _end(run: "subprocess.Popen[bytes]") -> None:
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def test_ctrl_c_half_way_leaves_no_process_behind(told):
    code, left, ran = told.stopped_earlier
    assert ran >= 2, "the hub and at least one hospital's command ran"
    assert left == []
    assert code == 130


def test_a_closed_terminal_leaves_no_process_behind_either(tmp_path):
    code, left, ran = _stopped_half_way(tmp_path / "out", signal.SIGHUP)
    assert ran >= 2, "the hub and at least one hospital's command ran"
    assert left == []
    assert code == 130


def test_it_runs_to_its_end_over_what_an_interrupted_run_left(told):
    assert "failed" not in told.document, told.document.get("failed")
    assert told.code == 0
    assert set(CHAPTERS) <= set(told.document)
    assert told.left_running == []
    assert told.document["seconds"] < 120


def test_three_hospitals_say_where_their_patients_come_from(told):
    assert told.document["sites"] == list(SITES)
    assert any("seeded draw" in note for note in told.document["notes"])


def test_every_record_is_accounted_for_and_the_planted_defects_are_in_quarantine(told):
    for site in SITES:
        reports = told.document["ingest"][site]
        assert [report["dataset"] for report in reports] == ["colon", "lung"]
        for report in reports:
            for table in report["tables"]:
                assert table["read"] == table["written"] + table["quarantined"] + table["opted_out"]
            records = {(one["file"], one["record"]) for one in report["quarantined"]}
            assert len(records) == len(DEFECTS[report["dataset"]])
    reasons = [one["reason"] for one in told.document["quarantine"]]
    assert all(reasons)
    persons = [
        table["written"]
        for site in SITES
        for report in told.document["ingest"][site]
        for table in report["tables"]
        if table["table"] == "person"
    ]
    assert sum(persons) == 929 + 228


def test_only_metadata_left_before_the_first_question_and_that_was_refused(told):
    assert told.document["catalog"]["datasets"] == ["colon", "lung"]
    assert told.document["catalog"]["kilobytes"] > 0
    assert told.document["refused"]["code"] == "permit.missing"
    assert [(one["site"], one["decision"]) for one in told.document["permits"]] == [
        (site, "approved") for site in SITES
    ]


def colon() -> list[dict[str, str]]:
    with (DATA / "colon.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["etype"] == "2"]


def assert_within(cell: Any, truth: int) -> None:
    assert cell.kind == "pooled"
    assert cell.withheld == 0
    assert abs(cell.value - truth) <= cell.half_width, (cell, truth)


def test_the_count_holds_the_trials_patients_within_its_half_width(told):
    merged = told.result("count").merged
    assert isinstance(merged, MergedCount)
    assert_within(merged.attrition[0].persons, 929)
    stage3 = [row for row in colon() if row["nodes"] not in ("", "0") and row["extent"] in ("3", "4")]
    assert_within(merged.persons, len(stage3))


def test_table_1_describes_the_trials_patients(told):
    merged = told.result("table1").merged
    assert isinstance(merged, MergedTable1)
    assert_within(merged.persons, 929)
    (sex,) = (one for one in merged.summaries if one.variable == "sex")
    shown = {cell.levels: cell.persons for cell in sex.table.cells}
    for level, code in (("male", "1"), ("female", "0")):
        assert_within(shown[level, "*"], sum(row["sex"] == code for row in colon()))


def test_the_log_rank_test_is_the_one_of_the_pooled_files_stratified_by_site(told):
    result = told.result("kaplan_meier")
    assert isinstance(result.merged, MergedKaplanMeier)
    found = result.merged.log_rank
    assert isinstance(found, StratifiedLogRank)
    assert found.groups == tuple(COLON_ARMS.values())
    exports = told.out / "work" / "hospitals"
    strata = [followed_in_demo(exports, site, "colon") for site in SITES]
    assert sum(map(len, strata)) == 929
    expected = log_rank(strata, COLON_ARMS)
    assert found.observed == (168, 161, 123), "the deaths that the trial published, whatever the strata"
    np.testing.assert_allclose(found.observed, expected.observed, atol=EXACT)
    np.testing.assert_allclose(found.expected, expected.expected, rtol=EXACT)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=EXACT)
    assert found.chi_square == pytest.approx(expected.chi_square, rel=EXACT)
    assert sorted(found.sites) == sorted(SITES)


def test_two_of_three_sites_say_so_and_the_third_catches_up(told):
    absence = told.document["absence"]
    assert (absence["partial"], absence["whole"]) == ("2 of 3 sites", "3 of 3 sites")


def test_no_patients_row_left_the_hospitals(told):
    outbound = told.document["outbound"]
    assert outbound["patient_rows"] == 0
    assert outbound["values_searched_for"] > 929 + 228
    assert outbound["bytes"] == sum(one["bytes"] for one in outbound["by_reason"])
    assert outbound["messages"] == sum(one["messages"] for one in outbound["by_reason"])
    assert {one["site"] for one in outbound["by_reason"]} == set(SITES)


def test_the_files_are_there_and_can_be_read(told):
    svg = ElementTree.parse(told.out / "km.svg").getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert Result.model_validate_json((told.out / "result.json").read_text()) == told.result("kaplan_meier")
    with (told.out / "result.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["site"] for row in rows} >= set(SITES)


def test_the_audit_chains_on_disk_hold(told):
    chains: dict[str, list[AuditEntry]] = defaultdict(list)
    for line in (told.out / "audit.jsonl").read_text(encoding="utf-8").splitlines():
        content = json.loads(line)
        chains[content.pop("chain")].append(AuditEntry.model_validate(content))
    assert {name: len(entries) for name, entries in chains.items()} == told.document["audit"]
    assert set(chains) == {"hub", *SITES}
    for entries in chains.values():
        assert flaws(entries, head_of(entries[-1])) == []


def test_a_busy_port_ends_it_with_the_fix(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = begin("--json", "--out", str(tmp_path / "out"), "--port", port)
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    failed = json.loads(output)["failed"]
    assert port in failed["cause"]
    assert "--port" in failed["fix"]
