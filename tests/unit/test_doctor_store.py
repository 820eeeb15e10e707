"""The doctor's lines on the store, each on a store that does right and on one that does not."""

import pytest

from atoll_node.doctor import store as of
from atoll_node.doctor.machine import GB, Volume
from atoll_node.errors import LakeError
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.s3_adapter import Versioning
from atoll_node.store.verdict import Reply, Round, judged_condition, judged_race


class Parted(FolderBucket):
    """A folder that takes objects in parts."""

    def put_in_parts(self, key, content, length=-1):
        self.put(key, content.read())


class OtherBytes(Parted):
    """A store that gives back other bytes than it took."""

    def get(self, key):
        found = super().get(key)
        return None if found is None else found[::-1]

    def stream(self, key):
        yield b"other"


class NoParts(Parted):
    """A store that knows no parts, or is full."""

    code = "store.not_implemented"

    def put_in_parts(self, key, content, length=-1):
        raise LakeError(self.code, "the store says no", "do something")


class Lagging(Parted):
    """A store whose lists lag behind by one object."""

    def list(self, prefix):
        yield from list(super().list(prefix))[1:]


class Sticky(Parted):
    """A store that lists what was removed."""

    def remove(self, keys):
        """Keep it."""


def test_a_store_that_gives_back_what_it_took_is_ok(tmp_path):
    bucket = Parted(tmp_path)

    assert of.credentials(bucket, "a/key", told="fine").told == "fine"
    assert of.multipart(bucket, "a/parts").state == "ok"
    assert of.list_after_write(bucket, "a").state == "ok"
    assert of.room(bucket, "a/room").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_are_found_small_and_in_parts(tmp_path):
    bucket = OtherBytes(tmp_path)

    assert of.credentials(bucket, "a/key", told="fine").state == "blocker"
    assert of.multipart(bucket, "a/parts").state == "blocker"
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_parts_is_told_so(tmp_path):
    found = of.multipart(NoParts(tmp_path), "a/parts")

    assert found.state == "blocker"
    assert "the store says no" in found.told
    assert "multipart" in found.fix


def test_a_store_that_is_full_is_not_taken_for_one_without_parts(tmp_path):
    bucket = NoParts(tmp_path)
    bucket.code = "store.full"

    with pytest.raises(LakeError) as failed:
        of.multipart(bucket, "a/parts")
    assert failed.value.next_step == "do something"


@pytest.mark.parametrize("kind", [Lagging, Sticky])
def test_lists_that_lag_behind_are_found(tmp_path, kind):
    found = of.list_after_write(kind(tmp_path), "a")

    assert found.state == "blocker"
    assert "consistency" in found.fix


@pytest.mark.parametrize(
    ("versioning", "state"),
    [
        (None, "ok"),
        (Versioning(False), "ok"),
        (Versioning(True, 30), "ok"),
        (Versioning(True), "warning"),
    ],
)
def test_versions_that_stay_for_ever_are_a_warning(versioning, state):
    assert of.versioning(versioning).state == state


@pytest.mark.parametrize(("free", "state"), [(900, "ok"), (1, "blocker")])
def test_a_folder_needs_room(free, state):
    assert of.room_of_folder(Volume(free * GB, 0, 0)).state == state


@pytest.mark.parametrize(
    ("host", "state"),
    [("127.0.0.1", "ok"), ("localhost", "ok"), ("::1", "ok"), ("s3.hospital.example", "warning")],
)
def test_http_is_fine_on_this_machine_only(host, state):
    assert of.without_tls(host).state == state


class TestVerdicts:
    GOOD = judged_condition(Reply.LOST)
    BAD = judged_race([Round((Reply.WON, Reply.WON), 0)])

    def of_all(self, *verdicts):
        return {verdict.code: verdict for verdict in verdicts}

    def test_a_good_verdict_is_ok(self):
        assert of.from_verdict(self.of_all(self.GOOD, self.BAD), "store.condition").state == "ok"

    def test_the_bad_one_stands_for_the_race_that_was_lost(self):
        found = of.from_verdict(self.of_all(self.GOOD, self.BAD), "store.race")

        assert found.state == "blocker"
        assert found.told == self.BAD.told
        assert found.fix == self.BAD.fix

    def test_a_race_that_was_not_run_is_not_called_good(self):
        assert of.from_verdict(self.of_all(self.GOOD), "store.race").state == "warning"
