"""Leases, fences and idempotency keys: whatever researchers, nodes and the clock do, in any order.

A machine drives a real hub on SQLite through its services and keeps its own small account of what must be
true: a task has at most one holder and at most one answer, fences grow, and what ended stays ended.
"""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from joserfc import jws

from atoll_hub.access import NodeCaller, PersonCaller
from atoll_hub.errors import Conflict, HubError
from atoll_schemas.people import Role
from atoll_schemas.protocol import Answer, Cancelled, Lease, Poll, Progress, Refusal, Task
from atoll_schemas.query import Query, Submission
from tests.support.hub_consortium import cleared, consortium, submission

ADA = PersonCaller("ada", Role.RESEARCHER)
SITES = ("north", "south")
LEASE = 30.0
KEYS = ("key-one-1", "key-two-2")
QUERY = Query.model_validate(submission()["query"])


@dataclass
class Share:
    """What the machine knows of one site's share of a query."""

    site: str
    fence: int = 0
    lease_end: float = 0.0
    said: tuple[int, int] | None = None
    """(fence, persons) of the answer that was taken."""
    closed: bool = False


@dataclass
class Asked:
    """What the machine knows of one query."""

    query_id: str
    deadline: float
    shares: dict[str, Share]
    cancelled: bool = False
    tasks: dict[str, str] = field(default_factory=dict)


class Leases(RuleBasedStateMachine):
    """The hub under researchers, two nodes and a clock."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(tempfile.mkdtemp())
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self.world = self.stack.enter_context(consortium(folder, "sqlite:///state/hub.sqlite"))
        nodes = [self.world.node(site) for site in SITES]
        self.world.project(self.world.person("ada"), *nodes)
        self.world.clock.hold()
        assert self.world.hub.exchange.lease == timedelta(seconds=LEASE)
        self.callers = {
            node.enrolled.site: NodeCaller(node.enrolled.site, node.enrolled.node_id)
            for node in nodes
            if node.enrolled
        }
        self.asked: dict[str, Asked] = {}
        self.owner: dict[str, tuple[str, str]] = {}
        self.by_key: dict[str, tuple[str, int]] = {}
        self.now = 0.0

    def teardown(self) -> None:
        """Whatever happened, the chain of decisions holds."""
        assert self.world.hub.journal.verify().holds
        self.stack.close()

    # What people do

    @rule(seconds=st.sampled_from([20, 45, 200]))
    def ask(self, seconds: int) -> None:
        if len(self.asked) < 6:
            self._submit(Submission(query=QUERY, deadline_seconds=seconds), seconds)

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([45, 200]))
    def ask_with_a_key(self, key: str, seconds: int) -> None:
        message = Submission(query=QUERY, deadline_seconds=seconds, idempotency_key=key)
        if key not in self.by_key:
            self.by_key[key] = (self._submit(message, seconds), seconds)
            return
        first, before = self.by_key[key]
        if before == seconds:
            summary, replayed = self.world.hub.queries.submit(message, ADA)
            assert (summary.query_id, replayed) == (first, True)
        else:
            with pytest.raises(Conflict) as refusal:
                self.world.hub.queries.submit(message, ADA)
            assert refusal.value.code == "idempotency.differs"

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        one = self.asked[data.draw(st.sampled_from(sorted(self.asked)))]
        self._sweep()
        self.world.hub.queries.cancel(one.query_id, ADA)
        for share in one.shares.values():
            if share.said is None and not share.closed:
                share.closed, one.cancelled = True, True

    # What time does

    @rule(seconds=st.sampled_from([1, 10, 29, 31, 61]))
    def let_time_pass(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.now += seconds
        self._sweep()

    # What nodes do

    @rule(target=held, site=st.sampled_from(SITES), data=st.data())
    def poll(self, site: str, data: st.DataObject) -> list[tuple[str, int]]:
        mine = sorted(task for task, (_, at) in self.owner.items() if at == site)
        running = tuple(data.draw(st.lists(st.sampled_from(mine), unique=True)) if mine else [])
        asked = Poll(software="machine", running=running)
        hub, caller = self.world.hub, self.callers[site]
        hub.exchange.renew(caller, running)
        for task in running:
            share = self._share(task)
            if self._is_open(task) and share.fence:
                share.lease_end = self.now + LEASE
        claimed = []
        for delivery in hub.exchange.collect(caller, asked).deliveries:
            if isinstance(delivery, Lease):
                claimed.append(self._claimed(site, delivery))
            elif isinstance(delivery, Cancelled):
                assert delivery.task_id in running, "only a running task is taken back"
                assert not self._is_open(delivery.task_id)
        assert not hub.exchange.has_news(caller, asked) or len(claimed) == 4
        return claimed

    @rule(leases=held, persons=st.sampled_from([120, 125]), old=st.booleans())
    def answer(self, leases: list[tuple[str, int]], persons: int, old: bool) -> None:
        for task, fence in leases:
            fence = max(1, fence - 1) if old else fence
            site = self.owner[task][1]
            message = Answer(task_id=task, fence=fence, outcome=cleared(site, QUERY, persons))
            share = self._share(task)
            if share.said == (fence, persons):
                assert self.world.hub.exchange.answer(task, message, self.callers[site]).replayed
            elif share.fence == fence and self._is_open(task):
                assert not self.world.hub.exchange.answer(task, message, self.callers[site]).replayed
                share.said = (fence, persons)
            else:
                assert self._refused(task, message) in self._reasons(task, fence)

    @rule(leases=held)
    def report(self, leases: list[tuple[str, int]]) -> None:
        for task, fence in leases:
            site, share = self.owner[task][1], self._share(task)
            message = Progress(task_id=task, fence=fence, stage="running")
            if share.fence == fence and self._is_open(task):
                self.world.hub.exchange.progress(task, message, self.callers[site])
                share.lease_end = self.now + LEASE
            else:
                with pytest.raises(Conflict):
                    self.world.hub.exchange.progress(task, message, self.callers[site])

    @rule(leases=held)
    def answer_for_another_site(self, leases: list[tuple[str, int]]) -> None:
        for task, fence in leases:
            site = self.owner[task][1]
            stranger = self.callers[SITES[1 - SITES.index(site)]]
            message = Answer(task_id=task, fence=fence, outcome=Refusal(code="engine.x", detail="constant"))
            with pytest.raises(HubError) as refusal:
                self.world.hub.exchange.answer(task, message, stranger)
            assert refusal.value.code == "task.unknown"

    # What must be true

    @invariant()
    def a_query_runs_exactly_as_long_as_a_share_is_open(self) -> None:
        for one in self.asked.values():
            view = self.world.hub.queries.view(one.query_id, ADA)
            answered = sum(share.said is not None for share in one.shares.values())
            still_open = any(share.said is None and not share.closed for share in one.shares.values())
            assert (view.summary.state == "running") == still_open
            assert (view.summary.asked, view.summary.answered) == (len(SITES), answered)

    @invariant()
    def a_story_has_no_gap_and_ends_once(self) -> None:
        for one in self.asked.values():
            events = self.world.hub.queries.events(one.query_id, 0)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            kinds = [event.kind for event in events]
            assert kinds.count("finished") == (kinds[-1] == "finished")
            for site in SITES:
                assert sum(event.kind == "answered" for event in events if event.site == site) <= 1

    # The machine's own account

    def _submit(self, message: Submission, seconds: int) -> str:
        summary, replayed = self.world.hub.queries.submit(message, ADA)
        assert not replayed
        assert summary.query_id not in self.asked
        shares = {site: Share(site) for site in SITES}
        self.asked[summary.query_id] = Asked(summary.query_id, self.now + seconds, shares)
        return summary.query_id

    def _claimed(self, site: str, lease: Lease) -> tuple[str, int]:
        task = Task.model_validate_json(jws.extract_compact(lease.token.encode()).payload)
        self.owner.setdefault(lease.task_id, (task.query_id, site))
        share = self._share(lease.task_id)
        assert self._is_open(lease.task_id), "a closed task is never handed out"
        assert share.lease_end <= self.now, "a held task has one holder"
        assert lease.fence == share.fence + 1, "each claim has the next fence"
        share.fence, share.lease_end = lease.fence, self.now + LEASE
        return lease.task_id, lease.fence

    def _share(self, task: str) -> Share:
        query_id, site = self.owner[task]
        return self.asked[query_id].shares[site]

    def _is_open(self, task: str) -> bool:
        share = self._share(task)
        return share.said is None and not share.closed and self.now < self.asked[self.owner[task][0]].deadline

    def _sweep(self) -> None:
        self.world.hub.queries.expire()
        for one in self.asked.values():
            for share in one.shares.values():
                if share.said is None and self.now >= one.deadline:
                    share.closed = True

    def _refused(self, task: str, message: Answer) -> str:
        with pytest.raises(Conflict) as refusal:
            self.world.hub.exchange.answer(task, message, self.callers[self.owner[task][1]])
        return refusal.value.code

    def _reasons(self, task: str, fence: int) -> set[str]:
        share = self._share(task)
        if share.said is not None and share.said[0] == fence:
            return {"task.answered"}
        return {"task.fenced"} if share.fence != fence else {"task.late", "task.cancelled"}


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
