"""Keep the ledger in the node's SQLite file, so that a restart forgets nothing that was answered."""

import sqlite3
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from atoll_node.disclosure.earlier import Figure
from atoll_node.disclosure.footprints import Footprint
from atoll_node.disclosure.ledger import Remembered
from atoll_node.raw import PersonSet

_TABLE = """
create table if not exists ledger_cohort (
    project text not null, dataset text not null, place integer not null,
    first integer not null, width integer not null, steps blob not null, overlaps blob not null,
    primary key (project, place)
)
"""
_FIGURES = """
create table if not exists ledger_figure (
    project text not null, place integer not null, name blob not null, base integer not null,
    leading integer not null, buckets blob not null,
    primary key (project, place)
)
"""
_COUNT = "select count(*) from ledger_figure where project = ?"
_SINCE = (
    "select name, base, leading, buckets from ledger_figure where project = ? and place >= ? order by place"
)
_PROJECTS = 4
"""Projects whose figures stay in memory."""
_NAME = struct.Struct("<Q")
_PAGES_BEFORE_CHECKPOINT = 50_000


class LedgerStore:
    """Answered cohorts per project, as sorted 64-bit person pseudonyms; they never leave."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._turn = threading.Lock()
        self._figures: OrderedDict[str, tuple[Figure, ...]] = OrderedDict()
        self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        with self._turn, self._connection:
            self._connection.execute("pragma journal_mode = wal")
            # An answer leaves only after this file, the node's database, was synced with its outcome.
            self._connection.execute("pragma synchronous = normal")
            # A cohort of a million persons is some 1,500 pages; moving it at once would double its cost.
            self._connection.execute(f"pragma wal_autocheckpoint = {_PAGES_BEFORE_CHECKPOINT}")
            self._connection.execute(_TABLE)
            self._connection.execute(_FIGURES)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def recall(self, project: str) -> Iterator[Remembered]:
        """Yield the cohorts that were answered, oldest first."""
        place = 0
        while row := self._row(project, place):
            first, width, steps, sizes = row
            yield Remembered(
                members=_unpacked(first, width, steps),
                overlaps=tuple(map(int, np.frombuffer(sizes, dtype="<i8"))),
            )
            place += 1

    def _row(self, project: str, place: int) -> tuple[int, int, bytes, bytes] | None:
        with self._turn:
            found: tuple[int, int, bytes, bytes] | None = self._connection.execute(
                "select first, width, steps, overlaps from ledger_cohort where project = ? and place = ?",
                (project, place),
            ).fetchone()
        return found

    def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
        """Add a cohort as the next one; ``False`` when another took the place meanwhile."""
        sizes = np.array(overlaps, dtype="<i8").tobytes()
        row = (project, dataset, len(overlaps), *_packed(members), sizes)
        with self._turn, self._connection:
            added = self._connection.execute(
                "insert or ignore into ledger_cohort values (?, ?, ?, ?, ?, ?, ?)", row
            )
            return added.rowcount == 1

    def recall_figures(self, project: str) -> Sequence[Figure]:
        """Return the figures that were decided on, oldest first; what was read before is kept."""
        with self._turn:
            known = self._figures.pop(project, ())
            if len(known) > self._connection.execute(_COUNT, (project,)).fetchone()[0]:
                known = ()
            rows = self._connection.execute(_SINCE, (project, len(known))).fetchall()
            found = (*known, *(_figure(*row) for row in rows))
            self._figures[project] = found
            while len(self._figures) > _PROJECTS:
                self._figures.popitem(last=False)
        return found

    def keep_figures(self, project: str, figures: Sequence[Figure], before: int) -> bool:
        """Add figures as the next ones; ``False`` when others took the places meanwhile."""
        rows = [
            (project, place, _NAME.pack(one.footprint.name), one.base, one.leading, _bytes_of(one))
            for place, one in enumerate(figures, start=before)
        ]
        try:
            with self._turn, self._connection:
                self._connection.executemany("insert into ledger_figure values (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.IntegrityError:
            return False
        return True

    def forget(self, persons: Iterable[int], stand_in: Callable[[], int]) -> int:
        """Put a drawn number in the place of each person; return how many cohorts held one.

        The cohort keeps its size: a later one without the person still differs from it by one person.
        """
        wanted = np.array(sorted(persons), np.int64)
        changed = 0
        # The proof of what was forgotten is written next: a power cut must not bring the person back.
        with self._turn:
            self._connection.execute("pragma synchronous = full")
        with self._turn, self._connection:
            rows = [row for (row,) in self._connection.execute("select rowid from ledger_cohort")]
            for row in rows:
                query = "select first, width, steps from ledger_cohort where rowid = ?"
                members = _unpacked(*self._connection.execute(query, (row,)).fetchone())
                found = np.isin(members, wanted)
                if not found.any():
                    continue
                drawn = [stand_in() for _ in range(int(found.sum()))]
                kept = np.sort(np.concatenate([members[~found], np.array(drawn, np.int64)]))
                self._connection.execute(
                    "update ledger_cohort set first = ?, width = ?, steps = ? where rowid = ?",
                    (*_packed(kept), row),
                )
                changed += 1
        return changed


def _figure(name: bytes, base: int, leading: int, buckets: bytes) -> Figure:
    return Figure(Footprint(_NAME.unpack(name)[0], np.frombuffer(buckets, dtype="<i4")), base, bool(leading))


def _bytes_of(figure: Figure) -> bytes:
    return figure.footprint.buckets.astype("<i4", copy=False).tobytes()


def _packed(members: PersonSet) -> tuple[int, int, bytes]:
    """Return the first id, and the steps between ids in as few bytes each as the largest needs."""
    # The difference of two 64-bit ids always fits into 64 unsigned bits.
    steps = np.diff(members.astype("<i8", copy=False).view("<u8"))
    width = (int(steps.max()).bit_length() + 7) // 8 if len(steps) else 1
    low_bytes = steps.view(np.uint8).reshape(-1, 8)[:, :width]
    return int(members[0]), width, low_bytes.tobytes()


def _unpacked(first: int, width: int, steps: bytes) -> PersonSet:
    number = len(steps) // width
    padded = np.zeros((number, 8), dtype=np.uint8)
    padded[:, :width] = np.frombuffer(steps, dtype=np.uint8).reshape(number, width)
    members = np.empty(number + 1, dtype=np.uint64)
    members[0] = np.int64(first).view(np.uint64)
    np.cumsum(padded.view("<u8").ravel(), out=members[1:])
    members[1:] += members[0]
    return members.view(np.int64)
