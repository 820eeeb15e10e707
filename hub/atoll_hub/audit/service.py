"""Make decisions and their audit entries one thing: both are committed, or neither."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.engine import Connection

from atoll_hub.audit import rules, store
from atoll_hub.audit.rules import Decision, Verification
from atoll_hub.database import Database
from atoll_schemas.audit import AuditEntry, AuditHead, chained, head_of

Clock = Callable[[], datetime]


class Deciding:
    """One open transaction in which decisions are made; every one of them is recorded."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.decisions: list[Decision] = []

    def record(self, decision: Decision) -> None:
        """Put a decision on record; it is chained when the transaction commits."""
        self.decisions.append(decision)


class Journal:
    """The hub's audit chain."""

    def __init__(self, database: Database, head_file: store.HeadFile, clock: Clock) -> None:
        self._database = database
        self._head_file = head_file
        self._clock = clock
        self._unsigned: AuditHead | None = None
        self._end = threading.Lock()

    @contextmanager
    def deciding(self, *, durable: bool = True) -> Iterator[Deciding]:
        """Open a transaction. Transactions that decide run one after the other, in the chain's order.

        The end of what is not ``durable`` is signed with the next durable decision: what a power cut may undo
        must not be missed afterwards.
        """
        written: list[AuditEntry] = []
        with self._database.write(durable=durable) as connection:
            head = store.lock_head(connection)
            act = Deciding(connection, self._clock())
            yield act
            for decision in act.decisions:
                entry = chained(
                    head,
                    at=act.now,
                    actor=decision.actor,
                    action=decision.action.value,
                    subject=decision.subject,
                    detail=decision.detail,
                )
                head = head_of(entry)
                written.append(entry)
            if written:
                store.append(connection, written, head)
        if written and durable:
            self._moved(head)

    def note(self, decision: Decision) -> None:
        """Record a decision that changes nothing else, such as a refusal."""
        with self.deciding() as act:
            act.record(decision)

    def verify(self) -> Verification:
        """Check the whole chain against its head in the database and its signed end in the file."""
        signed = self._head_file.read()
        with self._database.read() as connection:
            head = store.read_head(connection)
            entries = store.read_entries(connection)
        return rules.verify(entries, head, signed)

    def entries(self) -> list[AuditEntry]:
        """Return the chain's readable entries, oldest first."""
        with self._database.read() as connection:
            return [entry for entry in store.read_entries(connection) if entry is not None]

    def sign_end(self) -> None:
        """Sign the chain's end, if it moved since: each half second while the hub runs, and at its end."""
        with self._end:
            head, self._unsigned = self._unsigned, None
        if head is not None:
            self._head_file.advance(head)

    def catch_up(self) -> None:
        """Sign the chain's end after a crash, if the chain holds what was signed before."""
        if self.verify().holds:
            with self._database.read() as connection:
                self._head_file.advance(store.read_head(connection))

    def _moved(self, head: AuditHead) -> None:
        """Remember the latest end to sign: of two decisions, the earlier one may get here last."""
        with self._end:
            if self._unsigned is None or self._unsigned.sequence < head.sequence:
                self._unsigned = head
