"""Corrections, deletions and replays of a feed: rows are replaced, not doubled; known files are not read."""

from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.errors import LakeError, SettingsError
from atoll_node.ingest import ingest, release
from atoll_node.ingest_report import IngestReport, WriteProgress, finished_ingest, keep_report, last_ingest
from atoll_node.sources import stage
from tests.support.hospital import KEY, Hospital, hospital, now, small_export

PSEUDONYMS = Pseudonyms(KEY, "atoll-a")


@pytest.fixture
def feed(tmp_path) -> Hospital:
    """A dataset that takes whole persons, with six of them in it."""
    place = hospital(tmp_path / "node", load="persons")
    place.export(small_export(persons=6))
    place.ingest()
    return place


def of_person(export, *numbers):
    """Return the part of an export that is about these persons."""
    return {
        name: kept
        for name, table in export.items()
        if (kept := [row for row in table if row["person_id"] in numbers])
    }


def rows(place, name):
    found = duckdb.read_parquet(list(place.release().table(name).paths()))
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def files(place):
    return set((place.home.root / "lake").rglob("*.parquet"))


def test_a_corrected_person_replaces_all_their_rows_and_nobody_else_s(feed):
    later = of_person(small_export(persons=6, labs=5), 2)
    feed.export(later)
    feed.ingest()

    labs = rows(feed, "measurement")
    two = PSEUDONYMS.of(Kind.PERSON, 2)
    assert len(labs) == 5 * 3 + 5
    assert sum(lab["person_id"] == two for lab in labs) == 5


def test_rows_that_a_delivery_of_a_person_no_longer_has_are_gone(feed):
    later = of_person(small_export(persons=6), 2, 3)
    later["measurement"] = [row for row in later["measurement"] if row["person_id"] == 3]
    feed.export(later)
    feed.ingest()

    labs = rows(feed, "measurement")
    assert len(labs) == 5 * 3
    assert PSEUDONYMS.of(Kind.PERSON, 2) not in {lab["person_id"] for lab in labs}
    assert len(rows(feed, "person")) == 6


def test_a_row_that_moved_to_another_person_stands_once(feed):
    later = of_person(small_export(persons=6), 5)
    moved = small_export(persons=6)["measurement"][0] | {"person_id": 5, "visit_occurrence_id": 105}
    later["measurement"].append(moved)
    feed.export(later)
    feed.ingest()

    labs = rows(feed, "measurement")
    assert len(labs) == len({lab["measurement_id"] for lab in labs}) == 18


def test_notes_terms_go_with_the_notes_that_are_gone(feed):
    export = of_person(small_export(persons=6), 1, 2)
    export["note"] = [
        {"note_id": 10 + n, "person_id": n, "note_date": "2016-02-01", "note_type_concept_id": 0,
         "note_class_concept_id": 0, "encoding_concept_id": 0, "language_concept_id": 0, "note_text": "x"}
        for n in (1, 2)
    ]  # fmt: skip
    export["note_nlp"] = [
        {"note_nlp_id": 20 + n, "note_id": 10 + n, "lexical_variant": "x", "nlp_date": "2016-02-02"}
        for n in (1, 2)
    ]
    feed.export(export)
    feed.ingest()
    assert len(rows(feed, "note_nlp")) == 2
    later = of_person(small_export(persons=6), 1)
    later["note"] = [export["note"][0] | {"note_id": 99}]
    later["note_nlp"] = [export["note_nlp"][0] | {"note_nlp_id": 98, "note_id": 99}]

    feed.export(later)
    feed.ingest()

    assert len(rows(feed, "note")) == 2
    assert len(rows(feed, "note_nlp")) == 2


def test_a_delivery_rewrites_only_the_files_that_hold_its_rows(feed):
    export = small_export(persons=8)
    feed.export(of_person(export, 7, 8))
    feed.ingest()
    first, second = {file.path for file in feed.release().table("measurement").files}, files(feed)

    feed.export(of_person(export, 7))
    feed.ingest()

    table = feed.release().table("measurement")
    assert len(first) == 2
    assert len({file.path for file in table.files} & first) == 1
    assert second <= files(feed), "the older versions' files stay for their releases"
    assert sorted(path.rpartition("/")[2] for path in DeltaTable(table.uri).file_uris()) == sorted(
        file.path for file in table.files
    )


def test_the_same_delivery_again_changes_nothing(feed):
    feed.export(of_person(small_export(persons=6), 2))
    feed.ingest()
    before = files(feed)
    feed.export(of_person(small_export(persons=6), 3))
    feed.ingest()
    feed.export(of_person(small_export(persons=6), 2))

    assert not feed.ingest().changed
    assert files(feed) >= before


def test_whole_persons_and_an_opt_out_list_do_not_go_together(tmp_path):
    place = hospital(tmp_path / "node", load="persons", opt_out_file=Path("out.txt"))
    place.export(small_export())

    with pytest.raises(SettingsError, match="opt-out"):
        place.ingest()


@pytest.fixture
def clinic(tmp_path) -> Hospital:
    place = hospital(tmp_path / "node")
    export = small_export()
    export["person"].append(export["person"][0])
    place.export(export)
    return place


def counting(calls):
    """Return the source stage, which notes how many tables it read."""

    def staged(dataset, **settings):
        found = stage(dataset, **settings)
        calls.append(len(found.tables))
        return found

    return staged


def ingest_counted(place, calls) -> IngestReport:
    return ingest(place.dataset, node=place.node, home=place.home, clock=now, stage=counting(calls))


def test_known_files_are_not_read_again(clinic):
    calls = []
    first = ingest_counted(clinic, calls)
    before = files(clinic)
    again = ingest_counted(clinic, calls)

    assert calls == [4, 0]
    assert files(clinic) == before
    assert first.changed
    assert not again.changed
    assert [t.written for t in again.tables] == [t.written for t in first.tables]
    assert [t.quarantined for t in again.tables] == [1, 0, 0, 0]


def test_what_lies_in_quarantine_is_told_again(clinic):
    seen = []

    def staged(dataset, **settings):
        seen.append(stage(dataset, **settings))
        return seen[-1]

    for _ in range(2):
        ingest(clinic.dataset, node=clinic.node, home=clinic.home, clock=now, stage=staged)

    assert seen[1].known
    assert seen[1].quarantined == seen[0].quarantined
    assert len(seen[0].quarantined) == 1


def test_other_settings_make_known_files_unknown(clinic):
    calls = []
    ingest_counted(clinic, calls)
    other = hospital(clinic.home.root, date_shift_days=90)

    assert ingest_counted(other, calls).changed
    assert calls == [4, 4]


def test_an_opt_out_makes_known_files_unknown(clinic):
    calls = []
    listed = hospital(clinic.home.root, opt_out_file=Path("out.txt"))
    (clinic.home.root / "out.txt").write_text("# nobody\n")
    ingest_counted(listed, calls)
    (clinic.home.root / "out.txt").write_text("# nobody\n3\n")

    assert ingest_counted(listed, calls).changed
    assert calls == [4, 4]


def test_files_are_read_again_when_a_table_holds_another_batch(clinic):
    calls = []
    first = ingest_counted(clinic, calls)
    clinic.export(small_export(persons=5))
    ingest_counted(clinic, calls)
    keep_report(first, clinic.home)  # as if the second ingest had died before its end
    export = small_export()
    export["person"].append(export["person"][0])
    clinic.export(export)

    assert ingest_counted(clinic, calls).changed
    assert calls == [4, 4, 4]
    assert len(rows(clinic, "person")) == 4


def test_tables_of_an_ingest_that_did_not_end_are_not_released(clinic):
    first = clinic.ingest()
    clinic.release()
    clinic.export(small_export(persons=5))
    clinic.ingest()
    keep_report(first, clinic.home)

    with pytest.raises(LakeError, match="did not end"):
        release(clinic.dataset, node=clinic.node, home=clinic.home, clock=now)


def test_a_damaged_report_is_no_finished_ingest(clinic):
    clinic.ingest()
    (clinic.home.state.parent / "lab.ingest.json").write_text("{}")

    assert finished_ingest("lab", clinic.home) is None
    with pytest.raises(LakeError, match="damaged"):
        last_ingest("lab", clinic.home)
    clinic.ingest()
    assert finished_ingest("lab", clinic.home) is not None


def test_writing_tells_how_far_it_is(clinic):
    told: list[WriteProgress] = []
    ingest(clinic.dataset, node=clinic.node, home=clinic.home, clock=now, writing=told.append)

    assert {event.table for event in told} == set(small_export())
    assert all(0 <= event.rows <= event.rows_total and event.rows_per_second >= 0 for event in told)


def test_tables_say_in_their_log_that_no_statistics_are_kept(clinic):
    clinic.ingest()

    for table in clinic.release().tables:
        settings = DeltaTable(table.uri).metadata().configuration
        assert settings["delta.dataSkippingNumIndexedCols"] == "0"
