"""Write decisions as hash-chained, sealed entries, in the same transaction as what they decide.

Each entry's hash is sealed with a key that only the node has, and the chain's head stands in a file of its
own, sealed too. A flip or deletion breaks the hashes; a cut end no longer reaches the head; an appended
forgery has no seal. (The head is written right after the commit: a node that is killed in between has one
sealed entry more than its head says, which is not a flaw.) Who can put back an older copy of both the
database and the head file can hide what came after it: keep a copy of the head elsewhere.
"""

import fcntl
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from atoll_node.errors import LakeError
from atoll_node.state import State
from atoll_schemas.audit import EMPTY, AuditEntry, AuditHead, Flaw, chained, flaws, head_of

Action = Literal[
    "node.enrolled",
    "ingest.completed",
    "release.created",
    "store.moved",
    "catalog.described",
    "permit.requested",
    "permit.approved",
    "permit.suspended",
    "permit.rejected",
    "task.accepted",
    "task.answered",
    "task.refused",
    "task.cancelled",
    "lake.maintained",
    "person.forgotten",
    "release.withdrawn",
    "node.restored",
]
_TABLE = (
    "CREATE TABLE IF NOT EXISTS audit (sequence INTEGER PRIMARY KEY, entry TEXT NOT NULL, seal TEXT NOT NULL)"
)


@dataclass(frozen=True)
class Decision:
    """What is decided, by whom, about what. ``detail`` holds codes, names and digests only."""

    action: Action
    actor: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What ``audit verify`` found: how many entries, and every flaw."""

    entries: int
    flaws: tuple[Flaw, ...]

    @property
    def holds(self) -> bool:
        """Whether the chain is whole."""
        return not self.flaws


class AuditLog:
    """The node's chain. ``seal_key`` comes from the node's private key."""

    def __init__(self, state: State, seal_key: bytes, clock: Callable[[], datetime]) -> None:
        self._state = state
        self._seal_key = seal_key
        self._clock = clock
        self._head_file = state.file.with_name("audit-head.json")
        self._lock_file = state.file.with_name("audit.lock")
        state.create(_TABLE)

    @contextmanager
    def recorded(self, decision: Decision, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Open a write transaction that commits together with the entry, or not at all.

        With ``durable=False`` the entry waits for the next durable one to reach disk and head: for a step
        that a power cut may undo, because it is then taken again.
        """
        with _locked(self._lock_file):
            with self._state.transaction(durable=durable) as connection:
                yield connection
                head = self._append(connection, decision)
            if durable:
                self._write_head(head)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process add an entry meanwhile, so that chain and head can be copied together."""
        with _locked(self._lock_file):
            yield

    def record(self, decision: Decision) -> None:
        """Write a decision that changes no other table."""
        with self.recorded(decision):
            pass

    def entries(self) -> list[AuditEntry]:
        """Return the whole chain. Raises ``ValidationError`` when a row is not an entry."""
        rows = self._state.connection().execute("SELECT entry FROM audit ORDER BY sequence")
        return [AuditEntry.model_validate_json(row["entry"]) for row in rows]

    def verify(self) -> Verdict:
        """Check hashes, links, seals and the end."""
        rows = self._state.connection().execute("SELECT sequence, entry, seal FROM audit ORDER BY sequence")
        entries: list[AuditEntry] = []
        found: list[Flaw] = []
        for row in rows:
            entry = _read(row["entry"])
            if entry is None:
                found.append(Flaw(row["sequence"], "the entry cannot be read"))
                continue
            if not hmac.compare_digest(self._seal(entry.hash), row["seal"]):
                found.append(Flaw(entry.sequence, "the entry's seal is not this node's"))
            entries.append(entry)
        head, head_flaw = self._head_to_reach(entries)
        found += flaws(entries, head)
        return Verdict(len(entries), tuple(found + head_flaw))

    def _head_to_reach(self, entries: list[AuditEntry]) -> tuple[AuditHead, list[Flaw]]:
        end = head_of(entries[-1]) if entries else EMPTY
        try:
            head = self._read_head()
        except (OSError, ValueError, KeyError, TypeError):
            return end, [Flaw(end.sequence, "the chain's head cannot be read or its seal is not this node's")]
        passed = next((entry for entry in entries if entry.sequence == head.sequence), None)
        if head.sequence == 0 or (passed is not None and passed.hash == head.hash):
            return end, []
        return head, []

    def _append(self, connection: sqlite3.Connection, decision: Decision) -> AuditHead:
        last = connection.execute("SELECT entry FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        before = _read(last["entry"]) if last else None
        if last and before is None:
            raise LakeError("audit.damaged", "the audit chain is damaged", "run: atoll-node audit verify")
        entry = chained(
            head_of(before) if before else EMPTY,
            at=self._clock(),
            actor=decision.actor,
            action=decision.action,
            subject=decision.subject,
            detail=decision.detail,
        )
        row = (entry.sequence, entry.model_dump_json(), self._seal(entry.hash))
        connection.execute("INSERT INTO audit (sequence, entry, seal) VALUES (?, ?, ?)", row)
        return head_of(entry)

    def _seal(self, text: str) -> str:
        return hmac.new(self._seal_key, text.encode("ascii"), hashlib.sha256).hexdigest()

    def _write_head(self, head: AuditHead) -> None:
        content = head.wire() | {"seal": self._seal(f"head {head.sequence} {head.hash}")}
        new = self._head_file.with_suffix(".new")
        new.write_text(json.dumps(content), encoding="ascii")
        new.chmod(0o600)
        new.replace(self._head_file)

    def _read_head(self) -> AuditHead:
        if not self._head_file.exists() and not self._count():
            return EMPTY
        content = json.loads(self._head_file.read_text(encoding="ascii"))
        head = AuditHead(sequence=content["sequence"], hash=content["hash"])
        if not hmac.compare_digest(self._seal(f"head {head.sequence} {head.hash}"), str(content["seal"])):
            raise ValueError("seal")
        return head

    def _count(self) -> int:
        return int(self._state.connection().execute("SELECT count(*) FROM audit").fetchone()[0])


def _read(text: str) -> AuditEntry | None:
    try:
        return AuditEntry.model_validate_json(text)
    except ValidationError:
        return None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the chain between processes, so that heads are written in the order of their entries."""
    with file.open("a", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
