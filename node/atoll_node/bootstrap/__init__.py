"""Wire the node: open its records, and hand clocks, ids and randomness around.

``network`` wires what talks to the hub and ``data`` what touches tables; a command loads what it needs,
so that ``permits list`` does not wait for DuckDB.
"""

import difflib
import fcntl
import json
import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from atoll_node.audit import AuditLog, Decision
from atoll_node.errors import NodeError, SettingsError
from atoll_node.home import Home
from atoll_node.keys import NodeKey, make_secrets, read_node_key
from atoll_node.outbound import Journal, Outbox
from atoll_node.permits import PermitStore, TaskStore
from atoll_node.releases import Releases
from atoll_node.settings import SETTINGS_FILE, DatasetSettings, NodeSettings, read_settings
from atoll_node.state import State
from atoll_node.store.kept_proof import read_proof
from atoll_schemas.permits import Permit, PermitRequest
from atoll_schemas.problems import ExitCode
from atoll_schemas.protocol import PERMIT_TYPE, Enrolled, PermitStatement


@dataclass(frozen=True)
class World:
    """What the node takes from outside: time, identifiers, randomness."""

    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    random_bytes: Callable[[int], bytes]
    random: Callable[[], float]


def real_world() -> World:
    """Return this machine's clock and randomness."""
    return World(
        clock=lambda: datetime.now(UTC),
        new_id=lambda: uuid4().hex,
        random_bytes=secrets.token_bytes,
        random=random.SystemRandom().random,
    )


@dataclass(frozen=True)
class Node:
    """A node's opened home: settings, key, and the rooms that keep records."""

    home: Home
    settings: NodeSettings
    key: NodeKey
    world: World
    state: State
    audit: AuditLog
    journal: Journal
    outbox: Outbox
    permits: PermitStore
    tasks: TaskStore


def software() -> str:
    """Return the name and version that the hub is told."""
    return f"atoll-node/{version('atoll-node')}"


def make_home(home: Home, settings_text: str, world: World) -> None:
    """Make the home (0700), its settings and secrets; existing secrets and settings are never replaced."""
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.root.chmod(0o700)
    file = home.root / SETTINGS_FILE
    if file.exists():
        raise SettingsError(
            "settings.exists", f"there is a {SETTINGS_FILE} already", "edit it, or choose another --home"
        )
    file.write_text(settings_text, encoding="utf-8")
    file.chmod(0o600)
    make_secrets(home, world.random_bytes(32))
    for folder in (home.state.parent, home.releases, home.quarantine, home.scratch, home.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_node(home: Home, world: World) -> Node:
    """Read settings and key and open the records. Raises ``SettingsError``."""
    settings = read_settings(home.root)
    key = read_node_key(home)
    state = State(home.state)
    audit = AuditLog(state, key.seal_key(), world.clock)
    outbox = Outbox(state, world.clock)

    def post(connection: sqlite3.Connection, permit: Permit) -> None:
        statement = PermitStatement(token=key.sign(PERMIT_TYPE, permit.canonical()))
        outbox.post(connection, "permit", statement.model_dump_json())

    return Node(
        home=home,
        settings=settings,
        key=key,
        world=world,
        state=state,
        audit=audit,
        journal=Journal(state, world.clock),
        outbox=outbox,
        permits=PermitStore(state, audit, post),
        tasks=TaskStore(state, audit, world.clock),
    )


def read_enrolment(home: Home) -> Enrolled:
    """Read what the hub said at enrolment. Raises ``SettingsError`` when the node is not enrolled."""
    try:
        return Enrolled.model_validate_json(home.enrolment.read_bytes())
    except FileNotFoundError as error:
        raise SettingsError(
            "node.not_enrolled", "this node is not enrolled at a hub", "run: atoll-node enroll CODE"
        ) from error
    except ValidationError as error:
        raise SettingsError(
            "node.enrolment", "enrolment.json is damaged", "ask the hub's operator for a new code"
        ) from error


def take_request(node: Node, request: PermitRequest) -> None:
    """Keep a project's application for the steward."""
    facts = {"project": request.project, "request": request.digest()}
    node.permits.take_request(request, Decision("permit.requested", "hub", request.permit_id, facts))


def write_whole(file: Path, text: str) -> None:
    """Replace a file so that a reader sees the old or the new content, never half."""
    new = file.with_name(file.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o600)
    new.replace(file)


class AlreadyRunning(NodeError):
    """Another process runs this node."""


@contextmanager
def running_alone(home: Home) -> Iterator[None]:
    """Hold the node's running lock; the system frees it when the process ends, however it ends."""
    with home.running_lock.open("a", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                "node.running", "this node is already up", "see: atoll-node status"
            ) from error
        yield


def is_running(home: Home) -> bool:
    """Say whether a process holds the running lock."""
    if not home.running_lock.exists():
        return False
    try:
        with running_alone(home):
            return False
    except AlreadyRunning:
        return True


def empty_spill(home: Home) -> None:
    """Remove what an earlier process spilled. What a running ingest stages lies elsewhere in scratch."""
    shutil.rmtree(home.scratch / "engine", ignore_errors=True)
    home.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)


def datasets_of(node: Node, named: str | None) -> tuple[DatasetSettings, ...]:
    """Return the named dataset, or all. Raises ``DatasetUnknown`` with the nearest known name."""
    known = node.settings.datasets
    if named is None:
        return known
    found = tuple(dataset for dataset in known if dataset.name == named)
    if not found:
        near = difflib.get_close_matches(named, [dataset.name for dataset in known], n=1)
        raise DatasetUnknown(
            "dataset.unknown",
            "the settings have no such dataset",
            f"did you mean {near[0]}?" if near else f"add it to {SETTINGS_FILE}",
        )
    return found


class DatasetUnknown(NodeError):
    """The settings have no such dataset."""

    exit_code = ExitCode.NOT_FOUND


def state_of(node: Node) -> dict[str, Any]:
    """Return how the node stands, in plain values."""
    releases = Releases(node.home)
    try:
        enrolled = read_enrolment(node.home)
        enrolment: Any = {"node": enrolled.node_id, "hub": enrolled.hub_id}
    except SettingsError:
        enrolment = None
    newest = {dataset.name: releases.latest(dataset.name) for dataset in node.settings.datasets}
    standing = json.loads(node.home.standing.read_text()) if node.home.standing.exists() else None
    return {
        "site": node.settings.site,
        "hub": node.settings.hub,
        "software": software(),
        "enrolment": enrolment,
        "up": is_running(node.home),
        "contact": standing,
        "store": _store_state(node),
        "datasets": [
            {"dataset": name, "release": found.name if found else None} for name, found in newest.items()
        ],
        "permits": [{"permit": held.request.permit_id, "state": held.state} for held in node.permits.all()],
        "waiting_to_be_sent": len(node.outbox.waiting()),
        "declined_by_hub": [f"{kind}: {code}" for kind, code in node.outbox.refusals()],
    }


def _store_state(node: Node) -> dict[str, Any]:
    """Return what kind of store holds the lake, and what the races last said of it."""
    proof = read_proof(node.home.store_proof)
    kind = node.settings.store.kind
    if kind == "folder" or proof is None:
        return {"kind": kind}
    refused = next((verdict.code for verdict in proof.verdicts if not verdict.safe), None)
    return {"kind": kind, "safe": proof.safe, "refused": refused, "raced": proof.at.isoformat()}
