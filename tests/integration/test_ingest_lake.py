"""The way in, end to end on this machine: files to tables to releases, replayed, killed, changed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.errors import LakeError, SettingsError
from atoll_node.ingest_report import last_ingest
from atoll_node.releases import Releases
from atoll_node.tables.writer import sole_writer
from tests.support.hospital import KEY, hospital, small_export
from tests.support.shared_data import shared

ROOT = Path(__file__).resolve().parents[2]
PSEUDONYMS = Pseudonyms(KEY, "atoll-a")


@pytest.fixture
def clinic(tmp_path):
    place = hospital(tmp_path / "node")
    place.export(small_export())
    return place


def rows(release, name):
    found = duckdb.read_parquet(list(release.table(name).paths()))
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def versions(place):
    return {table.name: table.version for table in place.release().tables}


def test_every_record_is_accounted_for(clinic):
    report = clinic.ingest()

    assert {table.table for table in report.tables} == set(small_export())
    for table in report.tables:
        assert table.read == table.written + table.quarantined + table.opted_out


def test_references_still_join_after_the_way_in(clinic):
    clinic.ingest()
    release = clinic.release()

    visits = {row["visit_occurrence_id"]: row["person_id"] for row in rows(release, "visit_occurrence")}
    labs = rows(release, "measurement")
    assert len(labs) == 12
    assert all(visits[lab["visit_occurrence_id"]] == lab["person_id"] for lab in labs)
    assert {lab["person_id"] for lab in labs} == {PSEUDONYMS.of(Kind.PERSON, n) for n in (1, 2, 3, 4)}


def test_the_same_files_again_change_nothing(clinic):
    first_report, first = clinic.ingest(), clinic.release()

    again, second = clinic.ingest(), clinic.release()

    assert first_report.changed
    assert not again.changed
    assert first == second


def test_changed_rows_replace_their_elders_and_double_nothing(clinic):
    clinic.ingest()
    before = clinic.release()
    export = small_export()
    export["measurement"][0]["value_as_number"] = 99.5

    clinic.export(export)
    report = clinic.ingest()
    after = clinic.release()

    assert {table.table for table in report.tables if table.changed} == {"measurement"}
    assert (before.name, after.name) == ("lab-0001", "lab-0002")
    assert len(rows(after, "measurement")) == len(rows(before, "measurement")) == 12
    assert 99.5 in {row["value_as_number"] for row in rows(after, "measurement")}
    assert 99.5 not in {row["value_as_number"] for row in rows(before, "measurement")}


def test_files_that_return_to_an_earlier_state_are_taken_again(clinic):
    clinic.ingest()
    clinic.release()
    clinic.export(small_export(persons=5))
    clinic.ingest()
    clinic.release()
    clinic.export(small_export())

    clinic.ingest()

    assert len(rows(clinic.release(), "person")) == 4


def test_a_table_that_a_full_export_no_longer_brings_is_emptied(clinic):
    clinic.ingest()
    export = small_export()
    del export["visit_occurrence"]

    clinic.export(export)
    clinic.ingest()

    release = clinic.release()
    assert release.table("visit_occurrence").rows == 0
    assert rows(release, "visit_occurrence") == []
    clinic.ingest()
    assert clinic.release() == release


def test_changes_are_merged_by_key(tmp_path):
    clinic = hospital(tmp_path / "node", load="changes")
    clinic.export(small_export(persons=2))
    clinic.ingest()
    export = small_export(persons=3)
    later = {name: table[-1:] for name, table in export.items()}
    later["measurement"] = [export["measurement"][0] | {"value_as_number": 77.0}, *export["measurement"][-3:]]

    clinic.export(later)
    clinic.ingest()
    release = clinic.release()

    assert len(rows(release, "person")) == 3
    assert len(rows(release, "measurement")) == 9
    assert sorted(row["value_as_number"] for row in rows(release, "measurement"))[-1] == 77.0
    clinic.export(small_export(persons=2))
    assert not clinic.ingest().changed


def test_changes_under_other_settings_are_refused(tmp_path):
    clinic = hospital(tmp_path / "node", load="changes")
    clinic.export(small_export())
    clinic.ingest()
    other = hospital(tmp_path / "node", load="changes", date_shift=False)
    other.export(small_export(persons=5))

    with pytest.raises(SettingsError, match="other settings"):
        other.ingest()


def test_persons_who_opt_out_leave_every_table(clinic):
    clinic.ingest()
    clinic.release()
    (clinic.home.root / "out.txt").write_text("# opted out\n2\n\n")
    later = hospital(clinic.home.root, opt_out_file=Path("out.txt"))

    report = later.ingest()
    release = later.release()

    gone = PSEUDONYMS.of(Kind.PERSON, 2)
    for table in release.tables:
        assert gone not in {row["person_id"] for row in rows(release, table.name)}
    counts = {table.table: (table.written, table.opted_out) for table in report.tables}
    assert counts["person"] == (3, 1)
    assert counts["measurement"] == (9, 3)


def test_an_unreadable_opt_out_list_stops_the_ingest(clinic):
    without = hospital(clinic.home.root, opt_out_file=Path("absent.txt"))

    with pytest.raises(SettingsError, match="opt-out list"):
        without.ingest()
    assert Releases(clinic.home).datasets() == ()


def test_an_opt_out_line_that_is_no_number_is_named_by_its_line_alone(clinic):
    (clinic.home.root / "out.txt").write_text("1\nMRN-SECRET\n")
    wrong = hospital(clinic.home.root, opt_out_file=Path("out.txt"))

    with pytest.raises(SettingsError) as refused:
        wrong.ingest()
    assert "line 2" in str(refused.value)
    assert "SECRET" not in str(refused.value)


def test_a_release_survives_later_ingests(clinic):
    clinic.ingest()
    first = clinic.release()
    clinic.export(small_export(persons=6))
    clinic.ingest()
    second = clinic.release()

    releases = Releases(clinic.home)
    assert len(rows(releases.load(first.name), "person")) == 4
    assert len(rows(releases.latest("lab"), "person")) == 6
    assert releases.list("lab") == (first, second)


def test_the_date_shift_keeps_stays_and_moves_days(clinic):
    clinic.ingest()
    release = clinic.release()

    for visit in rows(release, "visit_occurrence"):
        assert (visit["visit_end_date"] - visit["visit_start_date"]).days == 4
    assert "2016-02-01" not in {str(row["visit_start_date"]) for row in rows(release, "visit_occurrence")}
    assert release.date_shift


def test_the_delta_log_and_the_files_hold_nothing_of_the_source(clinic):
    clinic.ingest()
    clinic.release()

    for file in (clinic.home.root / "lake").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"MRN-" not in content
            assert b"export" not in content
            assert b".csv" not in content
            assert KEY not in content


def test_the_delta_log_keeps_no_minima_or_maxima(clinic):
    clinic.ingest()

    for file in (clinic.home.root / "lake").rglob("_delta_log/*.json"):
        assert "minValues" not in file.read_text()
        assert "maxValues" not in file.read_text()


def test_scratch_is_empty_afterwards(clinic):
    clinic.ingest()
    clinic.release()

    assert not any(file.is_file() for file in clinic.home.scratch.rglob("*"))


def test_two_writers_of_one_dataset_do_not_meet(clinic):
    lock = clinic.home.state.parent / "lab.lock"

    with sole_writer(lock), pytest.raises(LakeError, match="another process writes"):
        clinic.ingest()
    clinic.ingest()


def test_a_dataset_that_was_never_ingested_has_no_release(clinic):
    with pytest.raises(LakeError, match="never ingested"):
        clinic.release()


def test_a_readable_key_is_refused(clinic):
    clinic.home.pseudonym_key.chmod(0o644)

    with pytest.raises(SettingsError):
        clinic.ingest()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.hospital import hospital, now
from atoll_node.ingest import ingest
place = hospital(Path(sys.argv[1]))
done = []
def stop(report):
    done.append(report.table)
    if len(done) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
ingest(place.dataset, node=place.node, home=place.home, clock=now, written=stop)
"""


@pytest.mark.parametrize("tables", [1, 3])
def test_a_killed_ingest_is_finished_by_the_next_and_doubles_nothing(clinic, tables):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(clinic.home.root), str(tables)], cwd=ROOT, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(LakeError, match="never ingested"):
        last_ingest("lab", clinic.home)

    report = clinic.ingest()
    release = clinic.release()

    assert sum(not table.changed for table in report.tables) == tables
    assert set(versions(clinic).values()) == {0}
    assert len(rows(release, "measurement")) == 12
    fresh = hospital(clinic.home.root.parent / "other")
    fresh.export(small_export())
    fresh.ingest()
    assert fresh.release().content_digest == release.content_digest


def test_an_ingest_killed_at_any_moment_leaves_whole_tables(clinic):
    clinic.export(small_export(persons=3000, labs=9))
    running = "import sys; from pathlib import Path; from tests.support.hospital import hospital;"
    running += "hospital(Path(sys.argv[1])).ingest()"
    process = subprocess.Popen([sys.executable, "-c", running, str(clinic.home.root)], cwd=ROOT)
    lake = clinic.home.root / "lake"
    while process.poll() is None and not any(lake.rglob("*.parquet")):
        time.sleep(0.001)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)

    clinic.ingest()

    counts = {table.name: table.rows for table in clinic.release().tables}
    assert counts == {
        "person": 3000, "observation_period": 3000, "visit_occurrence": 3000, "measurement": 27000
    }  # fmt: skip


def test_a_release_pins_the_files_that_delta_itself_names(clinic):
    clinic.ingest()
    release = clinic.release()

    for table in release.tables:
        delta = DeltaTable(table.uri, version=table.version)
        assert sorted(Path(uri).name for uri in delta.file_uris()) == [file.path for file in table.files]
        assert delta.to_pyarrow_table().num_rows == table.rows


@pytest.mark.shared
def test_gibleed_keeps_every_row_and_its_known_defects(tmp_path):
    place = hospital(
        tmp_path / "node", path=shared("gibleed"), date_shift=False, cap_ages=False, synthetic=True
    )
    report = place.ingest()
    release = place.release()

    source = duckdb.read_parquet(str(shared("gibleed/measurement.parquet")))
    days = "measurement_date, measurement_concept_id, value_as_number"
    stored = duckdb.read_parquet(list(release.table("measurement").paths()))
    assert sorted(source.project(days).fetchall(), key=repr) == sorted(
        stored.project(days).fetchall(), key=repr
    )
    assert {table.table: table.written for table in report.tables}["condition_occurrence"] == 65_332
    checks = {entry.check: entry.passed for entry in release.quality}
    assert not checks["known_persons"]
    assert checks["unique_keys"]
    assert release.vocabulary_version == "v5.0 18-JAN-19"
