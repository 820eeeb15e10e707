"""A release's digest names all that decides an answer, and nothing of where and when."""

import os
import stat
from datetime import UTC, datetime, timedelta, timezone

import pytest

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.release import PinnedFile, PinnedTable, Release
from atoll_node.releases import Releases, content_digest
from atoll_schemas.catalog import DeidentificationEntry, QualityEntry
from atoll_schemas.query import Demographic, Outcome, Variable

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FILE = PinnedFile(path="v00000000-00ab-0.parquet", bytes=10, rows=3)
SECOND = PinnedFile(path="v00000000-00ab-1.parquet", bytes=11, rows=4)
PERSON = PinnedTable(name="person", uri="/lake/colon/person", version=0, rows=3, files=(FILE,))
DEATH = PinnedTable(name="death", uri="/lake/colon/death", version=0, rows=3, files=(FILE,))
AGE = Variable(name="age", definition=Demographic(field="age"))
DEAD = Outcome.model_validate({"name": "death", "definition": {"kind": "death"}})
RULE = DeidentificationEntry(rule="codes", description="Codes stay.", fields=("person.gender_source_value",))
CHECK = QualityEntry(check="unique_keys", description="No key twice.", passed=True, severity="blocker")


def draft(**changes):
    facts = {
        "name": "draft",
        "site": "atoll-a",
        "dataset": "colon",
        "created_at": NOW,
        "tables": (PERSON,),
        "content_digest": "",
    }
    return Release(**(facts | changes))


def of_file(**changes):
    return (PERSON.model_copy(update={"files": (FILE.model_copy(update=changes),)}),)


@pytest.mark.parametrize(
    "changes",
    [
        {"site": "atoll-b"},
        {"dataset": "lung"},
        {"tables": ()},
        {"tables": (PERSON, DEATH)},
        {"tables": (PERSON.model_copy(update={"name": "death"}),)},
        {"tables": (PERSON.model_copy(update={"version": 1}),)},
        {"tables": (PERSON.model_copy(update={"rows": 4}),)},
        {"tables": (PERSON.model_copy(update={"files": ()}),)},
        {"tables": (PERSON.model_copy(update={"files": (FILE, SECOND)}),)},
        {"tables": of_file(path="v00000000-00ac-0.parquet")},
        {"tables": of_file(rows=4)},
        {"deidentification": (RULE,)},
        {"date_shift": True},
        {"synthetic": True},
        {"variables": (AGE,)},
        {"variables": (AGE.model_copy(update={"edges": (0.0, 50.0)}),)},
        {"outcomes": (DEAD,)},
        {"vocabulary_version": "v5.0 31-AUG-23"},
    ],
)
def test_what_decides_an_answer_changes_the_digest(changes):
    assert content_digest(draft(**changes)) != content_digest(draft())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "colon-0007"},
        {"created_at": NOW + timedelta(days=400)},
        {"content_digest": "sha256:" + "0" * 64},
        {"quality": (CHECK,)},
        {"quality": (CHECK.model_copy(update={"passed": False}),)},
        {"tables": (PERSON.model_copy(update={"uri": "s3://bucket/atoll/colon/person"}),)},
        {"tables": of_file(bytes=9999)},
    ],
)
def test_place_time_name_checks_and_packing_leave_the_digest(changes):
    assert content_digest(draft(**changes)) == content_digest(draft())


def test_a_digest_says_its_algorithm_and_is_the_same_in_every_process():
    assert content_digest(draft()) == content_digest(draft())
    assert content_digest(draft()).startswith("sha256:")
    assert len(content_digest(draft())) == len("sha256:") + 64


def test_the_order_of_tables_and_files_is_part_of_what_is_named():
    assert content_digest(draft(tables=(PERSON, DEATH))) != content_digest(draft(tables=(DEATH, PERSON)))


def test_the_draft_s_own_name_and_digest_are_not_believed(tmp_path):
    lying = draft(name="colon-9999", content_digest="sha256:" + "f" * 64)

    frozen = Releases(Home(tmp_path)).freeze(lying)

    assert frozen.name == "colon-0001"
    assert frozen.content_digest == content_digest(draft())


def test_datasets_are_numbered_apart(tmp_path):
    releases = Releases(Home(tmp_path))

    names = [releases.freeze(draft(dataset=name)).name for name in ("colon", "lung", "colon_2")]

    assert names == ["colon-0001", "lung-0001", "colon_2-0001"]
    assert releases.datasets() == ("colon", "colon_2", "lung")


def test_a_state_that_returns_after_another_is_a_release_of_its_own(tmp_path):
    releases = Releases(Home(tmp_path))
    first = releases.freeze(draft())
    releases.freeze(draft(date_shift=True))

    third = releases.freeze(draft())

    assert third.name == "colon-0003"
    assert third.content_digest == first.content_digest


def test_the_ten_thousandth_release_still_comes_last(tmp_path):
    releases = Releases(Home(tmp_path))
    folder = tmp_path / "releases" / "colon"
    folder.mkdir(parents=True)
    for number in (9999, 10000, 2):
        named = draft(name=f"colon-{number:04d}", content_digest=content_digest(draft()))
        (folder / f"{named.name}.json").write_bytes(named.canonical())

    assert releases.names("colon") == ("colon-0002", "colon-9999", "colon-10000")
    assert releases.latest("colon").name == "colon-10000"
    assert releases.freeze(draft(synthetic=True)).name == "colon-10001"


@pytest.mark.parametrize(
    "other", ["notes.json", "colon-1.json", "colon-0001.json.bak", "colon-0001.draft", ".colon-0001.json"]
)
def test_other_files_in_the_folder_are_no_releases(tmp_path, other):
    releases = Releases(Home(tmp_path))
    folder = tmp_path / "releases" / "colon"
    folder.mkdir(parents=True)
    (folder / other).write_text("{}")

    assert releases.names("colon") == ()
    assert releases.freeze(draft()).name == "colon-0001"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows":3', b'"rows":30'),
        (b'"version":0', b'"version":1'),
        (b'"date_shift":false', b'"date_shift":true'),
        (b'"site":"atoll-a"', b'"site":"atoll-b"'),
        (b'"colon-0001"', b'"colon-0002"'),
        (b"v00000000-00ab-0", b"v00000001-00ab-0"),
        (b'"synthetic":false', b'"synthetic":true'),
        (b'"sha256:', b'"sha256:0'),
    ],
)
def test_a_flip_in_the_file_is_found_when_it_is_read(tmp_path, old, new):
    releases = Releases(Home(tmp_path))
    name = releases.freeze(draft()).name
    file = tmp_path / "releases" / "colon" / f"{name}.json"
    content = file.read_bytes()
    assert old in content
    file.chmod(0o644)
    file.write_bytes(content.replace(old, new, 1))

    with pytest.raises(LakeError) as refused:
        releases.load(name)

    assert refused.value.code == "release.changed"
    assert "backup" in refused.value.next_step


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name":"colon-0001"}'])
def test_a_file_that_is_no_release_is_refused(tmp_path, content):
    folder = tmp_path / "releases" / "colon"
    folder.mkdir(parents=True)
    (folder / "colon-0001.json").write_bytes(content)

    with pytest.raises(LakeError) as refused:
        Releases(Home(tmp_path)).load("colon-0001")

    assert refused.value.code == "release.changed"


def test_a_damaged_newest_release_stops_the_next(tmp_path):
    releases = Releases(Home(tmp_path))
    name = releases.freeze(draft()).name
    file = tmp_path / "releases" / "colon" / f"{name}.json"
    file.chmod(0o644)
    file.write_bytes(b"{")

    with pytest.raises(LakeError, match="changed"):
        releases.freeze(draft(synthetic=True))
    assert releases.names("colon") == (name,)


def test_a_release_file_is_read_only_and_no_draft_stays_behind(tmp_path):
    name = Releases(Home(tmp_path)).freeze(draft()).name
    folder = tmp_path / "releases" / "colon"

    assert os.listdir(folder) == [f"{name}.json"]
    assert stat.S_IMODE((folder / f"{name}.json").stat().st_mode) == 0o444


def test_a_release_s_file_is_its_canonical_json(tmp_path):
    frozen = Releases(Home(tmp_path)).freeze(draft(variables=(AGE,), outcomes=(DEAD,), quality=(CHECK,)))

    content = (tmp_path / "releases" / "colon" / "colon-0001.json").read_bytes()

    assert content == frozen.canonical()
    assert Release.model_validate_json(content) == frozen


def test_a_moment_of_another_zone_is_kept_as_the_same_moment(tmp_path):
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    releases = Releases(Home(tmp_path))

    releases.freeze(draft(created_at=east))

    assert releases.load("colon-0001").created_at == NOW


@pytest.mark.parametrize(
    "name",
    ["colon", "colon-1", "colon-001", "Colon-0001", "colon-0001.json", "colon--001", "colon-0001\n", "x" * 80,
     "/etc/passwd", "..-0001", "colon/../colon-0001", "colon-0001%00", "colon-0000000001"],
)  # fmt: skip
def test_a_name_of_another_form_is_never_a_path(tmp_path, name):
    releases = Releases(Home(tmp_path))
    releases.freeze(draft())

    with pytest.raises(LakeError) as refused:
        releases.load(name)

    assert refused.value.code == "release.unknown"
    assert name not in str(refused.value)


def test_a_table_is_found_by_its_name():
    release = draft(tables=(PERSON, DEATH))

    assert release.table("death") is DEATH
    assert release.table("measurement") is None


@pytest.mark.parametrize("root", ["/lake/colon/person", "s3://atoll/a/colon/person"])
def test_the_paths_of_a_table_are_its_files_below_its_root(root):
    table = PERSON.model_copy(update={"uri": root, "files": (FILE, SECOND)})

    assert table.paths() == (f"{root}/{FILE.path}", f"{root}/{SECOND.path}")
