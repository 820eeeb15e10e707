"""Keep queries, their tasks and their events. Every state stands here, none in memory."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from atoll_hub.database import Moment, metadata
from atoll_hub.queries.rules import OPEN_STATES, KeptTask
from atoll_schemas.protocol import Answer, QueryEvent
from atoll_schemas.query import Submission
from atoll_schemas.results import SiteState

queries = sa.Table(
    "queries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False, index=True),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("submission", sa.Text, nullable=False),
    sa.Column("submission_digest", sa.Text, nullable=False),
    sa.Column("submitted_by", sa.Text, sa.ForeignKey("people.name"), nullable=False),
    sa.Column("submitted_at", Moment, nullable=False, index=True),
    sa.Column("deadline_at", Moment, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("finished_at", Moment),
    sa.Column("last_event", sa.Integer, nullable=False),
    sa.UniqueConstraint("submitted_by", "idempotency_key", name="one_query_per_key"),
)
tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("query_id", sa.Text, sa.ForeignKey("queries.id"), nullable=False, index=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("permit_id", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("deadline_at", Moment, nullable=False),
    sa.Column("lease_expires_at", Moment),
    sa.Column("cancel_told_at", Moment),
    sa.Column("answered_at", Moment),
    sa.Column("answer_fence", sa.Integer),
    sa.Column("answer_digest", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Index("open_tasks_of_site", "site", "state"),
    sa.Index("open_tasks_by_deadline", "state", "deadline_at"),
)
query_events = sa.Table(
    "query_events",
    metadata,
    sa.Column("query_id", sa.Text, sa.ForeignKey("queries.id"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
)
_OPEN = tasks.c.state.in_(sorted(OPEN_STATES))


@dataclass(frozen=True)
class KeptQuery:
    """A query as the hub keeps it; ``submission`` is what is asked, the hub's wishes included."""

    id: str
    project: str
    dataset: str
    method: str
    digest: str
    submission: Submission
    submission_digest: str
    submitted_by: str
    submitted_at: datetime
    deadline_at: datetime
    idempotency_key: str | None
    state: str = "running"
    finished_at: datetime | None = None


@dataclass(frozen=True)
class KeptOutcome:
    """How one site fared, with its answer as JSON text if it gave one."""

    site: str
    state: SiteState
    created_at: datetime
    answered_at: datetime | None
    outcome: str | None


def put_query(connection: Connection, query: KeptQuery) -> None:
    """Keep a new query."""
    connection.execute(
        sa.insert(queries).values(
            id=query.id,
            project=query.project,
            dataset=query.dataset,
            method=query.method,
            digest=query.digest,
            submission=query.submission.model_dump_json(by_alias=True, exclude_none=True),
            submission_digest=query.submission_digest,
            submitted_by=query.submitted_by,
            submitted_at=query.submitted_at,
            deadline_at=query.deadline_at,
            idempotency_key=query.idempotency_key,
            state=query.state,
            last_event=0,
        )
    )


def put_tasks(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Keep a query's tasks, one a site."""
    connection.execute(sa.insert(tasks), rows)


def find_query(connection: Connection, query_id: str) -> KeptQuery | None:
    """Return one query."""
    row = connection.execute(sa.select(queries).where(queries.c.id == query_id)).first()
    return None if row is None else _query(row)


def find_by_key(connection: Connection, submitted_by: str, key: str) -> KeptQuery | None:
    """Return the query that a person submitted with an idempotency key."""
    chosen = (queries.c.submitted_by == submitted_by) & (queries.c.idempotency_key == key)
    row = connection.execute(sa.select(queries).where(chosen)).first()
    return None if row is None else _query(row)


def list_queries(
    connection: Connection, member: str | None, project: str | None, limit: int
) -> list[tuple[KeptQuery, int, int]]:
    """Return (query, asked, answered), newest first; only of a member's projects when one is named."""
    from_projects = sa.table("project_people", sa.column("project"), sa.column("name"))
    chosen = sa.true() if project is None else queries.c.project == project
    if member is not None:
        own = sa.select(from_projects.c.project).where(from_projects.c.name == member)
        chosen = chosen & queries.c.project.in_(own)
    rows = connection.execute(
        sa.select(queries).where(chosen).order_by(queries.c.submitted_at.desc(), queries.c.id).limit(limit)
    ).all()
    counts = _counts(connection, [row.id for row in rows])
    return [(_query(row), *counts[row.id]) for row in rows]


def counts_of(connection: Connection, query_id: str) -> tuple[int, int]:
    """Return (asked, answered) of a query."""
    return _counts(connection, [query_id])[query_id]


def outcomes_of(connection: Connection, query_id: str) -> list[KeptOutcome]:
    """Return how each site fared, in the order in which they were asked."""
    columns = (tasks.c.site, tasks.c.state, tasks.c.created_at, tasks.c.answered_at, tasks.c.outcome)
    rows = connection.execute(sa.select(*columns).where(tasks.c.query_id == query_id).order_by(tasks.c.place))
    return [KeptOutcome(row.site, row.state, row.created_at, row.answered_at, row.outcome) for row in rows]


def query_of_task(connection: Connection, task_id: str, site: str) -> str | None:
    """Return the query of a site's task."""
    chosen = (tasks.c.id == task_id) & (tasks.c.site == site)
    return connection.execute(sa.select(tasks.c.query_id).where(chosen)).scalar()


def lock_query(connection: Connection, query_id: str) -> None:
    """Keep others from moving this query or its tasks until the transaction ends."""
    connection.execute(sa.select(queries.c.id).where(queries.c.id == query_id).with_for_update())


def find_task(connection: Connection, task_id: str) -> KeptTask:
    """Return a task that is known to be there."""
    return _tasks(connection, tasks.c.id == task_id)[0]


def tasks_of(connection: Connection, query_id: str) -> list[KeptTask]:
    """Return a query's tasks."""
    return _tasks(connection, tasks.c.query_id == query_id)


def claimable(connection: Connection, site: str, now: datetime, most: int) -> list[KeptTask]:
    """Return a site's tasks that may be claimed: never claimed, or with an expired lease."""
    free = (tasks.c.state == "waiting") | ((tasks.c.state == "running") & (tasks.c.lease_expires_at <= now))
    return _tasks(connection, (tasks.c.site == site) & free & (tasks.c.deadline_at > now), most)


def dropped(connection: Connection, site: str, running: tuple[str, ...], told_before: datetime) -> list[str]:
    """Return those of a node's running tasks that it should stop, and was not told of lately."""
    if not running:
        return []
    told = tasks.c.cancel_told_at.is_(None) | (tasks.c.cancel_told_at <= told_before)
    chosen = (
        (tasks.c.site == site) & tasks.c.id.in_(running) & tasks.c.state.in_(("cancelled", "late")) & told
    )
    return list(connection.execute(sa.select(tasks.c.id).where(chosen)).scalars())


def tell_dropped(connection: Connection, task_ids: list[str], now: datetime) -> None:
    """Note that a node was told to stop these tasks."""
    connection.execute(sa.update(tasks).where(tasks.c.id.in_(task_ids)).values(cancel_told_at=now))


def claim(connection: Connection, task_id: str, fence: int, until: datetime) -> None:
    """Give a task to its site's node until the lease ends."""
    connection.execute(
        sa.update(tasks)
        .where(tasks.c.id == task_id)
        .values(state="running", fence=fence, lease_expires_at=until)
    )


def renew(connection: Connection, site: str, running: tuple[str, ...], until: datetime) -> None:
    """Prolong the leases of tasks that a node works on."""
    chosen = (tasks.c.site == site) & tasks.c.id.in_(running) & (tasks.c.state == "running")
    connection.execute(sa.update(tasks).where(chosen).values(lease_expires_at=until))


def put_answer(
    connection: Connection, task: KeptTask, answer: Answer, digest: str, state: SiteState, now: datetime
) -> None:
    """Keep the one answer of a task."""
    connection.execute(
        sa.update(tasks)
        .where(tasks.c.id == task.id)
        .values(
            state=state,
            answered_at=now,
            answer_fence=answer.fence,
            answer_digest=digest,
            outcome=answer.outcome.model_dump_json(exclude_none=True),
        )
    )


def close_tasks(connection: Connection, task_ids: list[str], state: SiteState) -> None:
    """End tasks that will have no answer."""
    connection.execute(sa.update(tasks).where(tasks.c.id.in_(task_ids)).values(state=state))


def overdue_queries(connection: Connection, now: datetime) -> list[str]:
    """Return the queries that have open tasks past their deadline."""
    chosen = _OPEN & (tasks.c.deadline_at <= now)
    return list(connection.execute(sa.select(tasks.c.query_id).where(chosen).distinct()).scalars())


def finish(connection: Connection, query_id: str, state: str, now: datetime) -> None:
    """End a query."""
    connection.execute(
        sa.update(queries).where(queries.c.id == query_id).values(state=state, finished_at=now)
    )


def add_events(connection: Connection, query_id: str, events: list[QueryEvent]) -> None:
    """Add events, at least one, at their places; the query is locked."""
    rows = [
        {
            "query_id": query_id,
            "sequence": event.sequence,
            "at": event.at,
            "event": event.model_dump_json(exclude_none=True),
        }
        for event in events
    ]
    connection.execute(sa.insert(query_events), rows)
    last = events[-1].sequence
    connection.execute(sa.update(queries).where(queries.c.id == query_id).values(last_event=last))


def last_event(connection: Connection, query_id: str) -> int:
    """Return the sequence of a query's last event; 0 when it has none."""
    found = connection.execute(sa.select(queries.c.last_event).where(queries.c.id == query_id)).scalar()
    return found or 0


def events_after(connection: Connection, query_id: str, sequence: int) -> list[QueryEvent]:
    """Return a query's events after one, in order."""
    chosen = (query_events.c.query_id == query_id) & (query_events.c.sequence > sequence)
    rows = connection.execute(sa.select(query_events.c.event).where(chosen).order_by(query_events.c.sequence))
    return [QueryEvent.model_validate_json(row.event) for row in rows]


def _tasks(connection: Connection, chosen: sa.ColumnElement[bool], most: int | None = None) -> list[KeptTask]:
    rows = connection.execute(
        sa.select(tasks, queries.c.digest.label("query_digest"), queries.c.method)
        .join(queries, queries.c.id == tasks.c.query_id)
        .where(chosen)
        .order_by(tasks.c.created_at, tasks.c.place)
        .limit(most)
    )
    return [_task(row) for row in rows]


def _counts(connection: Connection, query_ids: list[str]) -> dict[str, tuple[int, int]]:
    answered = sa.func.sum(sa.case((tasks.c.state == "answered", 1), else_=0)).label("answered")
    rows = connection.execute(
        sa.select(tasks.c.query_id, sa.func.count().label("asked"), answered)
        .where(tasks.c.query_id.in_(query_ids))
        .group_by(tasks.c.query_id)
    )
    return {row.query_id: (row.asked, int(row.answered)) for row in rows}


def _task(row: sa.Row[Any]) -> KeptTask:
    return KeptTask(
        id=row.id,
        query_id=row.query_id,
        site=row.site,
        state=row.state,
        fence=row.fence,
        token=row.token,
        query_digest=row.query_digest,
        method=row.method,
        created_at=row.created_at,
        deadline_at=row.deadline_at,
        lease_expires_at=row.lease_expires_at,
        answer_fence=row.answer_fence,
        answer_digest=row.answer_digest,
    )


def _query(row: sa.Row[Any]) -> KeptQuery:
    return KeptQuery(
        id=row.id,
        project=row.project,
        dataset=row.dataset,
        method=row.method,
        digest=row.digest,
        submission=Submission.model_validate(json.loads(row.submission)),
        submission_digest=row.submission_digest,
        submitted_by=row.submitted_by,
        submitted_at=row.submitted_at,
        deadline_at=row.deadline_at,
        idempotency_key=row.idempotency_key,
        state=row.state,
        finished_at=row.finished_at,
    )
