"""A person who is forgotten stands in no table, no file of any version, no quarantine, and stays away."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from atoll_node.bootstrap import open_node
from atoll_node.bootstrap.answering import open_stages
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.disclosure import LedgerStore
from atoll_node.erasure.identifiers import Forgotten, numbers_of, read_identifiers
from atoll_node.erasure.quarantine import purge
from atoll_node.errors import LakeError, SettingsError
from atoll_node.home import Home
from atoll_node.keys import read_pseudonym_key
from atoll_node.releases import Releases, ReleaseWithdrawn
from atoll_node.sources.rules import person_number, stable_number
from tests.support.hospital import small_export
from tests.support.lake_node import LakeNode, make_node
from tests.support.minio import BUCKET, running_minio
from tests.support.node_records import a_query, frozen_world

GONE = 2


def export_with_links(persons=4):
    """A small export, and rows that name a person only through another row or by number."""
    export = small_export(persons=persons)
    numbers = range(1, persons + 1)
    export["note"] = [
        {"note_id": 50 + n, "person_id": n, "note_date": "2016-02-01", "note_type_concept_id": 0,
         "note_class_concept_id": 0, "encoding_concept_id": 0, "language_concept_id": 0, "note_text": "x"}
        for n in numbers
    ]  # fmt: skip
    export["note_nlp"] = [
        {"note_nlp_id": 70 + n, "note_id": 50 + n, "lexical_variant": "x", "nlp_date": "2016-02-02"}
        for n in numbers
    ]
    export["cost"] = [
        {"cost_id": 80 + n, "cost_event_id": 100 + n, "cost_domain_id": "Visit", "cost_type_concept_id": 0}
        for n in numbers
    ]
    export["fact_relationship"] = [
        {"domain_concept_id_1": 56, "fact_id_1": n, "domain_concept_id_2": 56, "fact_id_2": 1,
         "relationship_concept_id": 5}
        for n in numbers
    ]  # fmt: skip
    return export


@pytest.fixture
def node(tmp_path, capsys) -> LakeNode:
    """Two releases; person 2 is in both, and one of their records lies in quarantine."""
    node = make_node(tmp_path, capsys)
    export = export_with_links()
    export["measurement"].append(export["measurement"][3] | {"measurement_date": "no day"})
    node.export(export)
    node.call("ingest", "lab")
    node.call("release", "lab")
    export["measurement"][0]["value_as_number"] = 77.0
    node.export(export)
    node.call("ingest", "lab")
    node.call("release", "lab")
    return node


def forget(node, *persons):
    listed = node.home.root / "gone.txt"
    listed.write_text("\n".join(map(str, persons)) + "\n")
    return node.call("forget", "--file", str(listed))


def pseudonyms_of(home: Home, kind: Kind, *numbers: int) -> set[int]:
    keyed = Pseudonyms(read_pseudonym_key(home), "atoll-a")
    return {keyed.of(kind, number) for number in numbers}


def numbers_in(files):
    """Return every whole number that stands in any column of the files."""
    found = set()
    for file in files:
        table = duckdb.read_parquet(str(file))
        for column, kind in zip(table.columns, table.types, strict=True):
            if str(kind) == "BIGINT":
                found |= {row[0] for row in table.project(f'"{column}"').fetchall()}
    return found


def of_the_person(home):
    return pseudonyms_of(home, Kind.PERSON, GONE) | pseudonyms_of(
        home, Kind.RECORD, 52, 72, 82, 102, *range(2000, 2003)
    )


def test_no_file_of_any_version_holds_the_person(node):
    assert of_the_person(node.home) & numbers_in(node.files())

    forget(node, GONE)

    assert not of_the_person(node.home) & numbers_in(node.files())
    others = pseudonyms_of(node.home, Kind.PERSON, 1, 3, 4)
    assert others <= numbers_in(node.files())


def test_everybody_else_keeps_every_row(node):
    forget(node, GONE)

    release = Releases(node.home).latest("lab")
    counts = {table.name: table.rows for table in release.tables}
    assert counts == {
        "person": 3, "observation_period": 3, "visit_occurrence": 3, "measurement": 9, "note": 3,
        "note_nlp": 3, "cost": 3, "fact_relationship": 3,
    }  # fmt: skip


def test_old_releases_are_withdrawn_and_name_their_successor(node):
    proof = forget(node, GONE)

    releases = Releases(node.home)
    assert proof["datasets"][0]["withdrawn"] == ["lab-0001", "lab-0002"]
    for name in ("lab-0001", "lab-0002"):
        with pytest.raises(ReleaseWithdrawn) as gone:
            releases.load(name)
        assert gone.value.successor == "lab-0003"
        assert "lab-0003" in gone.value.next_step
    assert releases.latest("lab").name == "lab-0003"


def test_a_release_from_before_the_person_came_goes_on_answering(tmp_path, capsys):
    node = make_node(tmp_path, capsys, load="persons")
    export = small_export()
    for number in (1, GONE):
        node.export(
            {name: [row for row in rows if row["person_id"] == number] for name, rows in export.items()}
        )
        node.call("ingest", "lab")
        node.call("release", "lab")
    first = Releases(node.home).load("lab-0001")

    proof = forget(node, GONE)

    assert proof["datasets"][0]["withdrawn"] == ["lab-0002"]
    assert Releases(node.home).load("lab-0001") == first
    assert all(Path(path).exists() for table in first.tables for path in table.paths())


def test_the_proof_holds_nobody_s_number(node):
    proof = forget(node, GONE)

    text = (node.home.proofs / f"{proof['id']}.json").read_text()
    assert json.loads(text) == proof
    for number in of_the_person(node.home):
        assert str(number) not in text
    assert all(table["rows_found_afterwards"] == 0 for table in proof["datasets"][0]["tables"])
    assert {table["table"] for table in proof["datasets"][0]["tables"]} >= {"person", "note_nlp", "cost"}
    assert proof["persons_asked"] == 1


def test_their_records_leave_quarantine_and_others_stay(node):
    kept = list(node.home.quarantine.rglob("*.jsonl"))
    before = [json.loads(line) for file in kept for line in file.read_text().splitlines()]

    proof = forget(node, GONE)

    after = [json.loads(line) for file in kept for line in file.read_text().splitlines()]
    assert proof["quarantine_records_removed"] == len(before) - len(after) == 2
    assert all(entry["values"]["person_id"] != "2" for entry in after)


def test_later_ingests_leave_the_person_out(node):
    forget(node, GONE)
    node.export(export_with_links(persons=5))

    report = node.call("ingest", "lab")

    assert {table["table"]: table["opted_out"] for table in report["tables"]}["person"] == 1
    assert not of_the_person(node.home) & numbers_in(node.files())
    assert pseudonyms_of(node.home, Kind.PERSON, 5) <= numbers_in(node.files())


def test_a_feed_of_persons_leaves_the_person_out_too(tmp_path, capsys):
    node = make_node(tmp_path, capsys, load="persons")
    node.call("ingest", "lab")
    forget(node, GONE)
    node.export(small_export(persons=5))

    node.call("ingest", "lab")

    assert not pseudonyms_of(node.home, Kind.PERSON, GONE) & numbers_in(node.files())
    assert pseudonyms_of(node.home, Kind.PERSON, 5) <= numbers_in(node.files())


def test_it_is_on_record_without_the_person(node):
    proof = forget(node, GONE)

    entries = node.call("audit", "list")
    assert [entry["action"] for entry in entries][-1] == "person.forgotten"
    assert entries[-1]["subject"] == proof["id"]
    assert [entry["subject"] for entry in entries if entry["action"] == "release.withdrawn"] == [
        "lab-0001", "lab-0002",
    ]  # fmt: skip
    assert node.call("audit", "verify")["holds"]


def test_somebody_unknown_is_kept_away_and_nothing_else_changes(node):
    before = node.files()

    proof = forget(node, 999)

    assert proof["datasets"][0]["withdrawn"] == []
    assert node.files() == before
    assert Forgotten(node.home.forgotten).seals()


def test_the_same_list_again_finds_nothing_more(node):
    forget(node, GONE)
    before = node.files()

    again = forget(node, GONE)

    assert again["datasets"][0]["withdrawn"] == []
    assert again["quarantine_records_removed"] == 0
    assert node.files() == before


def test_a_withdrawn_release_is_refused_with_its_successor(node):
    forget(node, GONE)
    stages = open_stages(open_node(node.home, frozen_world(node.clock)))

    with pytest.raises(ReleaseWithdrawn):
        stages.release_of(a_query("lab").model_copy(update={"release": "lab-0001"}))
    assert stages.release_of(a_query("lab")).name == "lab-0003"
    named = a_query("lab").model_copy(update={"release": "lab-0003"})
    assert stages.release_of(named) is stages.release_of(a_query("lab"))
    assert stages.release_of(a_query("other")) is None
    with pytest.raises(LakeError, match="no release of this name"):
        stages.release_of(a_query("lab").model_copy(update={"release": "lab-0009"}))


def test_a_run_that_died_before_its_files_went_is_finished_by_the_next(node):
    """The rows are out and the new release is cut; the old releases and their files are still there."""
    releases = Releases(node.home)
    old = {
        path
        for name in releases.names("lab")
        for table in releases.load(name).tables
        for path in table.paths()
    }
    content = {path: Path(path).read_bytes() for path in old}
    forget(node, GONE)
    for name in ("lab-0001", "lab-0002"):
        (node.home.releases / "lab" / f"{name}.withdrawn.json").unlink()
    for path, held in content.items():
        Path(path).write_bytes(held)

    proof = forget(node, GONE)

    assert proof["datasets"][0]["withdrawn"] == ["lab-0001", "lab-0002"]
    assert not of_the_person(node.home) & numbers_in(node.files())


def test_what_a_writer_that_died_left_goes_unread(node):
    (node.home.root / "lake" / "lab" / "person" / "v9-dead-0.parquet").write_bytes(b"PAR1 no more")

    forget(node, GONE)

    assert not (node.home.root / "lake" / "lab" / "person" / "v9-dead-0.parquet").exists()


def test_the_ledger_counts_a_stranger_in_the_person_s_place(node):
    keyed = sorted(pseudonyms_of(node.home, Kind.PERSON, 1, GONE, 3))
    ledger = LedgerStore(node.home.state)
    ledger.keep("P-1", "lab", np.array(keyed, np.int64), ())

    proof = forget(node, GONE)

    members = set(next(iter(ledger.recall("P-1"))).members.tolist())
    ledger.close()
    assert proof["ledger_cohorts_changed"] == 1
    assert len(members) == 3
    assert members & set(keyed) == pseudonyms_of(node.home, Kind.PERSON, 1, 3)


def test_an_empty_list_is_refused(node):
    listed = node.home.root / "nobody.txt"
    listed.write_text("# nobody\n\n")

    code, _, error = node.run("forget", "--file", str(listed))
    assert (code, error.split(":")[0]) == (2, "forget.nobody")
    assert node.run("forget", "--file", str(node.home.root / "absent.txt"))[0] == 2


def test_a_damaged_list_of_the_forgotten_stops_an_ingest(node):
    node.home.forgotten.write_text("[1")
    node.export(small_export(persons=6))

    code, _, error = node.run("ingest")
    assert code == 1
    assert "forget.list" in error


def test_identifiers_are_lines():
    assert read_identifiers("\ufeff# list\n A-1 \n\nA-1\n7\n") == ("A-1", "7")
    with pytest.raises(SettingsError):
        read_identifiers("\n")


def test_an_identifier_stands_for_the_number_of_either_kind_of_source():
    assert numbers_of(["7"]) == {7, person_number("7")}
    assert numbers_of(["MRN-7"]) == {person_number("MRN-7")}
    assert numbers_of(["9" * 30]) == {person_number("9" * 30)}
    statement = f"SELECT {stable_number(chr(39) + 'person|MRN-7' + chr(39))}"
    assert duckdb.sql(statement).fetchone() == (person_number("MRN-7"),)


@pytest.mark.parametrize(
    ("entry", "goes"),
    [
        ({"values": {"person_id": "2", "x": "5"}}, True),
        ({"values": {"Person_ID": " 2 "}}, True),
        ({"values": {"person_id": "5", "x": "2"}}, False),
        ({"values": {"mrn": "2", "x": None}}, True),
        ({"values": {"mrn": "22"}}, False),
        ({"text": "9;2;x"}, True),
        ({"text": '9,"2",x'}, True),
        ({"text": "9;22;x"}, False),
    ],
)
def test_a_kept_record_goes_when_it_may_be_about_the_person(tmp_path, entry, goes):
    file = tmp_path / "lab" / "b" / "person.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(entry) + "\n")

    assert purge(tmp_path, ["2"]) == int(goes)
    assert bool(file.read_text()) is not goes
    assert not list(tmp_path.rglob("*.draft"))


def test_a_versioning_bucket_keeps_nothing_of_the_person(tmp_path, capsys):
    with running_minio(tmp_path / "minio") as server:
        server.client.set_bucket_versioning(BUCKET, VersioningConfig(ENABLED))
        store = server.store(tmp_path / "keys", prefix="kept")
        more = (
            f'\n[store]\nkind = "s3"\nendpoint = "{store.endpoint}"\nbucket = "{BUCKET}"\nprefix = "kept"\n'
            f'access_key_file = "{store.access_key_file}"\nsecret_key_file = "{store.secret_key_file}"\n'
        )
        node = make_node(tmp_path, capsys, more=more)
        node.call("ingest", "lab")
        node.call("release", "lab")

        proof = forget(node, GONE)

        found = server.client.list_objects(BUCKET, "kept/lab/", recursive=True, include_version=True)
        kept = [one for one in found if one.object_name.endswith(".parquet")]
        files = [tmp_path / f"{number}.parquet" for number in range(len(kept))]
        for one, file in zip(kept, files, strict=True):
            assert not one.is_delete_marker
            server.client.fget_object(BUCKET, one.object_name, str(file), version_id=one.version_id)
    assert proof["datasets"][0]["successor"] == "lab-0002"
    assert not of_the_person(node.home) & numbers_in(files)
    assert pseudonyms_of(node.home, Kind.PERSON, 1, 3, 4) <= numbers_in(files)
