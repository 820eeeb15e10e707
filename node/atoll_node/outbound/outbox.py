"""Queue what another process of this node wants to say to the hub, until the hub took it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from atoll_node.state import State

Kind = Literal["permit", "catalog"]
_TABLE = (
    "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " body TEXT NOT NULL, queued_at TEXT NOT NULL, delivered_at TEXT, refused TEXT)"
)


@dataclass(frozen=True)
class Parcel:
    """One thing to send: a permit statement or a catalog, as JSON of its ``atoll_schemas`` type."""

    id: int
    kind: Kind
    body: str


class Outbox:
    """The queue in the node's database; order is kept."""

    def __init__(self, state: State, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._clock = clock
        state.create(_TABLE)

    def post(self, connection: sqlite3.Connection, kind: Kind, body: str) -> None:
        """Queue within the caller's transaction. A newer catalog takes the place of a waiting one."""
        if kind == "catalog":
            connection.execute("DELETE FROM outbox WHERE kind = 'catalog' AND delivered_at IS NULL")
        connection.execute(
            "INSERT INTO outbox (kind, body, queued_at) VALUES (?, ?, ?)",
            (kind, body, self._clock().isoformat()),
        )

    def waiting(self) -> list[Parcel]:
        """Return what the hub has not taken yet, oldest first."""
        rows = self._state.connection().execute(
            "SELECT id, kind, body FROM outbox WHERE delivered_at IS NULL AND refused IS NULL ORDER BY id"
        )
        return [Parcel(row["id"], row["kind"], row["body"]) for row in rows]

    def newest(self, kind: Kind) -> str | None:
        """Return the body of the newest of its kind, sent or waiting."""
        row = (
            self._state.connection()
            .execute("SELECT body FROM outbox WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,))
            .fetchone()
        )
        return str(row["body"]) if row else None

    def delivered(self, parcel_id: int) -> None:
        """Note that the hub took it."""
        self._state.connection().execute(
            "UPDATE outbox SET delivered_at = ? WHERE id = ?", (self._clock().isoformat(), parcel_id)
        )

    def declined(self, parcel_id: int, code: str) -> None:
        """Note that the hub will never take it, and why."""
        self._state.connection().execute("UPDATE outbox SET refused = ? WHERE id = ?", (code, parcel_id))

    def refusals(self) -> list[tuple[str, str]]:
        """Return kind and code of what the hub declined."""
        rows = self._state.connection().execute("SELECT kind, refused FROM outbox WHERE refused IS NOT NULL")
        return [(row["kind"], row["refused"]) for row in rows]
