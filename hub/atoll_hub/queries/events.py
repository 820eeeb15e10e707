"""Tell a query's story event by event, and end it when its last site is done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.engine import Connection

from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Deciding
from atoll_hub.queries import rules, store
from atoll_schemas.protocol import QueryEvent, Stage

Kind = Literal[
    "submitted",
    "queued",
    "claimed",
    "stage",
    "answered",
    "refused",
    "failed",
    "late",
    "cancelled",
    "finished",
]


def query_topic(query_id: str) -> str:
    """Return the topic on which those who follow a query wait for news."""
    return f"query:{query_id}"


@dataclass(frozen=True)
class News:
    """One thing that happened to a query."""

    kind: Kind
    site: str | None = None
    detail: str | None = None
    stage: Stage | None = None


def emit_all(connection: Connection, query_id: str, at: datetime, news: Iterable[News]) -> None:
    """Add a query's next events; the caller has locked the query."""
    first = store.last_event(connection, query_id) + 1
    events = [
        QueryEvent(sequence=sequence, at=at, kind=one.kind, site=one.site, stage=one.stage, detail=one.detail)
        for sequence, one in enumerate(news, first)
    ]
    store.add_events(connection, query_id, events)


def emit(
    connection: Connection,
    query_id: str,
    at: datetime,
    kind: Kind,
    *,
    site: str | None = None,
    stage: Stage | None = None,
    detail: str | None = None,
) -> None:
    """Add the next event of a query; the caller has locked the query."""
    emit_all(connection, query_id, at, [News(kind, site, detail, stage)])


def finish_if_done(act: Deciding, query_id: str) -> bool:
    """End a query when none of its tasks is open; return whether it ended."""
    state = rules.query_state(task.state for task in store.tasks_of(act.connection, query_id))
    if state == "running":
        return False
    store.finish(act.connection, query_id, state, act.now)
    emit(act.connection, query_id, act.now, "finished", detail=state)
    act.record(Decision("hub", Action.QUERY_FINISHED, query_id, {"state": state}))
    return True
