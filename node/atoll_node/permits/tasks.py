"""Remember every task and its one outcome, so that a replay gets the stored bytes and nothing is doubled."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import Field, TypeAdapter

from atoll_node.audit import AuditLog, Decision
from atoll_node.errors import Refused
from atoll_node.state import State
from atoll_schemas.canonical import canonical_json, digest_of
from atoll_schemas.protocol import Refusal, Task
from atoll_schemas.results import ClearedResult

Outcome = ClearedResult | Refusal
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Annotated[Outcome, Field(discriminator="kind")])
_TABLE = (
    "CREATE TABLE IF NOT EXISTS task (task_id TEXT PRIMARY KEY, content TEXT NOT NULL,"
    " fence INTEGER NOT NULL,"
    " taken_at TEXT NOT NULL, outcome BLOB)"
)


class TaskStore:
    """Tasks that passed verification, and what was answered."""

    def __init__(self, state: State, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._audit = audit
        self._clock = clock
        state.create(_TABLE)

    def outcome(self, task: Task) -> Outcome | None:
        """Return the stored outcome of this very task; refuse another task under a known id."""
        row = (
            self._state.connection()
            .execute("SELECT content, outcome FROM task WHERE task_id = ?", (task.id,))
            .fetchone()
        )
        if row is None:
            return None
        if row["content"] != content_digest(task):
            raise Refused("task.replayed", "another task was already seen under this id")
        return _OUTCOME.validate_json(row["outcome"]) if row["outcome"] is not None else None

    def check_fence(self, task: Task, fence: int) -> None:
        """Refuse a lease that is older than one seen before."""
        row = (
            self._state.connection()
            .execute("SELECT fence FROM task WHERE task_id = ?", (task.id,))
            .fetchone()
        )
        if row is not None and fence < row["fence"]:
            raise Refused("task.fenced", "the task was claimed again since this lease")

    def begin(self, task: Task, fence: int, record: Decision) -> None:
        """Note that the task starts (again, after a crash) under ``fence``."""
        with self._audit.recorded(record, durable=False) as connection:
            self._keep(connection, task, fence)

    def finish(self, task: Task, fence: int, outcome: Outcome, record: Decision) -> Outcome:
        """Store the outcome once; return the stored one, which is the first."""
        with self._audit.recorded(record) as connection:
            self._keep(connection, task, fence)
            connection.execute(
                "UPDATE task SET outcome = ? WHERE task_id = ? AND outcome IS NULL",
                (outcome.canonical(), task.id),
            )
            row = connection.execute("SELECT outcome FROM task WHERE task_id = ?", (task.id,)).fetchone()
        return _OUTCOME.validate_json(row["outcome"])

    def _keep(self, connection: sqlite3.Connection, task: Task, fence: int) -> None:
        connection.execute(
            "INSERT INTO task (task_id, content, fence, taken_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (task_id) DO UPDATE SET fence = max(fence, excluded.fence)",
            (task.id, content_digest(task), fence, self._clock().isoformat()),
        )


def content_digest(task: Task) -> str:
    """Digest what a task asks. Its times are left out: a hub may sign the same task afresh."""
    return digest_of(
        canonical_json(task.model_dump(mode="json", exclude={"issued_at", "expires_at"}, by_alias=True))
    )
