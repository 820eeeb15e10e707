"""A release is written once, keeps its meaning, and says when somebody changed it."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.release import PinnedFile, PinnedTable, Release
from atoll_node.releases import Releases, content_digest
from atoll_schemas.catalog import QualityEntry

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def draft(*, version=0, uri="/lake/colon/person", **changes):
    file = PinnedFile(path=f"v{version:08d}-0.parquet", bytes=10, rows=3)
    pinned = PinnedTable(name="person", uri=uri, version=version, rows=3, files=(file,))
    facts = {"name": "draft", "site": "atoll-a", "dataset": "colon", "created_at": NOW, "content_digest": ""}
    return Release(tables=(pinned,), **(facts | changes))


@pytest.fixture
def releases(tmp_path):
    return Releases(Home(tmp_path))


def test_names_grow(releases):
    names = [releases.freeze(draft(version=version)).name for version in range(3)]

    assert names == ["colon-0001", "colon-0002", "colon-0003"]
    assert releases.names("colon") == tuple(names)
    assert releases.latest("colon").name == "colon-0003"


def test_the_same_versions_are_the_same_release(releases):
    first = releases.freeze(draft())

    assert releases.freeze(draft(created_at=NOW + timedelta(days=1))) == first
    assert releases.names("colon") == ("colon-0001",)


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"date_shift": True}, {"synthetic": True}, {"vocabulary_version": "v5.0"}]
)
def test_what_decides_an_answer_is_digested(changes):
    assert content_digest(draft()) != content_digest(draft(**changes))


def test_place_time_and_quality_are_not_digested():
    entry = QualityEntry(check="unique_keys", description="…", passed=True, severity="info")

    moved = draft(uri="s3://b/colon/person", created_at=NOW + timedelta(1), quality=(entry,))

    assert content_digest(draft()) == content_digest(moved)


def test_a_release_reads_back_as_it_was(releases):
    written = releases.freeze(draft())

    assert releases.load(written.name) == written
    assert releases.list("colon") == (written,)
    assert releases.datasets() == ("colon",)


def test_a_changed_release_is_refused(releases, tmp_path):
    name = releases.freeze(draft()).name
    file = tmp_path / "releases" / "colon" / f"{name}.json"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b'"rows":3', b'"rows":4'))

    with pytest.raises(LakeError, match="changed after it was written"):
        releases.load(name)


def test_a_damaged_release_is_refused(releases, tmp_path):
    name = releases.freeze(draft()).name
    file = tmp_path / "releases" / "colon" / f"{name}.json"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(LakeError):
        releases.load(name)


@pytest.mark.parametrize("name", ["colon-0009", "../colon-0001", "colon-0001/..", "", "other-0001"])
def test_an_unknown_name_is_refused(releases, name):
    releases.freeze(draft())

    with pytest.raises(LakeError, match="no release of this name"):
        releases.load(name)


def test_a_release_file_is_never_replaced(releases, tmp_path):
    first = releases.freeze(draft())
    file = tmp_path / "releases" / "colon" / f"{first.name}.json"

    with pytest.raises(LakeError, match="never replaced"):
        releases._write(file, first.canonical())
    assert releases.load(first.name) == first


def test_a_half_written_draft_does_no_harm(releases, tmp_path):
    folder = tmp_path / "releases" / "colon"
    folder.mkdir(parents=True)
    (folder / ".colon-0001.draft").write_text("{")

    assert releases.names("colon") == ()
    assert releases.freeze(draft()).name == "colon-0001"


def test_a_dataset_without_releases_has_none(releases):
    assert releases.latest("colon") is None
    assert releases.datasets() == ()
