"""Real stores win the node's race; a store that loses commits is refused before anything is written to it."""

import json

import pytest

from atoll_node.bootstrap import open_node, real_world
from atoll_node.bootstrap.store import prove_store, require_safe_store, warn_of_store
from atoll_node.cli import app
from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.store.delta_adapter import race_commits
from atoll_node.store.kept_proof import read_proof
from atoll_node.store.proof import UnsafeStore
from atoll_node.store.race import race
from atoll_node.store.s3_adapter import S3Bucket
from atoll_node.tables.places import S3Keys, places_of
from atoll_schemas.problems import ExitCode
from tests.support import unsafe_store as spoiled
from tests.support.minio import running_minio
from tests.support.node_of_a_store import node_home
from tests.support.s3_server import ACCESS, BUCKET, SECRET
from tests.support.scripted_hub import private_ca
from tests.support.versity import running_versity

SERVERS = {"minio": running_minio, "versitygw": running_versity}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with SERVERS[request.param](tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture
def front(minio):
    with spoiled.gateway(minio) as running:
        yield running


def opened(server, tmp_path, datasets=""):
    store = server.store(tmp_path / "keys", prefix=tmp_path.name)
    return open_node(node_home(tmp_path / "home", store, extra=datasets), real_world())


def export(tmp_path) -> str:
    """Write one OMOP table, and return the settings of its dataset."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "person.csv").write_text("person_id,gender_concept_id,year_of_birth\n1,8507,1950\n")
    return f'[[datasets]]\nname = "lab"\ntitle = "Lab"\nformat = "omop"\npath = "{folder}"\n'


def objects(server, tmp_path):
    found = server.client.list_objects(BUCKET, prefix=f"{tmp_path.name}/", recursive=True)
    return [one.object_name.removeprefix(f"{tmp_path.name}/") for one in found]


class TestRealStores:
    def test_a_real_store_is_proven_and_the_proof_is_kept(self, server, tmp_path):
        node = opened(server, tmp_path)

        proof = prove_store(node)

        assert proof.safe, proof.verdicts
        assert [verdict.code for verdict in proof.verdicts] == [
            "store.condition", "store.race", "store.commits",
        ]  # fmt: skip
        assert read_proof(node.home.store_proof) == proof
        assert (node.home.store_proof.stat().st_mode & 0o777) == 0o600

    def test_the_races_leave_nothing_but_the_store_s_mark(self, server, tmp_path):
        prove_store(opened(server, tmp_path))

        assert objects(server, tmp_path) == ["_atoll/store"]

    def test_exactly_one_of_many_writers_wins_each_of_many_races(self, server, tmp_path):
        bucket = S3Bucket(server.store(tmp_path / "keys", prefix=""), S3Keys(ACCESS, SECRET))

        rounds = race(bucket, f"{tmp_path.name}/race", writers=8, rounds=40)

        assert [len(one.winners) for one in rounds] == [1] * 40
        assert [one.standing for one in rounds] == [one.winners[0] for one in rounds]

    def test_a_store_over_tls_of_a_private_authority_is_proven(self, tmp_path):
        authority = private_ca(tmp_path / "ca")
        with running_minio(tmp_path / "a" / "data", authority=authority) as secure:
            assert prove_store(opened(secure, tmp_path / "one")).safe
        with running_versity(tmp_path / "b" / "data", authority=authority) as secure:
            assert prove_store(opened(secure, tmp_path / "two")).safe


class TestAProofIsKept:
    def test_a_proven_store_is_not_raced_again(self, front, tmp_path):
        node = opened(front.as_server(), tmp_path)
        first = prove_store(node)
        front.heard.clear()

        assert prove_store(node) == first
        assert len(front.heard) <= 4

    def test_a_second_look_is_had_when_asked_for(self, front, tmp_path):
        node = opened(front.as_server(), tmp_path)
        prove_store(node)
        front.heard.clear()

        assert prove_store(node, again=True).safe
        assert len(front.heard) > 100

    def test_another_server_at_the_same_address_is_raced_anew(self, front, tmp_path):
        node = opened(front.as_server(), tmp_path)
        before = prove_store(node)
        front.spoiler = spoiled.Renamed("AnotherStore")
        front.heard.clear()

        after = prove_store(node)

        assert after.identity.server == "AnotherStore"
        assert before.identity.server != "AnotherStore"
        assert len(front.heard) > 100

    def test_an_emptied_bucket_is_another_store(self, minio, tmp_path):
        node = opened(minio, tmp_path)
        before = prove_store(node)
        minio.client.remove_object(BUCKET, f"{tmp_path.name}/_atoll/store")

        after = prove_store(node)

        assert after.identity.mark != before.identity.mark
        assert len(after.verdicts) == 3

    def test_a_proxy_that_comes_later_and_drops_the_header_is_seen_at_once(self, front, tmp_path):
        node = opened(front.as_server(), tmp_path)
        require_safe_store(node)
        front.spoiler = spoiled.header_dropped

        with pytest.raises(UnsafeStore) as refused:
            require_safe_store(node)
        assert refused.value.code == "store.ignores_condition"

    def test_a_damaged_proof_is_no_proof(self, minio, tmp_path):
        node = opened(minio, tmp_path)
        node.home.store_proof.write_text('{"identity": {')

        assert len(prove_store(node).verdicts) == 3

    def test_a_refused_store_is_tried_again_when_it_was_mended(self, front, tmp_path):
        node = opened(front.as_server(), tmp_path)
        front.spoiler = spoiled.header_dropped
        assert not prove_store(node).safe
        front.spoiler = spoiled.honest

        assert prove_store(node).safe


UNSAFE = {
    "ignores the header": (spoiled.header_dropped, "store.ignores_condition"),
    "lets two win": (spoiled.two_win, "store.two_winners"),
    "does not know the header": (spoiled.condition_unknown, "store.no_condition"),
    "stands behind a proxy that cuts the header": (
        spoiled.header_cut_after_signing, "store.condition_removed"),
    "loses Delta commits only": (spoiled.LostCommits(), "store.lost_commits"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSAFE)
class TestUnsafeStores:
    def test_it_is_refused_by_its_fault(self, front, tmp_path, kind):
        front.spoiler, code = UNSAFE[kind]

        with pytest.raises(UnsafeStore) as refused:
            require_safe_store(opened(front.as_server(), tmp_path))

        assert refused.value.code == code
        assert refused.value.exit_code == ExitCode.REFUSED

    def test_no_command_that_would_commit_uses_it_and_no_table_is_written(
        self, front, tmp_path, capsys, kind
    ):
        front.spoiler, code = UNSAFE[kind]
        node = opened(front.as_server(), tmp_path, datasets=export(tmp_path))

        for command in (["ingest"], ["up"], ["lake", "maintain"]):
            assert app([*command, "--home", str(node.home.root)]) == ExitCode.REFUSED
            said = capsys.readouterr().err
            assert f"{code}: the store is refused: " in said
            assert "Next: " in said

        assert set(objects(front.server, tmp_path)) <= {"_atoll/store"}


class TestAnAbsentStore:
    def test_an_ingest_waits_for_a_store_that_does_not_answer(self, minio, tmp_path):
        node = opened(minio, tmp_path)
        away = node.settings.store.model_copy(update={"endpoint": "http://127.0.0.1:9"})
        home = node_home(tmp_path / "other", away)

        with pytest.raises(LakeError) as failed:
            require_safe_store(open_node(home, real_world()))
        assert failed.value.code == "store.unreachable"

    def test_a_node_comes_up_without_it_and_says_so(self, minio, tmp_path, caplog):
        away = minio.store(tmp_path / "keys", prefix="x").model_copy(
            update={"endpoint": "http://127.0.0.1:9"}
        )

        warn_of_store(open_node(node_home(tmp_path / "home", away), real_world()))

        assert [record.code for record in caplog.records] == ["store.unreachable"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [({"bucket": "absent"}, "store.no_bucket"), ({"ca_file": None}, "store.certificate")],
    )
    def test_a_wrong_setting_is_named(self, tmp_path, change, code):
        authority = private_ca(tmp_path / "ca")
        with running_minio(tmp_path / "data", authority=authority) as secure:
            store = secure.store(tmp_path / "keys", prefix="x")
            home = node_home(tmp_path / "home", store.model_copy(update=change))

            with pytest.raises(LakeError) as failed:
                require_safe_store(open_node(home, real_world()))
        assert failed.value.code == code
        assert failed.value.next_step

    def test_wrong_keys_are_named_and_not_shown(self, server, tmp_path):
        store = server.store(tmp_path / "keys", prefix="x", keys=(ACCESS, "planted-wrong-secret"))

        with pytest.raises(LakeError) as failed:
            require_safe_store(open_node(node_home(tmp_path / "home", store), real_world()))

        assert failed.value.code == "store.keys"
        assert "planted-wrong-secret" not in repr(failed.value.__cause__)


def test_a_folder_needs_no_proof_at_start(tmp_path):
    home = Home(tmp_path / "home")
    node = open_node(node_home(home.root, None), real_world())

    require_safe_store(node)
    assert prove_store(node) is None
    assert not node.home.store_proof.exists()


def test_the_kept_proof_holds_no_key(minio, tmp_path):
    node = opened(minio, tmp_path)
    prove_store(node)

    text = node.home.store_proof.read_text()
    assert SECRET not in text
    assert ACCESS not in json.loads(text)["identity"].values()


def test_what_is_at_stake_acknowledged_commits_vanish_on_a_store_that_ignores_the_header(front, tmp_path):
    """Without an error, to any of the writers: this is why such a store is refused."""
    front.spoiler = spoiled.header_dropped
    node = opened(front.as_server(), tmp_path)
    places = places_of(node.home, node.settings.store)

    seen = race_commits(places, f"s3://{BUCKET}/{tmp_path.name}/at-stake", writers=4, commits=10)

    assert seen.acknowledged == 40
    assert seen.visible < 40


def test_and_none_vanishes_on_a_real_store(server, tmp_path):
    node = opened(server, tmp_path)
    places = places_of(node.home, node.settings.store)

    seen = race_commits(places, f"s3://{BUCKET}/{tmp_path.name}/safe", writers=4, commits=10)

    assert (seen.acknowledged, seen.visible, seen.versions) == (40, 40, 40)


def test_status_tells_what_the_races_said(front, tmp_path, capsys):
    node = opened(front.as_server(), tmp_path)
    prove_store(node)
    app(["status", "--json", "--home", str(node.home.root)])
    good = json.loads(capsys.readouterr().out)["store"]
    front.spoiler = spoiled.header_dropped
    prove_store(node)
    app(["status", "--json", "--home", str(node.home.root)])
    bad = json.loads(capsys.readouterr().out)["store"]

    assert (good["kind"], good["safe"], good["refused"]) == ("s3", True, None)
    assert (bad["safe"], bad["refused"]) == (False, "store.ignores_condition")
