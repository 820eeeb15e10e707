"""Buckets that are hosts (``https://bucket.host/…``) work for every reader and writer of the node.

Such names need DNS. Each command runs in a mount namespace of its own, in which ``/etc/hosts`` has them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.minio import running_minio
from tests.support.node_of_a_store import node_home
from tests.support.s3_server import BUCKET, free_port

ROOT = Path(__file__).parents[2]
HOST = "s3.hospital.test"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return how a command is run with names of its own, or skip."""
    hosts = tmp_path_factory.mktemp("names") / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {HOST} {BUCKET}.{HOST}\n")
    command = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount --bind "$0" /etc/hosts && exec "$@"',
    ]
    command.append(str(hosts))
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this machine gives no mount namespace, so that bucket names cannot be made known here")
    return command


@pytest.fixture(scope="module")
def node(alone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    port = free_port()
    with running_minio(folder / "data", port=port, domain=HOST) as server:
        store = server.store(folder / "keys", prefix="hosts")
        changes = {"endpoint": f"http://{HOST}:{port}", "path_style": False}
        export = folder / "export"
        export.mkdir()
        (export / "person.csv").write_text("person_id,gender_concept_id,year_of_birth\n1,8507,1950\n")
        dataset = f'[[datasets]]\nname = "lab"\ntitle = "Lab"\nformat = "omop"\npath = "{export}"\n'
        home = node_home(folder / "home", store.model_copy(update=changes), extra=dataset)

        def run(*arguments):
            typed = [
                *alone,
                sys.executable,
                "-m",
                "atoll_node",
                *arguments,
                "--home",
                str(home.root),
                "--json",
            ]
            done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr, server

        yield run


def test_the_store_is_proven_tables_are_written_and_a_release_is_read(node):
    code, out, error, server = node("ingest")
    assert (code, error) == (0, "")
    assert json.loads(out)[0]["changed"]

    code, out, error, _ = node("release")
    assert (code, error) == (0, "")
    assert json.loads(out)[0]["release"] == "lab-0001"

    stored = [one.object_name for one in server.client.list_objects(BUCKET, recursive=True)]
    assert any(name.startswith("hosts/lab/person/") and name.endswith(".parquet") for name in stored)


def test_the_doctor_finds_nothing_wrong_with_it(node):
    _, out, _, _ = node("doctor")

    lines = {line["line"]: line["state"] for line in json.loads(out)["lines"]}
    examined = {name: state for name, state in lines.items() if name.startswith(("store", "Delta", "DuckDB"))}
    # The way to a store on another machine has no TLS here, which is said.
    assert examined.pop("store: TLS") == "warning"
    assert set(examined.values()) == {"ok"}
