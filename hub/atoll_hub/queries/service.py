"""Take questions from people and show them what comes back."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from atoll_hub.access import PersonCaller
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Clock, Deciding, Journal
from atoll_hub.catalog import store as catalog_store
from atoll_hub.database import Database
from atoll_hub.errors import Conflict, Forbidden, HubError, Missing, Unprocessable
from atoll_hub.governance import rules as governance_rules
from atoll_hub.governance import store as governance_store
from atoll_hub.governance.rules import KeptProject
from atoll_hub.governance.service import site_topic
from atoll_hub.keys import SigningKey
from atoll_hub.queries import rules, store
from atoll_hub.queries.events import News, emit, emit_all, finish_if_done, query_topic
from atoll_hub.queries.merge import MergeRefused, merge
from atoll_hub.settings import GateSettings
from atoll_schemas.canonical import NotCanonical
from atoll_schemas.people import QueryView, Role
from atoll_schemas.permits import Permit
from atoll_schemas.problems import Problem
from atoll_schemas.protocol import TASK_TYPE, QueryEvent, QuerySummary, Refusal, Task
from atoll_schemas.query import Query, Submission
from atoll_schemas.results import ClearedResult, MergedPayload, Result, SiteOutcome, SiteState

Randomness = Callable[[int], bytes]
Ring = Callable[[str], None]
NO_PERMIT: SiteState = "no_permit"
_OUTCOME: TypeAdapter[ClearedResult | Refusal] = TypeAdapter(ClearedResult | Refusal)


@dataclass(frozen=True)
class Asking:
    """What the hub adds to a query: its name and key on the tasks, and its disclosure wishes."""

    hub_id: str
    key: SigningKey
    gate: GateSettings


class Queries:
    """The people's side of queries."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        asking: Asking,
        clock: Clock,
        random: Randomness,
        ring: Ring,
    ) -> None:
        self._database = database
        self._journal = journal
        self._asking = asking
        self._clock = clock
        self._random = random
        self._ring = ring

    def submit(self, submission: Submission, caller: PersonCaller) -> tuple[QuerySummary, bool]:
        """Take a question and hand it to the sites; return its summary, and whether it is a replay."""
        try:
            digest = submission.digest()
        except NotCanonical as error:
            raise Unprocessable(
                "query.not_canonical",
                f"the query has no canonical form: {error}",
                "keep whole numbers below 2**53",
            ) from error
        try:
            return self._submit(submission, digest, caller)
        except HubError as refusal:
            self._journal.note(Decision(caller.actor, Action.QUERY_REFUSED, digest, {"code": refusal.code}))
            raise

    def listed(self, caller: PersonCaller, project: str | None, limit: int) -> list[QuerySummary]:
        """Return the queries of the caller's projects, newest first; an operator sees all."""
        member = None if caller.role is Role.OPERATOR else caller.name
        with self._database.read() as connection:
            return [_summary(*found) for found in store.list_queries(connection, member, project, limit)]

    def view(self, query_id: str, caller: PersonCaller) -> QueryView:
        """Return a query in full. Raises ``Missing``, also when the caller may not see it."""
        with self._database.read() as connection:
            query = self._visible(connection, query_id, caller)
            outcomes = store.outcomes_of(connection, query_id)
            counts = store.counts_of(connection, query_id)
        return QueryView(
            summary=_summary(query, *counts),
            submission=query.submission,
            query_digest=query.digest,
            deadline_at=query.deadline_at,
            sites=tuple(_site_outcome(outcome, _given(outcome)) for outcome in outcomes),
        )

    def result(self, query_id: str, caller: PersonCaller) -> Result:
        """Return what there is of an answer; it is merged once the query is finished."""
        with self._database.read() as connection:
            query = self._visible(connection, query_id, caller)
            outcomes = store.outcomes_of(connection, query_id)
        given = {outcome.site: _given(outcome) for outcome in outcomes}
        cleared = {site: one for site, one in given.items() if isinstance(one, ClearedResult)}
        merged, problem = (
            (None, None) if query.finished_at is None else _merged(query.submission.query, cleared)
        )
        return Result(
            query_id=query.id,
            query_digest=query.digest,
            project=query.project,
            dataset=query.dataset,
            method=query.submission.query.analysis.method,
            state=rules.query_state(outcome.state for outcome in outcomes),
            asked=len(outcomes),
            answered=len(cleared),
            sites=tuple(_site_outcome(outcome, given[outcome.site]) for outcome in outcomes),
            merged=merged,
            problem=problem,
            submitted_at=query.submitted_at,
            finished_at=query.finished_at,
        )

    def finished(self, query_id: str) -> bool:
        """Whether a query is finished."""
        with self._database.read() as connection:
            query = store.find_query(connection, query_id)
        return query is None or query.finished_at is not None

    def check_visible(self, query_id: str, caller: PersonCaller) -> None:
        """Raise ``Missing`` unless the caller may see the query."""
        with self._database.read() as connection:
            self._visible(connection, query_id, caller)

    def events(self, query_id: str, after: int) -> list[QueryEvent]:
        """Return a query's events after one."""
        with self._database.read() as connection:
            return store.events_after(connection, query_id, after)

    def cancel(self, query_id: str, caller: PersonCaller) -> QuerySummary:
        """Cancel a query; sites that answered keep their answers. Doing it again changes nothing."""
        with self._journal.deciding() as act:
            self._visible(act.connection, query_id, caller)
            sites = self._cancel(act, query_id, caller)
            query = self._visible(act.connection, query_id, caller)
            counts = store.counts_of(act.connection, query_id)
        for site in sites:
            self._ring(site_topic(site))
        self._ring(query_topic(query_id))
        return _summary(query, *counts)

    def expire(self) -> int:
        """End what is past its deadline; return how many queries were touched."""
        with self._database.read() as connection:
            overdue = store.overdue_queries(connection, self._clock())
        for query_id in overdue:
            with self._journal.deciding() as act:
                sites = self._expire(act, query_id)
            for topic in (query_topic(query_id), *map(site_topic, sites)):
                self._ring(topic)
        return len(overdue)

    def _submit(self, submission: Submission, digest: str, caller: PersonCaller) -> tuple[QuerySummary, bool]:
        with self._journal.deciding() as act:
            known = self._replayed(act.connection, submission, digest, caller)
            if known is not None:
                return _summary(known, *store.counts_of(act.connection, known.id)), True
            project = self._own_project(act.connection, submission.query.project, caller)
            permits = self._routed(act, submission, project)
            query = self._kept(submission, digest, caller, act.now)
            store.put_query(act.connection, query)
            self._put_tasks(act, query, project, permits)
            act.record(Decision(caller.actor, Action.QUERY_SUBMITTED, query.id, _facts(query, permits)))
        for site, permit in permits.items():
            if permit is not None:
                self._ring(site_topic(site))
        return _summary(query, len(permits), 0), False

    def _replayed(
        self, connection: Connection, submission: Submission, digest: str, caller: PersonCaller
    ) -> store.KeptQuery | None:
        if submission.idempotency_key is None:
            return None
        known = store.find_by_key(connection, caller.name, submission.idempotency_key)
        if known is not None and known.submission_digest != digest:
            raise Conflict("idempotency.differs", "this key was used for another query", "use a new key")
        return known

    def _own_project(self, connection: Connection, identity: str, caller: PersonCaller) -> KeptProject:
        project = governance_store.find_project(connection, identity)
        if project is None or caller.name not in project.people:
            raise Forbidden(
                "project.not_member",
                "there is no such project, or you are not among its people",
                "list yours: GET /v1/projects",
            )
        return project

    def _routed(
        self, act: Deciding, submission: Submission, project: KeptProject
    ) -> dict[str, Permit | None]:
        query = submission.query
        offering = catalog_store.sites_offering(act.connection, query.dataset)
        sites = rules.routed(offering, submission.sites)
        stated = governance_store.permits_of(act.connection, project.id)
        method = query.analysis.method
        permits = {
            site: stated.get(site)
            if governance_rules.is_active(stated.get(site), query.dataset, method, act.now)
            else None
            for site in sites
        }
        if not any(permits.values()):
            raise rules.no_permit_anywhere()
        return permits

    def _kept(
        self, submission: Submission, digest: str, caller: PersonCaller, now: datetime
    ) -> store.KeptQuery:
        gate = self._asking.gate
        query = rules.tightened(submission.query, gate.minimum_persons, gate.round_to)
        return store.KeptQuery(
            id="q-" + self._random(8).hex(),
            project=query.project,
            dataset=query.dataset,
            method=query.analysis.method,
            digest=query.digest(),
            submission=submission.model_copy(update={"query": query}),
            submission_digest=digest,
            submitted_by=caller.name,
            submitted_at=now,
            deadline_at=now + timedelta(seconds=submission.deadline_seconds),
            idempotency_key=submission.idempotency_key,
        )

    def _put_tasks(
        self, act: Deciding, query: store.KeptQuery, project: KeptProject, permits: dict[str, Permit | None]
    ) -> None:
        rows = []
        for place, (site, permit) in enumerate(permits.items()):
            task_id = "t-" + self._random(8).hex()
            rows.append(
                {
                    "id": task_id,
                    "query_id": query.id,
                    "site": site,
                    "place": place,
                    "state": "waiting" if permit else NO_PERMIT,
                    "permit_id": governance_rules.permit_id(project.id, site),
                    "token": self._signed(task_id, site, query, permit) if permit else "",
                    "fence": 0,
                    "created_at": act.now,
                    "deadline_at": query.deadline_at,
                }
            )
        store.put_tasks(act.connection, rows)
        asked = [
            News("queued", site) if permit else News("refused", site, "permit.missing")
            for site, permit in permits.items()
        ]
        emit_all(act.connection, query.id, act.now, [News("submitted"), *asked])

    def _signed(self, task_id: str, site: str, query: store.KeptQuery, permit: Permit) -> str:
        task = Task(
            id=task_id,
            hub_id=self._asking.hub_id,
            site=site,
            query_id=query.id,
            query=query.submission.query,
            query_digest=query.digest,
            project=query.project,
            permit_id=permit.permit_id,
            purpose=permit.purpose,
            issued_at=query.submitted_at,
            expires_at=query.deadline_at,
        )
        return self._asking.key.sign(task.canonical(), TASK_TYPE)

    def _cancel(self, act: Deciding, query_id: str, caller: PersonCaller) -> list[str]:
        store.lock_query(act.connection, query_id)
        still_open = [
            task for task in store.tasks_of(act.connection, query_id) if task.state in rules.OPEN_STATES
        ]
        if still_open:
            store.close_tasks(act.connection, [task.id for task in still_open], "cancelled")
            for task in still_open:
                emit(act.connection, query_id, act.now, "cancelled", site=task.site)
            act.record(Decision(caller.actor, Action.QUERY_CANCELLED, query_id))
            finish_if_done(act, query_id)
        return [task.site for task in still_open]

    def _expire(self, act: Deciding, query_id: str) -> list[str]:
        store.lock_query(act.connection, query_id)
        late = [
            task
            for task in store.tasks_of(act.connection, query_id)
            if task.state in rules.OPEN_STATES and task.deadline_at <= act.now
        ]
        if late:
            store.close_tasks(act.connection, [task.id for task in late], "late")
            for task in late:
                emit(act.connection, query_id, act.now, "late", site=task.site)
                act.record(Decision("hub", Action.TASK_LATE, task.id, {"site": task.site}))
            finish_if_done(act, query_id)
        return [task.site for task in late]

    def _visible(self, connection: Connection, query_id: str, caller: PersonCaller) -> store.KeptQuery:
        query = store.find_query(connection, query_id)
        if query is not None and caller.role is not Role.OPERATOR:
            project = governance_store.find_project(connection, query.project)
            query = query if project is not None and caller.name in project.people else None
        if query is None:
            raise Missing(
                "query.unknown",
                "there is no such query, or it is of another project's people",
                "list yours: GET /v1/queries",
            )
        return query


def content_digest(text: str) -> str:
    """Return the SHA-256 of an answer's JSON text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _merged(query: Query, cleared: dict[str, ClearedResult]) -> tuple[MergedPayload | None, Problem | None]:
    try:
        return merge(query, cleared), None
    except MergeRefused as refusal:
        return None, refusal.problem()


def _given(outcome: store.KeptOutcome) -> ClearedResult | Refusal | None:
    return None if outcome.outcome is None else _OUTCOME.validate_json(outcome.outcome)


def _site_outcome(outcome: store.KeptOutcome, given: ClearedResult | Refusal | None) -> SiteOutcome:
    spent = None if outcome.answered_at is None else outcome.answered_at - outcome.created_at
    milliseconds = None if spent is None else round(spent.total_seconds() * 1000)
    if isinstance(given, ClearedResult):
        return SiteOutcome(
            site=outcome.site,
            state=outcome.state,
            release=given.release,
            release_digest=given.release_digest,
            engine_milliseconds=given.engine_milliseconds,
            milliseconds=milliseconds,
            gate=given.gate,
        )
    problem = rules.state_problem(outcome.state) if given is None else rules.refusal_problem(given)
    return SiteOutcome(site=outcome.site, state=outcome.state, problem=problem, milliseconds=milliseconds)


def _summary(query: store.KeptQuery, asked: int, answered: int) -> QuerySummary:
    return QuerySummary(
        query_id=query.id,
        project=query.project,
        dataset=query.dataset,
        method=query.submission.query.analysis.method,
        state=query.state,
        asked=asked,
        answered=answered,
        submitted_at=query.submitted_at,
        submitted_by=query.submitted_by,
    )


def _facts(query: store.KeptQuery, permits: dict[str, Permit | None]) -> dict[str, object]:
    return {
        "project": query.project,
        "dataset": query.dataset,
        "method": query.method,
        "digest": query.digest,
        "sites": {site: "asked" if permit else NO_PERMIT for site, permit in permits.items()},
    }
