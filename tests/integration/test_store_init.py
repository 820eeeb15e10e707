"""`atoll-node store init` says what a real store needs, does it when told to, and gives the key little."""

import json
from io import BytesIO

import pytest
from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.versioningconfig import VersioningConfig

from atoll_node.cli import app
from atoll_schemas.problems import ExitCode
from tests.support import unsafe_store as spoiled
from tests.support.minio import running_minio
from tests.support.node_of_a_store import node_home
from tests.support.s3_server import ACCESS, SECRET, client_of, key_files
from tests.support.versity import running_versity

NODE_KEYS = ("atoll-node-key", "atoll-node-secret-key")
EXPORT = "person_id,gender_concept_id,year_of_birth\n1,8507,1950\n2,8532,1951\n"


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def versity(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versity")
    with running_versity(folder / "data", versions=folder / "versions") as running:
        yield running


class Site:
    """A node's home at a server, and what its commands say."""

    def __init__(self, server, tmp_path, capsys, keys=NODE_KEYS, bucket="lake-one"):
        self.server, self.capsys, self.bucket, self.tmp_path = server, capsys, bucket, tmp_path
        folder = tmp_path / "export"
        folder.mkdir()
        (folder / "person.csv").write_text(EXPORT)
        dataset = f'[[datasets]]\nname = "lab"\ntitle = "Lab"\nformat = "omop"\npath = "{folder}"\n'
        store = server.store(tmp_path / "keys", prefix="atoll", keys=keys)
        self.home = node_home(tmp_path / "home", store.model_copy(update={"bucket": bucket}), extra=dataset)
        access, secret = key_files(tmp_path / "admin")
        self.admin = (
            "--admin-access-key-file", str(access), "--admin-secret-key-file", str(secret),
        )  # fmt: skip
        capsys.readouterr()

    def run(self, *arguments):
        code = app([*arguments, "--home", str(self.home.root)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def init(self, *arguments):
        code, out, err = self.run("store", "init", *arguments, "--json")
        return code, json.loads(out) if out else None, err

    def as_node(self):
        address = self.server.endpoint.partition("://")[2]
        return client_of(address, None, NODE_KEYS)


@pytest.fixture
def site(minio, tmp_path, capsys):
    return Site(minio, tmp_path, capsys, bucket=f"lake-{abs(hash(tmp_path)) % 10**9}")


def states(found):
    return {step["name"]: step["state"] for step in found["steps"]}


class TestDryRun:
    def test_a_dry_run_says_what_is_to_do_and_changes_nothing(self, site):
        code, found, _ = site.init(*site.admin)

        assert code == 0
        assert states(found) == {"bucket": "to do", "versions": "there", "key": "to do"}
        assert found["applied"] is False
        assert not site.server.client.bucket_exists(site.bucket)

    def test_its_words_hold_the_policy_and_how_to_go_on(self, site):
        _, out, _ = site.run("store", "init", *site.admin)

        assert "nothing was changed; to do it: atoll-node store init --apply" in out
        assert "s3:PutObject" in out
        assert f"arn:aws:s3:::{site.bucket}/atoll/*" in out

    def test_no_key_is_shown(self, site):
        _, out, err = site.run("store", "init", *site.admin)

        assert not [key for key in (ACCESS, SECRET, *NODE_KEYS) if key in out + err]


class TestApply:
    def test_the_node_can_work_with_its_new_key_and_a_second_run_changes_nothing(self, site):
        code, found, _ = site.init("--apply", *site.admin)
        assert code == 0
        assert [verdict["safe"] for verdict in found["proof"]["verdicts"]] == [True, True, True]

        assert site.run("ingest")[0] == 0
        assert site.run("release")[0] == 0
        code, again, _ = site.init()
        assert set(states(again).values()) == {"there"}
        assert code == 0

    def test_the_doctor_is_content_with_the_least_that_the_key_may_do(self, site):
        site.init("--apply", *site.admin)

        lines = json.loads(site.run("doctor", "--json")[1])["lines"]

        store = [line for line in lines if line["line"].startswith(("store", "Delta", "DuckDB"))]
        assert len(store) == 10
        assert [line for line in store if line["state"] != "ok"] == []

    def test_the_node_s_key_may_do_nothing_else(self, site):
        site.init("--apply", *site.admin)
        node, root = site.as_node(), site.server.client
        root.put_object(site.bucket, "other/secret", BytesIO(b"x"), 1)

        attempts = {
            "make a bucket": lambda: node.make_bucket(f"{site.bucket}-more"),
            "remove the bucket": lambda: node.remove_bucket(site.bucket),
            "read beside the prefix": lambda: node.get_object(site.bucket, "other/secret"),
            "write beside the prefix": lambda: node.put_object(site.bucket, "other/new", BytesIO(b"x"), 1),
            "list the whole bucket": lambda: list(node.list_objects(site.bucket)),
            "change versioning": lambda: node.set_bucket_versioning(site.bucket, VersioningConfig(ENABLED)),
        }
        for what, attempt in attempts.items():
            with pytest.raises(S3Error) as denied:
                attempt()
            assert denied.value.code == "AccessDenied", what

    def test_deleted_content_is_kept_as_long_as_asked_beside_the_rules_that_are_there(self, site):
        root = site.server.client
        root.make_bucket(site.bucket)
        theirs = Rule(
            ENABLED, rule_filter=Filter(prefix="theirs/"), rule_id="theirs", expiration=Expiration(days=9)
        )
        root.set_bucket_lifecycle(site.bucket, LifecycleConfig([theirs]))

        code, _, _ = site.init("--apply", "--keep-deleted", "14", *site.admin)

        rules = {rule.rule_id: rule for rule in root.get_bucket_lifecycle(site.bucket).rules}
        assert code == 0
        assert root.get_bucket_versioning(site.bucket).status == ENABLED
        assert rules["theirs"].expiration.days == 9
        assert rules["atoll-older-versions"].noncurrent_version_expiration.noncurrent_days == 14
        assert states(site.init(*site.admin)[1])["versions"] == "there"

    def test_versions_that_would_stay_for_ever_get_an_end(self, site):
        root = site.server.client
        root.make_bucket(site.bucket)
        root.set_bucket_versioning(site.bucket, VersioningConfig(ENABLED))

        assert states(site.init(*site.admin)[1])["versions"] == "to do"
        site.init("--apply", *site.admin)

        (rule,) = root.get_bucket_lifecycle(site.bucket).rules
        assert rule.noncurrent_version_expiration.noncurrent_days == 30

    def test_a_store_that_loses_commits_is_refused_at_the_end(self, minio, tmp_path, capsys):
        with spoiled.gateway(minio, spoiled.header_dropped) as front:
            site = Site(front.as_server(), tmp_path, capsys, keys=(ACCESS, SECRET), bucket="lake-unsafe")
            code, found, err = site.init("--apply")

        assert code == ExitCode.REFUSED
        assert found["proof"]["verdicts"][0]["safe"] is False
        assert "store.ignores_condition" in err


class TestWithoutAnAdministrator:
    def test_a_key_that_the_store_does_not_know_still_learns_the_policy(self, minio, tmp_path, capsys):
        site = Site(minio, tmp_path, capsys, keys=("nobody", "nobody-knows-it"), bucket="lake-of-nobody")

        code, found, _ = site.init()

        assert code == 0
        assert set(states(found).values()) == {"by hand"}
        assert found["policy"]["Statement"]

    def test_with_such_a_key_applying_fails_by_name(self, minio, tmp_path, capsys):
        site = Site(minio, tmp_path, capsys, keys=("nobody", "nobody-knows-it"), bucket="lake-of-nobody")

        code, _, err = site.init("--apply")
        assert code == ExitCode.ERROR
        assert json.loads(err)["code"] == "store.keys"

    def test_a_key_that_may_make_buckets_needs_no_administrator(self, minio, tmp_path, capsys):
        site = Site(minio, tmp_path, capsys, keys=(ACCESS, SECRET), bucket="lake-by-root")

        assert states(site.init()[1]) == {"bucket": "to do", "versions": "there", "key": "by hand"}
        assert site.init("--apply")[0] == 0
        assert states(site.init()[1])["key"] == "there"

    def test_half_a_key_pair_is_refused(self, site):
        code, _, err = site.run("store", "init", *site.admin[:2])

        assert code == ExitCode.USAGE
        assert err.startswith("store.admin_keys: ")

    def test_an_administrator_s_key_that_others_may_read_is_refused(self, site):
        (site.tmp_path / "admin" / "secret").chmod(0o644)

        assert site.run("store", "init", *site.admin)[2].startswith("store.key_mode: ")

    def test_a_wrong_administrator_s_key_makes_no_user(self, site):
        site.server.client.make_bucket(site.bucket)
        (site.tmp_path / "admin" / "secret").write_text("not-the-secret")

        code, _, err = site.run("store", "init", "--apply", *site.admin)
        assert code == ExitCode.ERROR
        assert err.startswith("store.keys: ")
        assert "not-the-secret" not in err


class TestVersityGw:
    def test_a_bucket_is_made_and_the_policy_is_left_to_a_person(self, versity, tmp_path, capsys):
        site = Site(versity, tmp_path, capsys, keys=(ACCESS, SECRET), bucket="lake-versity")

        code, found, _ = site.init("--apply")
        assert code == 0
        assert states(found)["bucket"] == "to do"
        assert versity.client.bucket_exists("lake-versity")
        assert site.run("ingest")[0] == 0

    def test_a_lifecycle_that_it_cannot_keep_is_said(self, versity, tmp_path, capsys):
        site = Site(versity, tmp_path, capsys, keys=(ACCESS, SECRET), bucket="lake-versions")

        code, _, err = site.init("--apply", "--keep-deleted", "14")

        assert code == ExitCode.ERROR
        assert json.loads(err)["code"] == "store.not_implemented"
        assert versity.client.get_bucket_versioning("lake-versions").status != ENABLED
        assert site.init("--apply")[0] == 0


def test_a_folder_needs_no_preparation(tmp_path, capsys):
    home = node_home(tmp_path / "home", None)

    assert app(["store", "init", "--home", str(home.root)]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("store.folder: ")
