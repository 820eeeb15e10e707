"""`atoll-node store migrate` moves a lake between folder, MinIO and VersityGW; its releases stay the same."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atoll_node.bootstrap import open_node, real_world, running_alone
from atoll_node.bootstrap.answering import open_stages
from atoll_node.cli import app
from atoll_node.home import Home
from atoll_node.releases import Releases
from atoll_node.settings import read_settings
from atoll_node.store.settings_text import store_section
from atoll_node.tables.writer import sole_writer
from atoll_schemas.problems import ExitCode
from atoll_schemas.query import Count
from tests.support import unsafe_store as spoiled
from tests.support.hospital import small_export
from tests.support.minio import running_minio
from tests.support.node_of_a_store import node_home
from tests.support.questions import query, variable
from tests.support.s3_server import BUCKET, SECRET
from tests.support.versity import running_versity

SEX = variable("sex", {"kind": "demographic", "field": "sex"})
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def versity(tmp_path_factory):
    with running_versity(tmp_path_factory.mktemp("versity") / "data") as running:
        yield running


class Site:
    """A node with a dataset in a folder, two releases, and a place to write stores down."""

    def __init__(self, tmp_path, capsys):
        self.tmp_path, self.capsys = tmp_path, capsys
        self.export = tmp_path / "export"
        dataset = f'[[datasets]]\nname = "lab"\ntitle = "Lab"\nformat = "omop"\npath = "{self.export}"\n'
        self.home = node_home(tmp_path / "home", None, extra=dataset)
        for persons in (30, 40):
            self.deliver(persons)
            self.run("ingest")
            self.run("release")

    def deliver(self, persons):
        self.export.mkdir(exist_ok=True)
        for name, rows in small_export(persons=persons).items():
            with (self.export / f"{name}.csv").open("w", newline="") as out:
                writer = csv.DictWriter(out, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

    def lake(self):
        folder = self.home.root / "lake"
        files = (file for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    def run(self, *arguments):
        code = app([*arguments, "--home", str(self.home.root)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def migrate(self, *arguments):
        code, out, err = self.run("store", "migrate", *arguments, "--json")
        return code, json.loads(out) if out else None, json.loads(err) if err else None

    def store_file(self, server, prefix):
        store = server.store(self.tmp_path / f"keys-{prefix}", prefix=prefix)
        file = self.tmp_path / f"{prefix}.toml"
        file.write_text(store_section(store))
        return str(file)

    def release_files(self):
        return {file.name: file.read_bytes() for file in (self.home.releases / "lab").glob("lab-*.json")}

    def answers(self):
        """Ask the engine on every release, as the node does."""
        node = open_node(Home(self.home.root), real_world())
        stages, found = open_stages(node), {}
        for release in Releases(node.home).list("lab"):
            raw = stages.run(query(analysis=Count(by=(SEX,)), dataset="lab"), release)
            found[release.name] = (release.content_digest, repr(raw.analysis))
        return found


@pytest.fixture
def site(tmp_path, capsys):
    return Site(tmp_path, capsys)


def objects(server, prefix):
    found = server.client.list_objects(BUCKET, prefix=f"{prefix}/", recursive=True)
    return sorted(one.object_name.removeprefix(f"{prefix}/") for one in found)


def test_a_lake_goes_round_folder_minio_versitygw_folder_and_every_answer_stays(site, minio, versity):
    before, files = site.answers(), site.release_files()
    stores = [site.store_file(minio, "round-a"), site.store_file(versity, "round-b")]

    for target in (*stores, str(site.tmp_path / "back")):
        code, done, error = site.migrate("current", target, "--switch")
        assert (code, error) == (0, None)
        assert (done["switched"], done["releases"], done["report"]["kept"]) == (True, 2, 0)
        assert site.answers() == before
        assert site.release_files() == files

    assert set(before) == {"lab-0001", "lab-0002"}
    assert read_settings(site.home.root).store.path == site.tmp_path / "back"


def test_the_node_lives_on_at_the_new_place(site, minio):
    site.migrate("current", site.store_file(minio, "lives"), "--switch")
    before = site.answers()

    assert json.loads(site.run("ingest", "--json")[1])[0]["changed"] is False
    assert json.loads(site.run("release", "--json")[1])[0]["release"] == "lab-0002"
    site.deliver(50)
    assert json.loads(site.run("ingest", "--json")[1])[0]["changed"] is True
    assert json.loads(site.run("release", "--json")[1])[0]["release"] == "lab-0003"

    after = site.answers()
    assert {name: after[name] for name in before} == before
    assert site.run("audit", "verify")[0] == 0


def test_without_switch_the_node_stays_and_a_second_run_brings_what_is_new(site, minio):
    target = site.store_file(minio, "later")
    settings = (site.home.root / "atoll-node.toml").read_text()
    code, first, _ = site.migrate("current", target)
    assert (code, first["switched"]) == (0, False)
    assert (site.home.root / "atoll-node.toml").read_text() == settings

    site.deliver(60)
    site.run("ingest")
    _, second, _ = site.migrate("current", target, "--switch")

    assert second["report"]["kept"] == first["report"]["objects"]
    assert 0 < second["report"]["copied"] < first["report"]["objects"]
    assert [name for name in objects(minio, "later") if "_atoll" not in name] == sorted(site.lake())


def test_the_old_lake_and_the_old_settings_stay(site, minio):
    lake, settings = site.lake(), (site.home.root / "atoll-node.toml").read_text()

    site.migrate("current", site.store_file(minio, "stays"), "--switch")

    assert site.lake() == lake
    assert (site.home.root / "atoll-node.toml.before-move").read_text() == settings


def test_its_words_say_what_to_do_next_and_show_no_key(site, minio):
    target = site.store_file(minio, "words")
    _, copied, _ = site.run("store", "migrate", "current", target)
    _, switched, _ = site.run("store", "migrate", "current", target, "--switch")

    assert "stop `up` and run it again with --switch" in copied
    assert "2 releases have all their files there" in copied
    assert "atoll-node doctor" in switched
    assert SECRET not in copied + switched


class TestCutOff:
    def test_a_copy_that_is_killed_goes_on_where_it_was(self, site, minio):
        with spoiled.gateway(minio) as front:
            front.spoiler = _slowly
            target = site.store_file(front.as_server(), "killed")
            command = [sys.executable, "-m", "atoll_node", "store", "migrate", "current", target, "--switch"]
            environment = {**os.environ, "ATOLL_NODE_HOME": str(site.home.root)}
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
            kept = _wait_for_lines(site.home.state.parent, 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            front.spoiler = spoiled.honest
            before = read_settings(site.home.root).store

            code, done, _ = site.migrate("current", target, "--switch")

            assert before.kind == "folder"
            assert code == 0
            assert done["report"]["kept"] >= kept
            assert done["report"]["copied"] < done["report"]["objects"]
            assert done["switched"]
            assert len(site.answers()) == 2

    def test_cut_off_between_record_and_settings_it_is_finished_by_running_again(self, site, minio):
        target = site.store_file(minio, "between")
        before = site.answers()
        site.migrate("current", target, "--switch")
        shutil.copy(site.home.root / "atoll-node.toml.before-move", site.home.root / "atoll-node.toml")

        code, done, _ = site.migrate("current", target, "--switch")

        assert (code, done["report"]["copied"], done["switched"]) == (0, 0, True)
        assert site.answers() == before


def _slowly(request, onward):
    if "/lab/" in request.path and request.method == "PUT":
        time.sleep(0.3)
    return onward(request)


def _wait_for_lines(folder, lines):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [len(file.read_text().splitlines()) for file in folder.glob("copy-*.jsonl")]
        if found and found[0] > lines:
            return found[0] - 1
        time.sleep(0.02)
    raise AssertionError("the copy did not begin")


class TestRefusals:
    def refused(self, site, *arguments):
        before = (site.home.root / "atoll-node.toml").read_text()
        code, _, error = site.migrate(*arguments)
        assert (site.home.root / "atoll-node.toml").read_text() == before
        assert not site.home.moves.exists()
        return code, error["code"]

    def test_a_store_that_loses_commits(self, site, minio):
        with spoiled.gateway(minio, spoiled.two_win) as front:
            target = site.store_file(front.as_server(), "unsafe")
            found = self.refused(site, "current", target, "--switch")
        assert found == (ExitCode.REFUSED, "store.two_winners")
        assert objects(minio, "unsafe") == ["_atoll/store"]

    def test_a_place_that_holds_something(self, site, tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "theirs.txt").write_text("theirs")

        assert self.refused(site, "current", str(tmp_path / "full"))[1] == "store.not_empty"

    def test_a_store_that_changes_bytes(self, site, minio):
        def flipping(request, onward):
            if request.method == "PUT" and request.path.endswith(".parquet") and "/lab/" in request.path:
                request = spoiled.Request(
                    request.method, request.target, request.headers, request.body[:-1] + b"x"
                )
            return onward(request)

        with spoiled.gateway(minio, flipping) as front:
            target = site.store_file(front.as_server(), "flips")
            assert self.refused(site, "current", target, "--switch")[1] == "store.copy_differs"

    def test_a_release_whose_file_is_gone_already(self, site, tmp_path):
        release = Releases(site.home).load("lab-0001")
        Path(release.tables[0].paths()[0]).unlink()

        found = self.refused(site, "current", str(tmp_path / "new"), "--switch")
        assert found[1] == "store.incomplete"

    def test_while_the_node_is_up(self, site, tmp_path):
        with running_alone(site.home):
            assert self.refused(site, "current", str(tmp_path / "new"), "--switch")[1] == "node.running"

    def test_while_an_ingest_writes(self, site, tmp_path):
        with sole_writer(site.home.state.parent / "lab.lock"):
            assert self.refused(site, "current", str(tmp_path / "new"), "--switch")[1] == "lake.writer"

    def test_another_lake_than_the_node_s(self, site, tmp_path):
        shutil.copytree(site.home.root / "lake", tmp_path / "other")

        arguments = (str(tmp_path / "other"), str(tmp_path / "new"), "--switch")
        assert self.refused(site, *arguments)[1] == "store.not_current"

    def test_the_same_place(self, site):
        found = self.refused(site, "current", str(site.home.root / "lake"))
        assert found == (ExitCode.USAGE, "store.same_place")

    def test_a_file_that_is_no_store(self, site):
        assert self.refused(site, "current", str(site.export / "person.csv"))[1] == "store.file"


def test_two_places_can_be_copied_without_the_node_s_lake(site, minio, tmp_path):
    shutil.copytree(site.home.root / "lake", tmp_path / "other")

    code, done, _ = site.migrate(str(tmp_path / "other"), site.store_file(minio, "other"))

    assert (code, done["releases"]) == (0, 0)
    assert done["report"]["objects"] == len(objects(minio, "other")) - 2
