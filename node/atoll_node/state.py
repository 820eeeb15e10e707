"""Open the node's small database: permits, answers, outbound messages, ledger, audit chain.

Several processes share it (``up`` runs while a steward types ``permits approve``), so it is SQLite in
write-ahead mode. A committed transaction survives ``kill -9``; a durable one a power cut too, and with it all
that was committed before.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY_SECONDS = 30.0


class State:
    """One SQLite file; each thread gets its own connection."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._local = threading.local()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, in autocommit mode for reads."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = _opened(self.file)
            self._local.connection = found
        return found

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Hold the write lock: everything inside commits together or not at all."""
        connection = self.connection()
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def create(self, *statements: str) -> None:
        """Create a room's tables; statements say ``IF NOT EXISTS``."""
        with self.transaction() as connection:
            for statement in statements:
                connection.execute(statement)


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
    file.chmod(0o600)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
