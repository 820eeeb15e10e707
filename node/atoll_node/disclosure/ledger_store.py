"""Keep the ledger in the node's SQLite file, so that a restart forgets nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from atoll_node.disclosure.ledger import Remembered
from atoll_node.raw import PersonSet

_TABLES = """
create table if not exists ledger_cohort (
    project text not null, dataset text not null, place integer not null,
    members blob not null, overlaps blob not null,
    primary key (project, dataset, place)
)
"""


class LedgerStore:
    """Answered cohorts per project and dataset, as sorted 64-bit person pseudonyms; they never leave."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(_TABLES)

    def recall(self, project: str, dataset: str) -> Remembered:
        """Return the cohorts that were answered, oldest first."""
        with self._connection() as connection:
            rows = connection.execute(
                "select members, overlaps from ledger_cohort"
                " where project = ? and dataset = ? order by place",
                (project, dataset),
            ).fetchall()
        return Remembered(
            cohorts=tuple(np.frombuffer(members, dtype="<i8") for members, _ in rows),
            overlaps=tuple(tuple(map(int, np.frombuffer(sizes, dtype="<i8"))) for _, sizes in rows),
        )

    def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
        """Add a cohort as the next one; ``False`` when another took the place meanwhile."""
        row = (
            project,
            dataset,
            len(overlaps),
            np.ascontiguousarray(members, dtype="<i8").data,
            np.array(overlaps, dtype="<i8").tobytes(),
        )
        with self._connection() as connection:
            added = connection.execute("insert or ignore into ledger_cohort values (?, ?, ?, ?, ?)", row)
            return added.rowcount == 1

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            yield connection
