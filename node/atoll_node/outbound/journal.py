"""Record every message before it leaves: when, to whom, why, how many bytes, and its content.

Bearer tokens and assertions stand as their digests; everything else is kept byte for byte. Equal contents
(an idle node polls with the same few bytes all day) are stored once. A power cut may take the very last
lines, a stop or kill of the node never; that a task was answered is in the audit chain before it is sent.
"""

import hashlib
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from atoll_node.errors import NodeError
from atoll_node.state import State
from atoll_schemas.problems import ExitCode

_TABLES = (
    "CREATE TABLE IF NOT EXISTS outbound_content (digest TEXT PRIMARY KEY, content BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outbound (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL,"
    " recipient TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, why TEXT NOT NULL,"
    " bytes INTEGER NOT NULL, content TEXT NOT NULL REFERENCES outbound_content (digest), status TEXT)",
)
_ASSERTION = re.compile(rb"(client_assertion=)([A-Za-z0-9_.%-]+)")
_CODE = re.compile(rb'("code":")([^"]+)(")')


@dataclass(frozen=True)
class Sent:
    """One message that left."""

    id: int
    at: datetime
    recipient: str
    """Scheme, host and port."""
    method: str
    path: str
    why: str
    bytes: int
    """Length of the body as it was sent."""
    status: str | None
    """The HTTP status that came back, ``unanswered``, or ``None`` when the node was stopped meanwhile."""


class Journal:
    """The list that ``atoll-node outbound`` shows."""

    def __init__(self, state: State, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._clock = clock
        state.create(*_TABLES)

    def sending(self, *, recipient: str, method: str, path: str, why: str, body: bytes) -> int:
        """Write the message down; it may leave only after this returns its number."""
        kept = shown(why, body)
        digest = hashlib.sha256(kept).hexdigest()
        with self._state.transaction(durable=False) as connection:
            connection.execute("INSERT OR IGNORE INTO outbound_content VALUES (?, ?)", (digest, kept))
            cursor = connection.execute(
                "INSERT INTO outbound (at, recipient, method, path, why, bytes, content)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._clock().isoformat(), recipient, method, path, why, len(body), digest),
            )
            return int(cursor.lastrowid or 0)

    def answered(self, message: int, status: str) -> None:
        """Note how the recipient answered."""
        with self._state.transaction(durable=False) as connection:
            connection.execute("UPDATE outbound SET status = ? WHERE id = ?", (status, message))

    def last(self, count: int, *, polls: bool = True) -> list[Sent]:
        """Return the newest messages, newest first; ``polls=False`` leaves out idle polls."""
        where = "" if polls else "WHERE why NOT LIKE 'poll%'"
        rows = self._state.connection().execute(
            f"SELECT * FROM outbound {where} ORDER BY id DESC LIMIT ?",
            (count,),
        )
        return [_sent(row) for row in rows]

    def one(self, message: int) -> Sent:
        """Return one message. Raises ``MessageUnknown``."""
        row = self._state.connection().execute("SELECT * FROM outbound WHERE id = ?", (message,)).fetchone()
        if row is None:
            raise MessageUnknown(
                "outbound.unknown", "no message of that number left", "see: atoll-node outbound"
            )
        return _sent(row)

    def totals(self) -> list[tuple[str, int, int]]:
        """Return messages and bytes by what they were for."""
        rows = self._state.connection().execute(
            "SELECT why, count(*) AS messages, sum(bytes) AS bytes FROM outbound GROUP BY why ORDER BY why"
        )
        return [(row["why"], row["messages"], row["bytes"]) for row in rows]

    def content(self, message: int) -> bytes:
        """Return a message's body. Raises ``MessageUnknown``."""
        row = (
            self._state.connection()
            .execute(
                "SELECT c.content FROM outbound o JOIN outbound_content c ON c.digest = o.content"
                " WHERE o.id = ?",
                (message,),
            )
            .fetchone()
        )
        if row is None:
            raise MessageUnknown(
                "outbound.unknown", "no message of that number left", "see: atoll-node outbound"
            )
        return bytes(row["content"])


class MessageUnknown(NodeError):
    """There is no message of that number."""

    exit_code = ExitCode.NOT_FOUND


def shown(why: str, body: bytes) -> bytes:
    """Return the body with assertions and enrolment codes as digests: what may be kept and shown."""
    if why == "token":
        return _ASSERTION.sub(lambda found: found[1] + _digest(found[2]), body)
    if why == "enrol":
        return _CODE.sub(lambda found: found[1] + _digest(found[2]) + found[3], body)
    return body


def _sent(row: sqlite3.Row) -> Sent:
    return Sent(
        id=row["id"],
        at=datetime.fromisoformat(row["at"]),
        recipient=row["recipient"],
        method=row["method"],
        path=row["path"],
        why=row["why"],
        bytes=row["bytes"],
        status=row["status"],
    )


def _digest(secret: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(secret).hexdigest().encode("ascii")
