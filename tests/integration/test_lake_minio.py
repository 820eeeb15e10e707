"""Tables in a real S3 store hold what tables in a folder hold."""

import duckdb
import pytest
from deltalake import DeltaTable

from atoll_node.errors import LakeError, SettingsError
from atoll_node.tables.places import places_of
from tests.support.hospital import hospital, small_export
from tests.support.minio import BUCKET, running_minio
from tests.support.shared_data import shared


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


def in_s3(server, tmp_path, **settings):
    return hospital(
        tmp_path / "node", store=server.store(tmp_path / "keys", prefix=tmp_path.name), **settings
    )


def test_a_release_in_s3_equals_the_same_release_in_a_folder(server, tmp_path):
    remote, local = in_s3(server, tmp_path), hospital(tmp_path / "folder")
    for place in (remote, local):
        place.export(small_export())
        place.ingest()

    assert remote.release().content_digest == local.release().content_digest
    assert remote.release().table("person").uri == f"s3://{BUCKET}/{tmp_path.name}/lab/person"


def test_a_replay_against_s3_changes_nothing(server, tmp_path):
    place = in_s3(server, tmp_path)
    place.export(small_export())
    place.ingest()
    first = place.release()

    assert not place.ingest().changed
    assert place.release() == first


def test_changes_are_merged_in_s3(server, tmp_path):
    place = in_s3(server, tmp_path, load="changes")
    place.export(small_export(persons=2))
    place.ingest()
    place.export(small_export(persons=3))
    place.ingest()

    counts = {table.name: table.rows for table in place.release().tables}
    assert counts == {"person": 3, "observation_period": 3, "visit_occurrence": 3, "measurement": 9}


@pytest.mark.shared
def test_gibleed_has_equal_rows_in_a_folder_and_in_s3(server, tmp_path):
    settings = {"path": shared("gibleed"), "synthetic": True}
    remote, local = in_s3(server, tmp_path, **settings), hospital(tmp_path / "folder", **settings)
    for place in (remote, local):
        place.ingest()
    options = places_of(remote.home, remote.store).storage_options()

    there, here = remote.release(), local.release()

    assert there.content_digest == here.content_digest
    for table in here.tables:
        fetched = DeltaTable(there.table(table.name).uri, storage_options=options).to_pyarrow_table()
        stored = duckdb.read_parquet(list(table.paths())).to_arrow_table()
        both = duckdb.sql("SELECT * FROM fetched EXCEPT ALL SELECT * FROM stored").fetchall()
        assert both == []
        assert fetched.num_rows == stored.num_rows


def test_wrong_keys_are_a_clear_failure(server, tmp_path):
    place = in_s3(server, tmp_path)
    place.export(small_export())
    (tmp_path / "keys" / "secret").write_text("not-the-secret-key")

    with pytest.raises(LakeError) as failed:
        place.ingest()
    assert "not-the-secret-key" not in str(failed.value)


def test_a_key_file_that_others_may_read_is_refused(server, tmp_path):
    place = in_s3(server, tmp_path)
    (tmp_path / "keys" / "secret").chmod(0o644)

    with pytest.raises(SettingsError):
        places_of(place.home, place.store)


def test_keys_are_not_shown(server, tmp_path):
    place = in_s3(server, tmp_path)

    assert "atoll-test-secret" not in repr(places_of(place.home, place.store))
