"""The way out: verify a task, run it on one release, clear the result, remember the answer.

Read this file to know what can leave a node in answer to a question: a ``ClearedResult`` that the gate made,
or a ``Refusal`` of a closed list. Nothing runs before the signature, the permit, the period and the replay
check have passed, and any fault is a refusal.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from atoll_node.audit import AuditLog, Decision
from atoll_node.errors import MissingTable, NodeError, Refused
from atoll_node.permits import PermitStore, Pins, TaskStore, check_task, permitted
from atoll_node.raw import RawAggregate
from atoll_node.refusals import refusal
from atoll_node.release import Release
from atoll_node.releases import ReleaseWithdrawn
from atoll_schemas.protocol import Lease, Refusal, Stage, Task
from atoll_schemas.query import Query
from atoll_schemas.results import ClearedResult

log = logging.getLogger(__name__)

_CANCELLED = "cancelled"
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,80}")
Outcome = ClearedResult | Refusal
Clear = Callable[[RawAggregate, Query, Release], ClearedResult]


class Run(Protocol):
    """Computes a query on a release. Raises ``EngineError``."""

    def __call__(
        self, query: Query, release: Release, *, stoppable: Callable[[Callable[[], None]], None]
    ) -> RawAggregate:
        """Return the raw aggregate; ``stoppable`` is handed what stops the run from another thread."""


@dataclass(frozen=True)
class Stages:
    """The rooms on the way out, as ``bootstrap`` wires them."""

    release_of: Callable[[Query], Release | None]
    run: Run
    clear: Clear


class Answers:
    """Answers leases, one outcome per task for ever."""

    def __init__(
        self,
        pins: Pins,
        permits: PermitStore,
        tasks: TaskStore,
        audit: AuditLog,
        stages: Stages,
        clock: Callable[[], datetime],
    ) -> None:
        self._pins = pins
        self._permits = permits
        self._tasks = tasks
        self._audit = audit
        self._stages = stages
        self._clock = clock
        self._stops: dict[str, Callable[[], None] | None] = {}
        self._halted: dict[str, str] = {}
        self._lock = threading.Lock()

    def answer(self, lease: Lease, on_stage: Callable[[Stage], None]) -> Outcome | None:
        """Return the outcome, the stored one for a replay, or ``None`` when the task was cancelled."""
        on_stage("verifying")
        try:
            task = check_task(lease.token, task_id=lease.task_id, pins=self._pins, now=self._clock())
            stored = self._tasks.outcome(task)
            if stored is not None:
                return stored
            self._tasks.check_fence(task, lease.fence)
        except Refused as refused:
            return self._turned_away(lease, refused.code)
        with self._lock:
            self._stops[task.id] = None
        try:
            return self._answered(task, lease.fence, on_stage)
        finally:
            with self._lock:
                self._stops.pop(task.id, None)
                self._halted.pop(task.id, None)

    def cancel(self, task_id: str) -> None:
        """Stop a task; its lease stays unanswered."""
        self._halt(task_id, _CANCELLED)

    def _answered(self, task: Task, fence: int, on_stage: Callable[[Stage], None]) -> Outcome | None:
        outcome: Outcome
        try:
            self._permit(task)
            self._tasks.begin(task, fence, _accepted(task, fence))
            outcome = self._computed(task, on_stage)
            self._permit(task)
        except ReleaseWithdrawn as error:
            outcome = refusal(error.code, successor=error.successor)
        except MissingTable as error:
            outcome = refusal(error.code, table=error.table)
        except NodeError as error:
            outcome = refusal(error.code)
        except Exception as error:  # noqa: BLE001 - whatever fails on the way out is a refusal
            log.error(
                "task failed, nothing is released", extra={"task": task.id, "error": type(error).__name__}
            )
            outcome = refusal("node.failed")
        halted = self._halted.get(task.id)
        if halted == _CANCELLED:
            self._audit.record(Decision("task.cancelled", "hub", task.id))
            return None
        if halted is not None:
            outcome = refusal(halted)
        return self._tasks.finish(task, fence, outcome, _finished(task, outcome))

    def _computed(self, task: Task, on_stage: Callable[[Stage], None]) -> ClearedResult:
        on_stage("planning")
        release = self._stages.release_of(task.query)
        if release is None:
            raise Refused("release.none", "the site has no release of the dataset")
        timer = threading.Timer(self._seconds_left(task), self._halt, (task.id, "engine.deadline"))
        timer.daemon = True
        timer.start()
        try:
            on_stage("running")
            stoppable = partial(self._stoppable, task.id)
            raw = self._stages.run(task.query, release, stoppable=stoppable)
            on_stage("clearing")
            return self._stages.clear(raw, task.query, release)
        finally:
            timer.cancel()

    def _permit(self, task: Task) -> None:
        permitted(self._permits.latest(task.permit_id), task, self._clock())

    def _stoppable(self, task_id: str, stop: Callable[[], None]) -> None:
        """Take what stops the run; use it at once when the task was halted before it ran."""
        with self._lock:
            self._stops[task_id] = stop
            halted = task_id in self._halted
        if halted:
            stop()

    def _halt(self, task_id: str, why: str) -> None:
        with self._lock:
            if task_id not in self._stops:
                return
            self._halted.setdefault(task_id, why)
            stop = self._stops[task_id]
        if stop is not None:
            stop()

    def _seconds_left(self, task: Task) -> float:
        return max(0.0, (task.expires_at - self._clock()).total_seconds())

    def _turned_away(self, lease: Lease, code: str) -> Refusal:
        subject = lease.task_id if _PLAIN_ID.fullmatch(lease.task_id) else "not shown"
        self._audit.record(Decision("task.refused", "node", subject, {"code": code}))
        return refusal(code)


def _accepted(task: Task, fence: int) -> Decision:
    facts = {"query": task.query_digest, "project": task.project, "permit": task.permit_id}
    return Decision("task.accepted", "node", task.id, facts | {"fence": fence})


def _finished(task: Task, outcome: Outcome) -> Decision:
    facts = {"query": task.query_digest, "project": task.project, "outcome": outcome.digest()}
    if isinstance(outcome, ClearedResult):
        return Decision("task.answered", "node", task.id, facts | {"release": outcome.release})
    return Decision("task.refused", "node", task.id, facts | {"code": outcome.code})
