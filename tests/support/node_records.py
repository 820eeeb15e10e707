"""Make a node's records, hub keys, permits and signed tasks for tests, all real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from joserfc.jwk import ECKey

from atoll_node.answer import Answers, Outcome, Stages
from atoll_node.audit import Decision
from atoll_node.bootstrap import Node, World, make_home, open_node, real_world
from atoll_node.errors import EngineError
from atoll_node.home import Home
from atoll_node.keys import NodeKey
from atoll_node.permits import Pins
from atoll_node.raw import RawAggregate, RawCount, RawStep
from atoll_node.release import Release
from atoll_node.releases import ReleaseWithdrawn, Withdrawal
from atoll_schemas.cells import Counted
from atoll_schemas.circe import CohortExpression
from atoll_schemas.permits import Permit, PermitRequest, Scope
from atoll_schemas.protocol import TASK_TYPE, Lease, Task
from atoll_schemas.query import Count, Query
from atoll_schemas.results import ClearedResult, Gate, SiteCount

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SITE = "north"
HUB_ID = "hub-test"
PERMIT_ID = "P-001.north"
COHORT = {
    "PrimaryCriteria": {
        "CriteriaList": [{"ConditionOccurrence": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
}


def settings_text(hub: str = "http://127.0.0.1:9", extra: str = "") -> str:
    return f'site = "{SITE}"\ntitle = "North Hospital"\nhub = "{hub}"\n{extra}'


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def frozen_world(clock: Callable[[], datetime]) -> World:
    real = real_world()
    return World(clock=clock, new_id=real.new_id, random_bytes=real.random_bytes, random=lambda: 0.0)


def a_node(folder: Path, clock: Callable[[], datetime] | None = None, settings: str | None = None) -> Node:
    world = frozen_world(clock or Clock())
    home = Home(folder / "home")
    make_home(home, settings or settings_text(), world)
    return open_node(home, world)


def a_hub_key() -> NodeKey:
    """A hub signs as a node does, so the same class serves."""
    return NodeKey(ECKey.generate_key("P-256"))


def a_query(dataset: str = "colon", project: str = "P-001") -> Query:
    return Query(
        project=project, dataset=dataset, cohort=CohortExpression.from_wire(COHORT), analysis=Count()
    )


def a_task(**changes: Any) -> Task:
    query = changes.pop("query", a_query())
    facts: dict[str, Any] = {
        "id": "task-1",
        "hub_id": HUB_ID,
        "site": SITE,
        "query_id": "query-1",
        "query": query,
        "query_digest": query.digest(),
        "project": query.project,
        "permit_id": PERMIT_ID,
        "purpose": "Compare arms",
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=5),
    }
    return Task(**(facts | changes))


def a_lease(task: Task, key: NodeKey, *, fence: int = 1, kind: str = TASK_TYPE, **changes: Any) -> Lease:
    facts: dict[str, Any] = {
        "task_id": task.id,
        "token": key.sign(kind, task.canonical()),
        "fence": fence,
        "lease_expires_at": NOW + timedelta(seconds=30),
    }
    return Lease(**(facts | changes))


def a_scope(**changes: Any) -> Scope:
    facts: dict[str, Any] = {
        "datasets": ("colon",),
        "methods": ("count", "table1"),
        "valid_from": NOW - timedelta(days=1),
        "valid_until": NOW + timedelta(days=30),
    }
    return Scope(**(facts | changes))


def a_request(**changes: Any) -> PermitRequest:
    facts: dict[str, Any] = {
        "permit_id": PERMIT_ID,
        "project": "P-001",
        "title": "Colon arms",
        "purpose": "Compare arms",
        "people": ("ada",),
        "scope": a_scope(),
        "requested_at": NOW,
    }
    return PermitRequest(**(facts | changes))


def a_permit(**changes: Any) -> Permit:
    facts: dict[str, Any] = {
        "permit_id": PERMIT_ID,
        "project": "P-001",
        "site": SITE,
        "state": "active",
        "scope": a_scope(),
        "purpose": "Compare arms",
        "decided_by": "steward",
        "decided_at": NOW,
        "revision": 1,
    }
    return Permit(**(facts | changes))


def approve(node: Node, permit: Permit | None = None) -> None:
    """Put a steward's decision into the node's records."""
    decided = permit or a_permit()
    node.permits.decide(decided, Decision("permit.approved", "steward", decided.permit_id))


def a_release(dataset: str = "colon") -> Release:
    return Release(
        name=f"{dataset}-0001",
        site=SITE,
        dataset=dataset,
        created_at=NOW,
        tables=(),
        content_digest="sha256:" + "0" * 64,
    )


@dataclass
class Counting:
    """An engine of one sum: it counts how often it ran, and can fail or wait as a test asks."""

    runs: list[str] = field(default_factory=list)
    fail: EngineError | None = None
    before: Callable[["Counting"], None] | None = None
    stopped: bool = False

    def __call__(
        self, query: Query, release: Release, *, stoppable: Callable[[Callable[[], None]], None]
    ) -> RawAggregate:
        self.runs.append(release.name)
        stoppable(self.stop)
        if self.before is not None:
            self.before(self)
        if self.fail is not None:
            raise self.fail
        members = np.arange(40, dtype=np.int64)
        return RawAggregate(RawCount(40, (RawStep("entry events", 40),)), members, 7)

    def stop(self) -> None:
        self.stopped = True


def count_cleared(raw: RawAggregate, query: Query, release: Release) -> ClearedResult:
    """Clear a count of forty; the real gate has its own tests."""
    return ClearedResult(
        site=SITE,
        query_digest=query.digest(),
        release=release.name,
        release_digest=release.content_digest,
        payload=SiteCount(persons=Counted(value=40), attrition=()),
        gate=Gate(minimum_persons=10, round_to=5, minimum_events=10, rules=(), withheld_cells=0),
        engine_milliseconds=raw.engine_milliseconds,
    )


@dataclass
class Desk:
    """A node's records with its answers, its engine, and the hub that signs."""

    node: Node
    hub: NodeKey
    engine: Counting
    answers: Answers
    clock: Clock
    stages: list[str] = field(default_factory=list)

    def ask(self, lease: Lease) -> Outcome | None:
        return self.answers.answer(lease, self.stages.append)

    def actions(self) -> Sequence[str]:
        return [entry.action for entry in self.node.audit.entries()]


def a_desk(folder: Path, hub: NodeKey | None = None) -> Desk:
    clock = Clock()
    node = a_node(folder, clock)
    return reopened(Desk(node, hub or a_hub_key(), Counting(), None, clock))  # type: ignore[arg-type]


def _release_asked(query: Query) -> Release | None:
    """The site has one release of one dataset; the one before it is withdrawn."""
    if query.release == "colon-0000":
        raise ReleaseWithdrawn(
            Withdrawal(release="colon-0000", reason="erasure", successor="colon-0001", at=NOW)
        )
    return a_release(query.dataset) if query.dataset == "colon" else None


def reopened(desk: Desk) -> Desk:
    """Open the same home again, as a new process would."""
    node = open_node(desk.node.home, desk.node.world)
    pins = Pins(SITE, HUB_ID, (desk.hub.public_jwk(),))
    stages = Stages(
        release_of=_release_asked,
        run=desk.engine,
        clear=count_cleared,
    )
    answers = Answers(pins, node.permits, node.tasks, node.audit, stages, desk.clock)
    return Desk(node, desk.hub, desk.engine, answers, desk.clock)
