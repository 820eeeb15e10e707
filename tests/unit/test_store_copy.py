"""A lake is copied object by object, read back, and gone on with; what differs or is foreign is refused."""

import json

import pytest

from atoll_node.errors import LakeError
from atoll_node.store.copy_journal import Copied, CopyJournal
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.migration import Place, copy_lake, missing
from atoll_node.store.verdict import Reply

LAKE = {
    "lab/person/v1.parquet": b"rows" * 1000,
    "lab/person/_delta_log/00000000000000000000.json": b"{}",
    "lab/person/_delta_log/00000000000000000001.json": b"{1}",
    "lab/death/v1.parquet": b"more rows",
    "lab/death/_delta_log/00000000000000000000.json": b"{}",
    "_atoll/store": b"mark",
}
COPIED = sorted(name for name in LAKE if not name.startswith("_atoll/"))


class Lakes:
    """Two folders, and the copying between them."""

    def __init__(self, root, target=None):
        self.root = root
        self.source = Place(FolderBucket(root / "from"))
        self.target = Place(target or FolderBucket(root / "to"), "below")
        (root / "scratch").mkdir()
        for name, content in LAKE.items():
            self.source.bucket.put(name, content)
        self.steps = []

    def copy(self):
        journal = CopyJournal(self.root / "journal.jsonl", "copy-1")
        return copy_lake(self.source, self.target, journal, self.root / "scratch", self.steps.append)

    def there(self):
        return {name: self.target.bucket.get(f"below/{name}") for name in self.target.objects()}


@pytest.fixture
def lakes(tmp_path):
    return Lakes(tmp_path)


def test_a_copy_holds_exactly_the_lake(lakes):
    report = lakes.copy()

    assert lakes.there() == {name: LAKE[name] for name in COPIED}
    assert (report.objects, report.copied, report.kept, report.removed) == (5, 5, 0, 0)
    assert report.bytes == sum(len(LAKE[name]) for name in COPIED)


def test_progress_ends_at_all_of_it(lakes):
    lakes.copy()

    last = lakes.steps[-1]
    assert (last.objects, last.bytes) == (last.of, last.of_bytes) == (5, 4000 + 9 + 7)


def test_a_second_copy_copies_nothing(lakes):
    lakes.copy()
    report = lakes.copy()

    assert (report.copied, report.kept) == (0, 5)


def test_what_was_added_changed_or_removed_since_is_brought_over(lakes):
    lakes.copy()
    lakes.source.bucket.put("lab/person/v2.parquet", b"new")
    lakes.source.bucket.put("lab/death/v1.parquet", b"other rows")
    lakes.source.bucket.remove(["lab/person/v1.parquet"])

    report = lakes.copy()

    assert (report.copied, report.removed) == (2, 1)
    assert lakes.there() == {name: lakes.source.bucket.get(name) for name in lakes.source.objects()}


def test_an_object_that_somebody_changed_at_the_new_place_is_copied_again(lakes):
    lakes.copy()
    lakes.target.bucket.put("below/lab/death/v1.parquet", b"meddled!!")

    assert lakes.copy().copied == 1
    assert lakes.there()["lab/death/v1.parquet"] == b"more rows"


def test_a_place_that_holds_something_else_is_refused_and_left_alone(lakes):
    lakes.target.bucket.put("below/theirs", b"theirs")

    with pytest.raises(LakeError) as refused:
        lakes.copy()
    assert refused.value.code == "store.not_empty"
    assert lakes.there() == {"theirs": b"theirs"}


def test_a_place_of_another_copy_is_refused(lakes):
    lakes.copy()
    (lakes.root / "journal.jsonl").unlink()
    lakes.target.bucket.put("below/_atoll/migration", b"copy-2")

    with pytest.raises(LakeError) as refused:
        lakes.copy()
    assert refused.value.code == "store.not_empty"


class Cutting(FolderBucket):
    """A folder whose disk goes away after so many files."""

    def __init__(self, root, files):
        super().__init__(root)
        self.files = files
        self.written = []

    def put_file(self, key, file):
        if self.files == 0:
            raise LakeError("store.disk", "gone")
        self.files -= 1
        self.written.append(key)
        super().put_file(key, file)


@pytest.mark.parametrize("files", range(5))
def test_a_copy_that_is_cut_off_anywhere_goes_on(tmp_path, files):
    lakes = Lakes(tmp_path, Cutting(tmp_path / "to", files))
    with pytest.raises(LakeError):
        lakes.copy()

    lakes.target.bucket.files = 99
    report = lakes.copy()

    assert lakes.there() == {name: LAKE[name] for name in COPIED}
    assert report.kept >= min(files, 1)
    assert not list((tmp_path / "scratch").iterdir())


def test_logs_come_after_every_data_file_and_in_the_order_of_versions(tmp_path):
    lakes = Lakes(tmp_path, Cutting(tmp_path / "to", 99))
    lakes.copy()

    written = [key.removeprefix("below/") for key in lakes.target.bucket.written]
    logs = [name for name in written if "_delta_log" in name]
    assert written[-len(logs) :] == logs
    of_person = [name for name in logs if name.startswith("lab/person/")]
    assert of_person == sorted(of_person)
    assert len(of_person) == 2


class Flipping(FolderBucket):
    """A folder on a disk that changes a bit."""

    def put_file(self, key, file):
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        super().put_file(key, file)


def test_a_copy_that_came_out_different_is_found_by_its_hash(tmp_path):
    lakes = Lakes(tmp_path, Flipping(tmp_path / "to"))

    with pytest.raises(LakeError) as failed:
        lakes.copy()
    assert failed.value.code == "store.copy_differs"


class Vanishing(FolderBucket):
    """A folder from which maintenance removes a file between listing and reading."""

    def stream(self, key):
        if key == "lab/death/v1.parquet":
            self.remove([key])
        return super().stream(key)


def test_a_file_that_maintenance_removes_meanwhile_is_left_out_and_then_missing(tmp_path):
    lakes = Lakes(tmp_path)
    lakes.source = Place(Vanishing(tmp_path / "from"))
    lakes.copy()

    assert "lab/death/v1.parquet" not in lakes.there()
    journal = CopyJournal(tmp_path / "journal.jsonl", "x")
    assert missing([("lab/death/v1.parquet", 9), ("lab/person/v1.parquet", 4000)], journal) == [
        "lab/death/v1.parquet"
    ]


def test_a_file_of_another_size_is_missing(lakes):
    lakes.copy()

    journal = CopyJournal(lakes.root / "journal.jsonl", "x")
    assert missing([("lab/person/v1.parquet", 3999)], journal) == ["lab/person/v1.parquet"]


class TestJournal:
    ONE = Copied("a", 1, "00", "m", "t")

    def test_it_is_read_again_as_it_was_written(self, tmp_path):
        CopyJournal(tmp_path / "j", "copy-1").add(self.ONE)

        again = CopyJournal(tmp_path / "j", "copy-2")
        assert (again.id, again.all(), again.is_new) == ("copy-1", (self.ONE,), False)

    def test_a_half_written_line_is_no_line(self, tmp_path):
        journal = CopyJournal(tmp_path / "j", "copy-1")
        journal.add(self.ONE)
        with (tmp_path / "j").open("a") as out:
            out.write('{"name": "b", "by')

        again = CopyJournal(tmp_path / "j", "copy-1")
        again.add(Copied("c", 1, "00", "m", "t"))
        names = [one.name for one in CopyJournal(tmp_path / "j", "copy-1").all()]
        assert names == ["a", "c"]

    def test_a_damaged_one_is_told(self, tmp_path):
        (tmp_path / "j").write_text(json.dumps({"copy": "x"}) + "\nnot json\n\n")

        with pytest.raises(LakeError):
            CopyJournal(tmp_path / "j", "copy-1")


class TestAFolderIsABucket:
    def test_only_one_of_two_creates_a_file(self, tmp_path):
        bucket = FolderBucket(tmp_path)

        assert [bucket.put_new("x/a", b"1"), bucket.put_new("x/a", b"2")] == [Reply.WON, Reply.LOST]
        assert bucket.get("x/a") == b"1"
        assert [one.key for one in bucket.list("")] == ["x/a"]

    def test_folders_that_are_empty_go_with_their_last_file(self, tmp_path):
        bucket = FolderBucket(tmp_path / "root")
        bucket.put("a/b/c", b"1")
        bucket.remove(["a/b/c", "a/b/gone"])

        assert list((tmp_path / "root").iterdir()) == []

    def test_what_is_not_there_is_told(self, tmp_path):
        bucket = FolderBucket(tmp_path)

        assert bucket.get("a") is None
        assert bucket.stat("a") is None
        with pytest.raises(LakeError) as failed:
            list(bucket.stream("a"))
        assert failed.value.code == "store.no_object"

    def test_a_folder_that_is_a_file_is_a_failure_without_its_name(self, tmp_path):
        (tmp_path / "PLANTED").write_text("x")

        with pytest.raises(LakeError) as failed:
            FolderBucket(tmp_path / "PLANTED").put("a", b"1")
        assert "PLANTED" not in str(failed.value)
