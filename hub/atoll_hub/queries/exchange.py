"""Exchange tasks and answers with nodes: leases, fences, at most one accepted answer a task."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.engine import Connection

from atoll_hub.access import NodeCaller
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Clock, Deciding, Journal
from atoll_hub.database import Database
from atoll_hub.errors import HubError, Missing, Unprocessable
from atoll_hub.governance.service import Governance
from atoll_hub.queries import rules, store
from atoll_hub.queries.events import Kind, emit, finish_if_done, query_topic
from atoll_hub.queries.service import content_digest
from atoll_schemas.protocol import Accepted, Answer, Cancelled, Delivery, Inbox, Lease, Poll, Progress
from atoll_schemas.results import SiteState

Ring = Callable[[str], None]
TOLD_AGAIN = timedelta(seconds=5)
_EVENTS: dict[SiteState, Kind] = {"answered": "answered", "refused": "refused", "failed": "failed"}


class Exchange:
    """The nodes' side of queries."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        governance: Governance,
        clock: Clock,
        lease: timedelta,
        ring: Ring,
    ) -> None:
        self._database = database
        self._journal = journal
        self._governance = governance
        self._clock = clock
        self.lease = lease
        self._ring = ring

    def has_news(self, caller: NodeCaller, poll: Poll) -> bool:
        """Whether a node's inbox would hold something now; nothing is changed."""
        now = self._clock()
        with self._database.read() as connection:
            return bool(
                store.claimable(connection, caller.site, now, 1)
                or store.dropped(connection, caller.site, poll.running, now - TOLD_AGAIN)
                or self._governance.has_due(connection, caller.site, now)
            )

    def collect(self, caller: NodeCaller, poll: Poll) -> Inbox:
        """Return a node's deliveries: what to stop, what to ask its steward, and the tasks it now holds.

        A power cut may undo that they were delivered: then they are delivered again, and the node knows them.
        """
        with self._journal.deciding(durable=False) as act:
            deliveries: list[Delivery] = [
                *self._dropped(act, caller.site, poll.running),
                *self._governance.send_due(act.connection, caller.site, act.now),
            ]
            claimed = store.claimable(act.connection, caller.site, act.now, rules.MOST_CLAIMS)
            deliveries += [self._claimed(act, caller, task) for task in claimed]
            now = act.now
        for query_id in {task.query_id for task in claimed}:
            self._ring(query_topic(query_id))
        return Inbox(now=now, deliveries=tuple(deliveries))

    def empty(self) -> Inbox:
        """Return an inbox without deliveries."""
        return Inbox(now=self._clock())

    def renew(self, caller: NodeCaller, running: tuple[str, ...]) -> None:
        """Prolong the leases of the tasks that a node says it works on."""
        with self._database.write(durable=False) as connection:
            store.renew(connection, caller.site, running, self._clock() + self.lease)

    def progress(self, task_id: str, progress: Progress, caller: NodeCaller) -> None:
        """Note a task's stage and prolong its lease. Raises ``Conflict`` when the node no longer holds it."""
        if progress.task_id != task_id:
            raise _other_task()
        with self._database.write(durable=False) as connection:
            task, now = self._locked(connection, task_id, caller), self._clock()
            rules.check_holder(task, progress.fence, now)
            store.renew(connection, caller.site, (task_id,), now + self.lease)
            emit(connection, task.query_id, now, "stage", site=caller.site, stage=progress.stage)
        self._ring(query_topic(task.query_id))

    def answer(self, task_id: str, answer: Answer, caller: NodeCaller) -> Accepted:
        """Take a node's answer, or replay that it was taken. Raises ``Conflict`` or ``Unprocessable``."""
        if answer.task_id != task_id:
            raise _other_task()
        digest = content_digest(answer.outcome.model_dump_json(exclude_none=True))
        try:
            with self._journal.deciding() as act:
                task = self._locked(act.connection, task_id, caller)
                replayed = rules.judge(task, answer, digest, act.now) == "replay"
                if not replayed:
                    self._take(act, task, answer, digest)
        except HubError as refusal:
            facts = {"code": refusal.code, "fence": answer.fence}
            self._journal.note(Decision(caller.actor, Action.ANSWER_REFUSED, task_id[:80], facts))
            raise
        self._ring(query_topic(task.query_id))
        return Accepted(task_id=task_id, replayed=replayed)

    def _take(self, act: Deciding, task: rules.KeptTask, answer: Answer, digest: str) -> None:
        state = rules.outcome_state(answer.outcome)
        store.put_answer(act.connection, task, answer, digest, state, act.now)
        code = getattr(answer.outcome, "code", None)
        emit(act.connection, task.query_id, act.now, _EVENTS[state], site=task.site, detail=code)
        facts = {"state": state, "fence": answer.fence, "digest": digest, "query": task.query_id}
        act.record(Decision(f"node:{task.site}", Action.ANSWER_ACCEPTED, task.id, facts))
        finish_if_done(act, task.query_id)

    def _claimed(self, act: Deciding, caller: NodeCaller, task: rules.KeptTask) -> Lease:
        store.lock_query(act.connection, task.query_id)
        fence, until = task.fence + 1, act.now + self.lease
        store.claim(act.connection, task.id, fence, until)
        emit(act.connection, task.query_id, act.now, "claimed", site=caller.site)
        act.record(Decision(caller.actor, Action.TASK_CLAIMED, task.id, {"fence": fence}))
        return Lease(task_id=task.id, token=task.token, fence=fence, lease_expires_at=until)

    def _dropped(self, act: Deciding, site: str, running: tuple[str, ...]) -> list[Cancelled]:
        found = store.dropped(act.connection, site, running, act.now - TOLD_AGAIN)
        if found:
            store.tell_dropped(act.connection, found, act.now)
        return [Cancelled(task_id=task_id) for task_id in found]

    def _locked(self, connection: Connection, task_id: str, caller: NodeCaller) -> rules.KeptTask:
        query_id = store.query_of_task(connection, task_id, caller.site)
        if query_id is None:
            raise Missing("task.unknown", "this site has no such task", "drop this work; poll for tasks")
        store.lock_query(connection, query_id)
        return store.find_task(connection, task_id)


def _other_task() -> Unprocessable:
    return Unprocessable(
        "answer.mismatch", "the address and the body name different tasks", "send one task's id in both"
    )
