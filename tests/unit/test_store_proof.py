"""A proof belongs to one store: kept while that store stays itself, and made again when anything changes."""

from datetime import UTC, datetime
from itertools import count

import pytest

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.kept_proof import read_proof
from atoll_node.store.proof import UnsafeStore, own_folder, prove, raced_commits, refuse_unsafe
from atoll_node.store.race import Commits
from atoll_node.store.verdict import Reply

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GOOD = Commits(writers=4, acknowledged=20, visible=20, versions=20)
STORE = S3Store(
    kind="s3", endpoint="https://s3.example", bucket="lake", prefix="atoll",
    access_key_file="a", secret_key_file="s",
)  # fmt: skip


class Named(FolderBucket):
    """A folder that answers as a server of some name, and counts conditional writes."""

    def __init__(self, root, name="Good", careless=False):
        super().__init__(root)
        self.name, self.careless, self.raced = name, careless, 0

    def server_name(self):
        return self.name

    def put_new(self, key, content):
        self.raced += 1
        if self.careless:
            self.put(key, content)
            return Reply.WON
        return super().put_new(key, content)


class Forgetful(Named):
    """A store that takes everything and gives nothing back."""

    def get(self, key):
        return None


def proven(bucket, kept=None, store=STORE, commits=GOOD):
    numbers = count(1)
    return prove(
        store, bucket, lambda place: commits, kept, new_id=lambda: f"id{next(numbers)}", clock=lambda: NOW
    )


@pytest.fixture
def bucket(tmp_path):
    return Named(tmp_path)


def test_a_good_store_is_tried_three_times_over(bucket):
    proof = proven(bucket)

    assert proof.safe
    assert [verdict.code for verdict in proof.verdicts] == ["store.condition", "store.race", "store.commits"]
    assert proof.identity.mark == "id1"
    assert proof.at == NOW


def test_a_kept_proof_of_the_same_store_costs_one_conditional_write(bucket):
    first = proven(bucket)
    bucket.raced = 0

    assert proven(bucket, first) is first
    assert bucket.raced == 1


@pytest.mark.parametrize(
    "change",
    [{"endpoint": "https://other"}, {"bucket": "other"}, {"prefix": "atoll2"}, {"path_style": False}],
)
def test_another_setting_of_the_store_is_another_store(bucket, change):
    first = proven(bucket)
    bucket.raced = 0

    assert proven(bucket, first, STORE.model_copy(update=change)).safe
    assert bucket.raced > 1


@pytest.mark.parametrize("change", [{"region": "eu"}, {"access_key_file": "b"}, {"ca_file": "c"}])
def test_another_key_or_authority_is_the_same_store(bucket, change):
    first = proven(bucket)

    assert proven(bucket, first, STORE.model_copy(update=change)) is first


def test_another_server_name_is_another_store(bucket):
    first = proven(bucket)
    bucket.name = "Other"

    assert proven(bucket, first).identity.server == "Other"


def test_a_bad_proof_is_never_taken_for_a_good_one(bucket):
    bucket.careless = True
    bad = proven(bucket)
    bucket.careless = False

    assert not bad.safe
    assert proven(bucket, bad).safe


def test_a_good_proof_does_not_save_a_store_that_became_careless(bucket):
    good = proven(bucket)
    bucket.careless = True

    found = proven(bucket, good)
    assert [verdict.code for verdict in found.verdicts] == ["store.ignores_condition"]


def test_after_the_first_bad_verdict_nothing_more_is_tried(bucket):
    bucket.careless = True

    assert len(proven(bucket).verdicts) == 1


def test_lost_commits_refuse_a_store_whose_files_raced_well(bucket):
    proof = proven(bucket, commits=Commits(4, 20, 13, 13))

    with pytest.raises(UnsafeStore) as refused:
        refuse_unsafe(proof)
    assert refused.value.code == "store.lost_commits"
    assert "13 are there" in refused.value.message


def test_a_good_proof_refuses_nothing(bucket):
    refuse_unsafe(proven(bucket))


def test_a_store_that_gives_nothing_back_is_told_before_any_race(tmp_path):
    with pytest.raises(LakeError) as failed:
        proven(Forgetful(tmp_path))
    assert failed.value.code == "store.mark"


def test_a_proof_is_read_as_it_was_written(bucket, tmp_path):
    proof = proven(bucket)
    file = tmp_path / "proof.json"
    file.write_text(proof.model_dump_json())

    assert read_proof(file) == proof


@pytest.mark.parametrize("text", ["", "{", '{"identity": 1}', '{"identity": {}, "extra": 1}'])
def test_what_cannot_be_read_is_no_proof(tmp_path, text):
    file = tmp_path / "proof.json"
    file.write_text(text)

    assert read_proof(file) is None
    assert read_proof(tmp_path / "absent.json") is None


def test_a_raced_table_is_taken_away_also_when_the_race_fails(bucket):
    def dying(place):
        bucket.put(f"{place}/_delta_log/0.json", b"{}")
        raise LakeError("store.delta", "no")

    with pytest.raises(LakeError):
        raced_commits(bucket, "atoll/_atoll/table", dying)
    assert list(bucket.list("atoll/")) == []


@pytest.mark.parametrize(
    ("prefix", "place"), [("atoll", "atoll/_atoll"), ("/a/b/", "a/b/_atoll"), ("", "_atoll")]
)
def test_the_node_tries_the_store_below_its_prefix_only(prefix, place):
    assert own_folder(STORE.model_copy(update={"prefix": prefix})) == place
