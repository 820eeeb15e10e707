"""Wire the node: the only place that constructs adapters and hands clocks, ids and randomness around."""

import difflib
import fcntl
import json
import os
import random
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from atoll_node.agent import Agent, HubClient, Identity, Standing, enrol
from atoll_node.answer import Answers, Stages
from atoll_node.audit import AuditLog, Decision
from atoll_node.catalog import describe, profile_of
from atoll_node.catalog.duckdb_adapter import opened
from atoll_node.disclosure import Ledger, LedgerStore, clear, clear_parts
from atoll_node.engine import DuckDbEngine, S3Access
from atoll_node.engine.connection import reach
from atoll_node.errors import NodeError, SettingsError
from atoll_node.home import Home
from atoll_node.ingest import IngestReport, TableReport, ingest, last_ingest, release
from atoll_node.keys import NodeKey, make_secrets, read_node_key
from atoll_node.outbound import Journal, Outbox
from atoll_node.permits import PermitStore, Pins, TaskStore
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import SETTINGS_FILE, DatasetSettings, NodeSettings, read_settings
from atoll_node.sources import SourceProgress, stage
from atoll_node.staging import Quarantined, SourceWarning, Staged
from atoll_node.state import State
from atoll_node.tables.places import places_of
from atoll_schemas.catalog import CatalogEntry, CatalogPush
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


def enrol_node(node: Node, code: str) -> Enrolled:
    """Enrol, pin the hub's key, and keep what the hub said."""
    client = _client(node)
    try:
        enrolled = enrol(client, node.key, code, site=node.settings.site, software=software())
    finally:
        client.close()
    facts = {
        "hub": enrolled.hub_id,
        "node": enrolled.node_id,
        "keys": [str(key["kid"]) for key in enrolled.hub_keys],
    }
    with node.audit.recorded(Decision("node.enrolled", "operator", enrolled.site, facts)):
        write_whole(node.home.enrolment, enrolled.model_dump_json(indent=2))
    return enrolled


def open_agent(node: Node, stages: Stages) -> Agent:
    """Wire the agent of an enrolled node to its answers, permits and outbox."""
    enrolled = read_enrolment(node.home)
    client = _client(node)
    client.identify(Identity(enrolled.node_id, enrolled.audience, node.key))
    pins = Pins(enrolled.site, enrolled.hub_id, enrolled.hub_keys)
    answers = Answers(pins, node.permits, node.tasks, node.audit, stages, node.world.clock)
    return Agent(
        client,
        answers,
        lambda request: take_request(node, request),
        node.outbox,
        settings=node.settings.agent,
        software=software(),
        clock=node.world.clock,
        random=node.world.random,
        report=lambda standing: write_standing(node, standing),
    )


def take_request(node: Node, request: PermitRequest) -> None:
    """Keep a project's application for the steward."""
    facts = {"project": request.project, "request": request.digest()}
    node.permits.take_request(request, Decision("permit.requested", "hub", request.permit_id, facts))


def write_standing(node: Node, standing: Standing) -> None:
    """Leave word for ``atoll-node status``."""
    content = {
        "at": node.world.clock().isoformat(),
        "process": os.getpid(),
        "state": standing.state,
        "code": standing.code,
        "detail": standing.detail,
        "next_step": standing.next_step,
    }
    write_whole(node.home.standing, json.dumps(content))


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


def open_stages(node: Node) -> Stages:
    """Wire the way out: releases, DuckDB over their files, and the gate with its ledger."""
    engine = DuckDbEngine(node.settings.engine, node.home.scratch, _s3(node))
    ledger = Ledger(LedgerStore(node.home.state))
    site, settings = node.settings.site, node.settings.gate
    return Stages(
        release_of=_Newest(Releases(node.home)),
        run=partial(engine.run, clock=time.perf_counter),
        clear=lambda raw, query, release: clear(
            raw, query=query, release=release, site=site, settings=settings, ledger=ledger
        ),
    )


class _Newest:
    """The newest release of a dataset, read and checked once."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._read: dict[str, Release] = {}

    def __call__(self, dataset: str) -> Release | None:
        names = self._releases.names(dataset)
        if not names:
            return None
        kept = self._read.get(dataset)
        if kept is None or kept.name != names[-1]:
            kept = self._read[dataset] = self._releases.load(names[-1])
        return kept


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


@dataclass(frozen=True)
class Ingested:
    """What one ingest did, and which records it did not take."""

    report: IngestReport
    quarantined: tuple[Quarantined, ...]
    warnings: tuple[SourceWarning, ...]


def ingest_dataset(
    node: Node,
    dataset: DatasetSettings,
    reading: Callable[[SourceProgress], None],
    written: Callable[[TableReport], None],
) -> Ingested:
    """Bring a dataset's files into its tables, and put it on record."""
    seen: list[Staged] = []

    def staged(
        dataset: DatasetSettings,
        *,
        scratch: Path,
        quarantine: Path,
        progress: Callable[[SourceProgress], None],
        today: date,
    ) -> Staged:
        seen.append(stage(dataset, scratch=scratch, quarantine=quarantine, progress=progress, today=today))
        return seen[-1]

    report = ingest(
        dataset,
        node=node.settings,
        home=node.home,
        clock=node.world.clock,
        reading=reading,
        written=written,
        stage=staged,
    )
    facts = {"batch": report.batch, "changed": report.changed}
    node.audit.record(Decision("ingest.completed", "operator", dataset.name, facts))
    return Ingested(report, seen[-1].quarantined, seen[-1].warnings)


def release_dataset(node: Node, dataset: DatasetSettings) -> Release:
    """Freeze a dataset, describe it through the gate, and queue the catalog for the hub."""
    before = Releases(node.home).names(dataset.name)
    frozen = release(dataset, node=node.settings, home=node.home, clock=node.world.clock)
    if frozen.name not in before:
        facts = {"digest": frozen.content_digest}
        node.audit.record(Decision("release.created", "operator", frozen.name, facts))
    push = _catalog_with(node, _entry(node, dataset, frozen))
    described = Decision("catalog.described", "operator", frozen.name, {"catalog": push.digest()})
    with node.audit.recorded(described) as connection:
        node.outbox.post(connection, "catalog", push.model_dump_json(by_alias=True, exclude_none=True))
    return frozen


def _entry(node: Node, dataset: DatasetSettings, frozen: Release) -> CatalogEntry:
    s3 = _s3(node)
    prepare = None if s3 is None else partial(reach, s3=s3)
    scratch = node.home.scratch / "catalog"
    with opened(frozen, node.settings.engine, scratch=scratch, prepare=prepare) as view:
        profile = profile_of(view, frozen)
    return describe(
        profile,
        frozen,
        title=dataset.title,
        description=dataset.description,
        settings=node.settings.gate,
        clear_parts=clear_parts,
    )


def _catalog_with(node: Node, entry: CatalogEntry) -> CatalogPush:
    """Return the node's whole catalog: the one before with this entry in the place of its dataset."""
    offered = {dataset.name for dataset in node.settings.datasets}
    last = node.outbox.newest("catalog")
    before = CatalogPush.model_validate_json(last).entries if last else ()
    kept = tuple(one for one in before if one.dataset != entry.dataset and one.dataset in offered)
    return CatalogPush(
        site=node.settings.site,
        entries=tuple(sorted((*kept, entry), key=lambda one: one.dataset)),
        pushed_at=node.world.clock(),
        last_ingest=last_ingest(entry.dataset, node.home).finished_at.date(),
    )


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
        "datasets": [
            {"dataset": name, "release": found.name if found else None} for name, found in newest.items()
        ],
        "permits": [{"permit": held.request.permit_id, "state": held.state} for held in node.permits.all()],
        "waiting_to_be_sent": len(node.outbox.waiting()),
        "declined_by_hub": [f"{kind}: {code}" for kind, code in node.outbox.refusals()],
    }


def _s3(node: Node) -> S3Access | None:
    places = places_of(node.home, node.settings.store)
    if places.s3 is None or places.keys is None:
        return None
    return S3Access(
        endpoint=places.s3.endpoint,
        access_key=places.keys.access,
        secret_key=places.keys.secret,
        region=places.s3.region,
        path_style=places.s3.path_style,
        ca_file=places.s3.ca_file,
    )


def _client(node: Node) -> HubClient:
    return HubClient(
        node.settings.hub,
        node.settings.network,
        node.journal,
        clock=node.world.clock,
        new_id=node.world.new_id,
    )
