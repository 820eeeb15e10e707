"""Decide what a table needs: pure rules over what stands on the store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from atoll_node.release import PinnedFile, Release
from atoll_node.tables.writer import CLUSTERED

SMALL_FILE = 32 * 1024 * 1024
MANY_FILES = 8
MANY_COMMITS = 10
AT_ONCE = 4 * 1024**3
"""So many bytes are sorted and committed together, whatever the table's size."""


class Work(StrEnum):
    """What maintenance may do to a table."""

    CLUSTER = "cluster"
    CHECKPOINT = "checkpoint"
    VACUUM = "vacuum"


@dataclass(frozen=True)
class TableState:
    """One table as it stands on its store."""

    name: str
    version: int
    rows: int
    live: tuple[PinnedFile, ...]
    """Files of the newest version."""
    stored: tuple[PinnedFile, ...]
    """Data files of every version, and of attempts that died."""
    pinned: frozenset[str]
    """Paths that releases still need."""
    checkpoint: int | None

    @property
    def bytes(self) -> int:
        """Return the size of the newest version."""
        return sum(file.bytes for file in self.live)

    @property
    def small(self) -> tuple[PinnedFile, ...]:
        """Return the live files that are smaller than a reader likes."""
        return tuple(file for file in self.live if file.bytes < SMALL_FILE)

    @property
    def unsorted(self) -> tuple[PinnedFile, ...]:
        """Return the live files whose rows are in the order in which they came."""
        return tuple(file for file in self.live if not file.path.startswith(CLUSTERED))

    @property
    def unneeded(self) -> tuple[PinnedFile, ...]:
        """Return the files that neither the newest version nor a release has."""
        needed = self.pinned | {file.path for file in self.live}
        return tuple(file for file in self.stored if file.path not in needed)

    @property
    def commits_since_checkpoint(self) -> int:
        """Return how many commits a reader reads one by one."""
        return self.version - (-1 if self.checkpoint is None else self.checkpoint)


def should_cluster(table: TableState) -> bool:
    """Many files are small, or hold their rows in the order in which they came."""
    return len(table.small) >= MANY_FILES or len(table.unsorted) >= MANY_FILES


def should_checkpoint(table: TableState) -> bool:
    """Many commits since the last checkpoint."""
    return table.commits_since_checkpoint >= MANY_COMMITS


def should_vacuum(table: TableState) -> bool:
    """Some file is needed by nobody."""
    return bool(table.unneeded)


RULES: tuple[tuple[Work, Callable[[TableState], bool]], ...] = (
    (Work.CLUSTER, should_cluster),
    (Work.CHECKPOINT, should_checkpoint),
    (Work.VACUUM, should_vacuum),
)


def due(table: TableState) -> tuple[Work, ...]:
    """Return the work that a table needs, in the order in which it is done."""
    return tuple(work for work, needs in RULES if needs(table))


def to_rewrite(table: TableState) -> tuple[PinnedFile, ...]:
    """Return the live files that clustering rewrites: the small ones, and those that are not sorted."""
    wanted = {file.path for file in (*table.small, *table.unsorted)}
    chosen: list[PinnedFile] = []
    for file in table.live:
        if file.path in wanted and (len(chosen) < 2 or sum(one.bytes for one in chosen) < AT_ONCE):
            chosen.append(file)
    return tuple(chosen)


def to_retire(releases: Iterable[Release], *, keep: int, days: int, now: datetime) -> tuple[Release, ...]:
    """Return the releases that are neither among the newest ``keep`` nor younger than ``days``."""
    oldest_first = tuple(releases)
    spare = oldest_first[: max(0, len(oldest_first) - max(1, keep))]
    return tuple(release for release in spare if release.created_at <= now - timedelta(days=days))
