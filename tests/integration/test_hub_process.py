"""A hub that is killed loses nothing, one that is stopped ends at once, a wrong start is explained."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll_schemas.problems import ExitCode
from tests.integration.test_hub_queries import task_of
from tests.support.hub import HubProcess, PlainNode, start_hub
from tests.support.hub_consortium import catalog, cleared, project, submission


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[HubProcess]:
    hub = start_hub(tmp_path, database_url=database_url, settings={"lease_seconds": "1"})
    try:
        yield hub
    finally:
        hub.kill()


def ready_node(hub: HubProcess, site: str) -> PlainNode:
    node = PlainNode.at(hub.url)
    assert node.enrol(hub.invite(site)).status_code == 200
    node.sign_in()
    assert node.post("catalog", catalog(site).wire()).status_code == 204
    return node


def command(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from atoll_hub.cli import app; app()", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.e2e
def test_a_hub_killed_mid_query_still_takes_the_answer_exactly_once(running: HubProcess):
    ada = running.client(running.add_user("ada"))
    north = ready_node(running, "north")
    ada.post("/v1/projects", json=project())
    (request,) = north.applications()
    north.state_permit(north.decide(request))
    query_id = ada.post("/v1/queries", json=submission()).json()["query_id"]
    (lease,) = north.leases()
    running.kill()
    running.start()
    outcome = cleared("north", task_of(north, lease).query).wire()
    message = {"task_id": lease.task_id, "fence": lease.fence, "outcome": outcome}
    assert north.post(f"tasks/{lease.task_id}/answer", message).json()["replayed"] is False
    running.kill()
    running.start()
    assert north.post(f"tasks/{lease.task_id}/answer", message).json()["replayed"] is True
    result = ada.get(f"/v1/queries/{query_id}/result").json()
    assert (result["state"], result["merged"]["persons"]["value"]) == ("complete", 120)
    running.stop()
    assert json.loads(running.command("audit", "verify", "--json"))["holds"]


@pytest.mark.e2e
def test_a_long_poll_does_not_hold_up_the_end(running: HubProcess):
    north = ready_node(running, "north")
    polls: list[object] = []
    waiting = threading.Thread(target=lambda: polls.append(north.poll(wait=30)))
    waiting.start()
    time.sleep(0.5)
    assert running.stop() < 4
    waiting.join(timeout=5)
    assert len(polls) == 1, "the poll ended with an empty inbox"


@pytest.mark.e2e
def test_a_command_reaches_a_running_hubs_nodes(running: HubProcess):
    running.add_user("ada")
    north = ready_node(running, "north")
    running.command("projects", "add", "T", "--purpose", "P", "--dataset", "colon", "--by", "ada")
    assert len(north.poll(wait=5).deliveries) == 1
    assert json.loads(running.command("projects", "show", "P-001", "--json"))["title"] == "T"
    (site,) = json.loads(running.command("sites", "list", "--json"))
    assert (site["site"], site["datasets"]) == ("north", ["colon"])


def test_commands_explain_themselves_and_end_with_the_right_code(tmp_path: Path):
    home = tmp_path / "home"
    missing = command(home, "users", "list")
    assert missing.returncode == ExitCode.USAGE
    assert "atoll-hub init" in missing.stderr
    assert command(home, "init").returncode == 0
    first = (home / "atoll-hub.toml").read_text()
    assert command(home, "init").returncode == 0
    assert (home / "atoll-hub.toml").read_text() == first
    assert (home / "secrets" / "hub-signing.pem").stat().st_mode & 0o777 == 0o600
    assert command(home, "users", "revoke", "nobody").returncode == ExitCode.NOT_FOUND
    assert command(home, "users", "add", "bad name").returncode == ExitCode.USAGE
    assert command(home, "sites", "invite", "North!").returncode == ExitCode.USAGE
    plain = command(home, "up", "--host", "0.0.0.0", "--port", "18999")
    assert plain.returncode == ExitCode.USAGE
    assert "loopback" in plain.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = command(home, "up", "--port", str(port))
    assert busy.returncode == ExitCode.BLOCKER
    assert str(port) in busy.stderr
    assert "--port" in busy.stderr
