"""Maintenance on real tables: rows stay, files become few and sorted, and no release loses a file."""

from datetime import timedelta

import duckdb
import pytest
from deltalake import DeltaTable

from atoll_node.errors import LakeError
from atoll_node.maintenance.rules import MANY_FILES, Work
from atoll_node.maintenance.work import maintain, state_of
from atoll_node.releases import Releases, ReleaseWithdrawn
from atoll_node.settings import LakeSettings
from atoll_node.tables.writer import sole_writer
from tests.support.hospital import Hospital, hospital, now, small_export
from tests.support.minio import running_minio


def with_many_deliveries(root, *, deliveries=MANY_FILES + 1, **settings) -> Hospital:
    """A feed of one person a day; each day leaves a file a table."""
    place = hospital(root, load="persons", **settings)
    export = small_export(persons=deliveries)
    for number in range(1, deliveries + 1):
        place.export(
            {name: [row for row in rows if row["person_id"] == number] for name, rows in export.items()}
        )
        place.ingest()
    return place


def rows(paths):
    return sorted(duckdb.read_parquet(list(paths)).fetchall(), key=repr)


def table_of(release, name="measurement"):
    return release.table(name)


def run(place, clock=now, **lake):
    node = place.node.model_copy(update={"lake": LakeSettings(**lake)})
    return maintain("lab", node=node, home=place.home, clock=clock)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A maintained lake, with the release before and the release after."""
    place = with_many_deliveries(tmp_path_factory.mktemp("lake") / "node")
    before = place.release()
    digests = {path: path.read_bytes() for path in files_of(place)}
    done = run(place)
    return place, before, done, place.release(), digests


def files_of(place):
    return set((place.home.root / "lake").rglob("*.parquet"))


def test_many_small_files_become_one(kept):
    _, before, done, after, _ = kept

    assert len(table_of(before).files) == MANY_FILES + 1
    assert len(table_of(after).files) == 1
    assert {work for table in done.tables for work in table.work} >= {Work.CLUSTER}


def test_rows_stay_what_they_are(kept):
    _, before, _, after, _ = kept

    for table in before.tables:
        assert rows(table.paths()) == rows(after.table(table.name).paths())


def test_rows_lie_by_person(kept):
    _, _, _, after, _ = kept
    persons = duckdb.read_parquet(list(table_of(after).paths())).project("person_id").fetchall()

    assert persons == sorted(persons)


def test_the_release_before_has_every_byte_that_it_had(kept):
    place, before, _, _, digests = kept

    for table in before.tables:
        for path in table.paths():
            assert any(str(file) == path and file.read_bytes() == digests[file] for file in files_of(place))
    assert Releases(place.home).load(before.name) == before


def test_delta_itself_reads_the_same_rows(kept):
    _, _, _, after, _ = kept
    table = table_of(after)

    assert DeltaTable(table.uri).to_pyarrow_table().num_rows == table.rows == 3 * (MANY_FILES + 1)


def test_maintenance_leaves_no_statistics(kept):
    place, *_ = kept

    for file in (place.home.root / "lake").rglob("_delta_log/*.json"):
        assert "minValues" not in file.read_text()


def test_a_second_run_has_nothing_to_do(kept):
    place, *_ = kept

    again = run(place)

    assert not [table for table in again.tables if table.work]


def test_the_feed_goes_on_after_maintenance(kept):
    place, *_ = kept
    place.export({name: rows[-3:] for name, rows in small_export(persons=MANY_FILES + 1, labs=1).items()})
    place.ingest()

    release = place.release()
    assert table_of(release, "person").rows == MANY_FILES + 1
    assert table_of(release).rows == 3 * (MANY_FILES + 1 - 3) + 3


def test_maintenance_does_not_make_known_files_unknown(tmp_path):
    place = with_many_deliveries(tmp_path / "node")
    run(place)

    assert not place.ingest().changed


def test_files_of_versions_without_a_release_are_removed(tmp_path):
    place = hospital(tmp_path / "node")
    for persons in (2, 3, 4):
        place.export(small_export(persons=persons))
        place.ingest()
        if persons == 2:
            first = place.release()
    orphan = tmp_path / "node" / "lake" / "lab" / "person" / "v00000009-dead-0.parquet"
    orphan.write_bytes(b"left by a writer that died")

    done = run(place)

    assert not orphan.exists()
    assert {table.table: table.removed for table in done.tables}["person"] == 2
    assert table_of(first).rows == 6
    assert len(rows(table_of(first).paths())) == 6


def test_a_release_that_is_old_and_followed_is_retired_with_its_files(tmp_path):
    place = hospital(tmp_path / "node")
    releases = []
    for persons in (2, 3):
        place.export(small_export(persons=persons))
        place.ingest()
        releases.append(place.release())

    def a_year_later():
        return now() + timedelta(days=366)

    done = run(place, a_year_later, keep_releases=1, keep_days=365)

    assert done.retired == ("lab-0001",)
    with pytest.raises(ReleaseWithdrawn) as gone:
        Releases(place.home).load("lab-0001")
    assert gone.value.successor == "lab-0002"
    assert Releases(place.home).latest("lab") == releases[1]
    with pytest.raises(duckdb.IOException):
        rows(table_of(releases[0]).paths())


def test_a_release_of_three_months_ago_answers_with_the_same_bytes(tmp_path):
    place = hospital(tmp_path / "node")
    place.export(small_export(persons=2))
    place.ingest()
    old = place.release()
    content = [path.read_bytes() for path in map(type(place.home.root), table_of(old).paths())]
    for persons in range(3, 14):
        place.export(small_export(persons=persons))
        place.ingest()
        place.release()
        run(place, lambda: now() + timedelta(days=92))

    kept = Releases(place.home).load(old.name)

    assert kept == old
    assert [path.read_bytes() for path in map(type(place.home.root), table_of(kept).paths())] == content


def test_a_checkpoint_is_written_after_many_commits(tmp_path):
    place = with_many_deliveries(tmp_path / "node", deliveries=MANY_FILES + 3)
    run(place)

    log = tmp_path / "node" / "lake" / "lab" / "person" / "_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))
    assert Work.CHECKPOINT not in run(place).tables[0].work


def test_the_state_says_what_will_be_done_and_changes_nothing(tmp_path):
    place = with_many_deliveries(tmp_path / "node")
    before = files_of(place)

    state = state_of("lab", node=place.node, home=place.home, clock=now)

    assert {table.name for table in state.tables} == set(small_export())
    assert all(len(table.small) == MANY_FILES + 1 for table in state.tables)
    assert files_of(place) == before


def test_maintenance_waits_for_no_writer(tmp_path):
    place = with_many_deliveries(tmp_path / "node", deliveries=1)

    with sole_writer(place.home.state.parent / "lab.lock"), pytest.raises(LakeError, match="another process"):
        run(place)


def test_tables_in_a_bucket_are_kept_alike(tmp_path):
    with running_minio(tmp_path / "minio") as server:
        store = server.store(tmp_path / "keys", prefix="kept")
        place = with_many_deliveries(tmp_path / "node", store=store)
        before = place.release()
        done = run(place)
        after = place.release()
        again = run(place, keep_releases=1, keep_days=0)

        names = {one.object_name for one in server.client.list_objects("atoll", "kept/", recursive=True)}
        parquet = {name for name in names if name.endswith(".parquet") and "_delta_log" not in name}

    assert {work for table in done.tables for work in table.work} >= {Work.CLUSTER}
    assert before.table("measurement").rows == after.table("measurement").rows
    assert again.retired == (before.name,)
    assert len(parquet) == len(after.tables), "one file a table is left"
