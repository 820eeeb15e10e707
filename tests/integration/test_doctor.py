"""`atoll-node doctor` finds each fault it is there for, on real stores, a hub over TLS and real proxies."""

import json
import socket
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from minio.credentials.providers import StaticProvider
from minio.minioadmin import MinioAdmin
from minio.versioningconfig import ENABLED, VersioningConfig

from atoll_node.bootstrap import World, real_world, running_alone
from atoll_node.bootstrap.doctor import lines_of
from atoll_node.bootstrap.examined import Machine
from atoll_node.cli import app
from atoll_node.doctor.examination import examine
from atoll_node.doctor.machine import GB, Listener, Volume
from atoll_node.home import Home
from atoll_node.moves import Move, Moves
from atoll_node.outbound import Journal
from atoll_node.state import State
from atoll_node.store.kept_proof import read_proof
from atoll_schemas.problems import ExitCode
from atoll_schemas.protocol import Enrolled
from tests.support import unsafe_store as spoiled
from tests.support.minio import running_minio
from tests.support.node_of_a_store import node_home
from tests.support.node_records import HUB_ID
from tests.support.s3_server import ACCESS, BUCKET, SECRET
from tests.support.sail import running_sail
from tests.support.scripted_hub import connect_proxy, private_ca, scripted_hub
from tests.support.versity import running_versity

REAL = real_world()


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("store") / "data") as running:
        yield running


@pytest.fixture
def front(minio):
    with spoiled.gateway(minio) as running:
        yield running


def names_of(home: Home) -> list[str]:
    return [line.name for line in lines_of(home, REAL)]


def find(home: Home, name: str, *, world: World = REAL, machine: Machine | None = None):
    """Run one line, after those that it leans on."""
    lines = {line.name: line for line in lines_of(home, world, machine)}
    wanted, waiting = {name}, [name]
    while waiting:
        new = set(lines[waiting.pop()].needs) - wanted
        wanted |= new
        waiting += new
    found = examine([line for line in lines.values() if line.name in wanted])
    return next(one for one in found if one.line == name)


@dataclass
class Site:
    """A node's home that a test spoils."""

    home: Home
    folder: Path

    def write(self, before: str, after: str) -> None:
        file = self.home.root / "atoll-node.toml"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    def enrol(self, hub_id: str = HUB_ID) -> None:
        enrolled = Enrolled(
            site="north", node_id="node-1", hub_id=hub_id, hub_keys=({"kid": "k"},), audience="https://x"
        )
        self.home.enrolment.write_text(enrolled.model_dump_json())


def a_site(tmp_path, store=None, *, hub="http://127.0.0.1:9", extra="") -> Site:
    export = tmp_path / "export"
    export.mkdir(exist_ok=True)
    dataset = f'[[datasets]]\nname = "lab"\ntitle = "Lab"\nformat = "omop"\npath = "{export}"\n'
    return Site(node_home(tmp_path / "home", store, hub=hub, extra=extra + dataset), tmp_path)


def in_store(server, tmp_path, **changes) -> Site:
    store = server.store(tmp_path / "keys", prefix=tmp_path.name)
    return a_site(tmp_path, store.model_copy(update=changes))


def trusting(ca_file: Path) -> str:
    return f'[network]\nca_file = "{ca_file}"\n'


class TestAHealthyNode:
    @pytest.fixture
    def healthy(self, minio, tmp_path):
        ca = private_ca(tmp_path / "ca")
        with scripted_hub(ca.server_file) as hub:
            site = a_site(
                tmp_path, minio.store(tmp_path / "keys", prefix=tmp_path.name), hub=hub.url,
                extra=trusting(ca.ca_file),
            )  # fmt: skip
            site.enrol()
            yield site

    def test_every_line_is_ok_in_less_than_half_a_minute(self, healthy, capsys):
        begun = time.monotonic()
        code = app(["doctor", "--json", "--home", str(healthy.home.root)])
        took = time.monotonic() - begun

        said = json.loads(capsys.readouterr().out)
        network_and_store = [
            line for line in said["lines"] if line["line"] not in ("memory", "disk", "open files")
        ]
        assert [line for line in network_and_store if line["state"] != "ok"] == []
        assert (code, said["blockers"]) == (0, 0)
        assert [line["line"] for line in said["lines"]] == names_of(healthy.home)
        assert took < 30

    def test_it_leaves_nothing_behind_but_the_mark_and_keeps_the_proof(self, healthy, minio, capsys):
        app(["doctor", "--home", str(healthy.home.root)])

        left = minio.client.list_objects(BUCKET, prefix=f"{healthy.folder.name}/", recursive=True)
        assert [one.object_name for one in left] == [f"{healthy.folder.name}/_atoll/store"]
        assert read_proof(healthy.home.store_proof).safe
        assert not list((healthy.home.scratch / "doctor").iterdir())

    def test_what_it_asked_the_hub_stands_in_the_outbound_record(self, healthy, capsys):
        app(["doctor", "--home", str(healthy.home.root)])

        (sent,) = Journal(State(healthy.home.state), REAL.clock).last(5)
        assert (sent.method, sent.path, sent.why, sent.bytes) == ("GET", "/v1/health", "doctor", 0)

    def test_no_key_is_shown(self, healthy, capsys):
        app(["doctor", "--home", str(healthy.home.root)])
        app(["doctor", "--json", "--home", str(healthy.home.root)])

        said = capsys.readouterr()
        assert not [key for key in (ACCESS, SECRET) if key in said.out + said.err]

    def test_brief_shows_only_what_is_not_ok(self, healthy, capsys):
        app(["doctor", "--brief", "--home", str(healthy.home.root)])

        assert "ok  " not in capsys.readouterr().out


STORE_LINES = ("store: multipart", "Delta race", "DuckDB reads Delta and spills")


def test_a_lake_in_a_folder_is_examined_too_and_stays_as_it_was(tmp_path):
    home = a_site(tmp_path).home

    assert [find(home, name).state for name in STORE_LINES] == ["ok"] * 3
    assert list((home.root / "lake").iterdir()) == []


def test_a_second_unrelated_store_is_examined_too(tmp_path):
    with running_versity(tmp_path / "versity") as server:
        home = in_store(server, tmp_path).home
        assert [find(home, name).state for name in STORE_LINES] == ["ok"] * 3


def misspelt(tmp_path, minio, front):
    site = a_site(tmp_path, extra="[gate]\nminimum_person = 5\n")
    found = find(site.home, "configuration")
    assert "did you mean minimum_persons?" in found.told
    return found


def open_secret(tmp_path, minio, front):
    site = a_site(tmp_path)
    site.home.node_key.chmod(0o640)
    return find(site.home, "secret files")


def unknown_name(tmp_path, minio, front):
    return find(a_site(tmp_path, hub="https://hub.invalid").home, "DNS")


def refusing_proxy(tmp_path, minio, front):
    with connect_proxy() as proxy:
        proxy.refusal = 407
        extra = f'[network]\nproxy = "{proxy.url}"\n'
        found = find(a_site(tmp_path, hub="https://127.0.0.1:9", extra=extra).home, "proxy")
    assert "name and password" in found.told
    return found


def unknown_authority(tmp_path, minio, front):
    with scripted_hub(private_ca(tmp_path / "ca", "Hospital Root CA").server_file) as hub:
        found = find(a_site(tmp_path, hub=hub.url).home, "TLS chain")
    assert "Hospital Root CA" in found.told
    assert "network.ca_file" in found.fix
    return found


def opened_on_the_way(tmp_path, minio, front):
    ca = private_ca(tmp_path / "ca", "Zscaler Intermediate Root CA")
    with scripted_hub(ca.server_file) as hub:
        site = a_site(tmp_path, hub=hub.url, extra=trusting(ca.ca_file))
        assert find(site.home, "TLS chain").state == "ok"
        return find(site.home, "TLS interception")


def another_hub(tmp_path, minio, front):
    with scripted_hub() as hub:
        site = a_site(tmp_path, hub=hub.url)
        site.enrol("hub-of-another-consortium")
        return find(site.home, "hub")


def another_protocol(tmp_path, minio, front):
    with scripted_hub(protocol="99") as hub:
        return find(a_site(tmp_path, hub=hub.url).home, "protocol version")


def wrong_clock(tmp_path, minio, front):
    late = replace(REAL, clock=lambda: REAL.clock() + timedelta(minutes=5))
    with scripted_hub() as hub:
        found = find(a_site(tmp_path, hub=hub.url).home, "clock", world=late)
    assert "300 seconds" in found.told or "301 seconds" in found.told
    return found


def stranger_store(tmp_path, minio, front):
    with running_minio(tmp_path / "data", authority=private_ca(tmp_path / "ca")) as secure:
        return find(in_store(secure, tmp_path, ca_file=None).home, "store: TLS")


def wrong_secret(tmp_path, minio, front):
    site = in_store(minio, tmp_path)
    (tmp_path / "keys" / "secret").write_text("planted-wrong-secret")
    found = find(site.home, "store: credentials")
    assert "planted" not in found.told + found.fix
    return found


def full_store(tmp_path, minio, front):
    front.spoiler = spoiled.full
    return find(in_store(front.as_server(), tmp_path).home, "store: free space")


def no_parts(tmp_path, minio, front):
    front.spoiler = spoiled.no_multipart
    return find(in_store(front.as_server(), tmp_path).home, "store: multipart")


def stale_lists(tmp_path, minio, front):
    front.spoiler = spoiled.empty_lists
    return find(in_store(front.as_server(), tmp_path).home, "store: list after write")


def versions_for_ever(tmp_path, minio, front):
    minio.client.make_bucket("for-ever")
    minio.client.set_bucket_versioning("for-ever", VersioningConfig(ENABLED))
    return find(in_store(minio, tmp_path, bucket="for-ever").home, "store: versioning")


def no_condition(tmp_path, minio, front):
    front.spoiler = spoiled.header_dropped
    return find(in_store(front.as_server(), tmp_path).home, "store: conditional PUT")


def two_winners(tmp_path, minio, front):
    front.spoiler = spoiled.two_win
    return find(in_store(front.as_server(), tmp_path).home, "store: raced PUT")


def lost_commits(tmp_path, minio, front):
    front.spoiler = spoiled.LostCommits()
    return find(in_store(front.as_server(), tmp_path).home, "Delta race")


def no_spill(tmp_path, minio, front):
    site = a_site(tmp_path, extra='[engine]\nspill = "1MB"\n')
    return find(site.home, "DuckDB reads Delta and spills")


def spark_away(tmp_path, minio, front):
    extra = '[engine]\nkind = "spark"\n[spark]\naddress = "127.0.0.1:9"\ntls = false\n'
    return find(a_site(tmp_path, extra=extra).home, "Spark Connect")


def left_behind(tmp_path, minio, front):
    site = a_site(tmp_path)
    (tmp_path / "old" / "lab").mkdir(parents=True)
    (tmp_path / "old" / "lab" / "v1.parquet").write_bytes(b"rows")
    Moves(site.home).add(Move(before=str(tmp_path / "old"), after="/srv/new", at=REAL.clock()))
    return find(site.home, "old lakes")


def little_memory(tmp_path, minio, front):
    return find(a_site(tmp_path, extra='[engine]\nmemory = "900TB"\n').home, "memory")


def full_disk(tmp_path, minio, front):
    machine = Machine(volume=lambda folder: Volume(GB, 10**7, 10**7))
    return find(a_site(tmp_path).home, "disk", machine=machine)


def no_inodes(tmp_path, minio, front):
    machine = Machine(volume=lambda folder: Volume(900 * GB, 10**7, 17))
    return find(a_site(tmp_path).home, "inodes", machine=machine)


def few_files(tmp_path, minio, front):
    return find(a_site(tmp_path).home, "open files", machine=Machine(open_files=lambda: 256))


def public_port(tmp_path, minio, front):
    site = a_site(tmp_path)
    site.home.standing.write_text('{"process": 4711}')
    machine = Machine(listeners=lambda process: (Listener("10.1.2.3", process),))
    with running_alone(site.home):
        found = find(site.home, "listening ports", machine=machine)
    assert "10.1.2.3 port 4711" in found.told
    return found


FAULTS = {
    "configuration": misspelt,
    "secret files": open_secret,
    "DNS": unknown_name,
    "proxy": refusing_proxy,
    "TLS chain": unknown_authority,
    "TLS interception": opened_on_the_way,
    "hub": another_hub,
    "protocol version": another_protocol,
    "clock": wrong_clock,
    "store: TLS": stranger_store,
    "store: credentials": wrong_secret,
    "store: free space": full_store,
    "store: multipart": no_parts,
    "store: list after write": stale_lists,
    "store: versioning": versions_for_ever,
    "store: conditional PUT": no_condition,
    "store: raced PUT": two_winners,
    "Delta race": lost_commits,
    "DuckDB reads Delta and spills": no_spill,
    "Spark Connect": spark_away,
    "old lakes": left_behind,
    "memory": little_memory,
    "disk": full_disk,
    "inodes": no_inodes,
    "open files": few_files,
    "listening ports": public_port,
}
WARNINGS = {"TLS interception", "store: versioning", "old lakes"}
"""The node works all the same: these do not block."""


@pytest.mark.parametrize("line", FAULTS)
def test_the_fault_of_a_line_is_found_with_its_fix(line, tmp_path, minio, front):
    found = FAULTS[line](tmp_path, minio, front)

    assert found.checked, found
    assert found.state == ("warning" if line in WARNINGS else "blocker")
    assert found.fix


def test_every_line_has_a_test_in_which_it_fails(tmp_path):
    assert list(FAULTS) == names_of(Home(tmp_path))


class TestSparkConnect:
    def test_a_node_without_an_endpoint_needs_none(self, tmp_path):
        assert find(a_site(tmp_path).home, "Spark Connect").told == "the node does not use one"

    def test_an_endpoint_that_keeps_rows_is_ok(self, tmp_path):
        with running_sail(tmp_path / "sail") as access:
            extra = f'[engine]\nkind = "spark"\n[spark]\naddress = "{access.address}"\ntls = false\n'
            found = find(a_site(tmp_path, extra=extra).home, "Spark Connect")
        assert (found.state, access.address in found.told) == ("ok", True)

    def test_sail_without_a_place_for_checkpoints_is_a_blocker(self, tmp_path):
        with running_sail(tmp_path / "sail", checkpoints=False) as access:
            extra = f'[engine]\nkind = "spark"\n[spark]\naddress = "{access.address}"\ntls = false\n'
            found = find(a_site(tmp_path, extra=extra).home, "Spark Connect")
        assert found.state == "blocker"
        assert "SAIL_EXECUTION__CHECKPOINT__PATH" in found.fix


class TestMoreFaults:
    def test_a_bucket_s_quota_is_felt(self, minio, tmp_path):
        minio.client.make_bucket("small")
        address = urlsplit(minio.endpoint).netloc
        admin = MinioAdmin(endpoint=address, credentials=StaticProvider(ACCESS, SECRET), secure=False)
        admin.bucket_quota_set("small", 1_000_000)

        found = find(in_store(minio, tmp_path, bucket="small").home, "store: free space")
        assert (found.state, found.told) == ("blocker", "the bucket's quota is used up")

    def test_parts_that_come_back_changed_are_found(self, front, tmp_path):
        front.spoiler = spoiled.parts_lost

        found = find(in_store(front.as_server(), tmp_path).home, "store: multipart")
        assert (found.state, found.fix) == ("blocker", "do not use this store")

    @pytest.mark.parametrize("file", ["node_key", "pseudonym_key", "secrets", "root"])
    def test_each_secret_is_looked_at(self, tmp_path, file):
        site = a_site(tmp_path)
        getattr(site.home, file).chmod(0o755)

        assert find(site.home, "secret files").state == "blocker"

    def test_a_store_s_key_file_is_a_secret_too(self, minio, tmp_path):
        site = in_store(minio, tmp_path)
        (tmp_path / "keys" / "access").chmod(0o644)

        assert find(site.home, "secret files").state == "blocker"

    def test_files_that_are_not_there_are_a_warning(self, tmp_path):
        site = a_site(tmp_path)
        site.write(str(tmp_path / "export"), str(tmp_path / "exprot"))

        found = find(site.home, "configuration")
        assert (found.state, found.told) == ("warning", "not there: datasets.lab.path")

    def test_a_proxy_that_is_away_is_told_from_one_that_refuses(self, tmp_path):
        away = a_site(tmp_path, hub="https://127.0.0.1:9", extra='[network]\nproxy = "http://127.0.0.1:9"\n')

        assert find(away.home, "proxy").told == "the proxy cannot be reached"

    def test_the_certificate_is_seen_through_a_proxy(self, tmp_path):
        ca = private_ca(tmp_path / "ca")
        with connect_proxy() as proxy, scripted_hub(ca.server_file) as hub:
            extra = f'[network]\nproxy = "{proxy.url}"\nca_file = "{ca.ca_file}"\n'
            site = a_site(tmp_path, hub=hub.url, extra=extra)
            assert find(site.home, "protocol version").state == "ok"
            assert proxy.asked

    def test_a_hub_that_is_away_is_one_blocker_and_what_leans_on_it_says_so(self, tmp_path):
        home = a_site(tmp_path, hub="https://127.0.0.1:9").home

        assert find(home, "TLS chain").told == "the hub does not answer"
        assert find(home, "clock").told == "not checked: hub comes first"

    def test_a_store_that_is_away_is_one_blocker(self, minio, tmp_path):
        home = in_store(minio, tmp_path, endpoint="https://127.0.0.1:9").home

        assert find(home, "store: TLS").told == "the store does not answer"
        assert not find(home, "DuckDB reads Delta and spills").checked

    def test_a_store_that_accepts_and_never_answers_does_not_hold_the_doctor_up(self, minio, tmp_path):
        with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
            port = silent.getsockname()[1]
            home = in_store(minio, tmp_path, endpoint=f"http://127.0.0.1:{port}").home
            begun = time.monotonic()
            lines = [
                line for line in lines_of(home, REAL) if line.name.startswith(("store", "conf", "secret"))
            ]
            found = {one.line: one for one in examine(lines, line_seconds=1.5)}
            took = time.monotonic() - begun

        assert found["store: credentials"].state == "blocker"
        assert took < 10


def test_a_home_that_is_not_there_is_one_blocker_and_nothing_is_made(tmp_path, capsys):
    home = tmp_path / "nowhere"

    assert app(["doctor", "--home", str(home)]) == ExitCode.BLOCKER
    assert "BLOCKER  configuration: there is no atoll-node.toml" in capsys.readouterr().out
    assert not home.exists()
