"""One table of the campaign from its first batch to its last: what was tried, acknowledged and released."""

import random
from pathlib import Path

from atoll_node.home import Home
from atoll_node.settings import S3Store
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from bench.faults.truth import Pinned, Truth
from bench.faults.writer import Task, write
from tests.support.s3_server import S3Server


class Chapter:
    """A table of numbered batches, and what must hold of it; a campaign begins a new one now and then."""

    def __init__(self, server: S3Server, store: S3Store, folder: Path, dataset: str) -> None:
        folder.mkdir(parents=True)
        self._store = store
        self._folder = folder
        self._dataset = dataset
        self._truth = Truth(server, Lake(places_of(Home(folder), store), dataset, folder / "scratch"))
        self._pinned: list[Pinned] = []
        self.attempted = 0

    @property
    def acknowledged(self) -> frozenset[int]:
        """Return the batches that some writer saw committed."""
        found = (file.read_text(encoding="ascii").split() for file in self._folder.glob("*.acknowledged"))
        return frozenset(int(batch) for batches in found for batch in batches)

    def batches(self, count: int) -> tuple[int, ...]:
        """Return the next batches to write: first those that nobody saw committed, then new ones."""
        unfinished = sorted(frozenset(range(self.attempted)) - self.acknowledged)[:count]
        new = range(self.attempted, self.attempted + count - len(unfinished))
        self.attempted = max(self.attempted, new.stop)
        return (*unfinished, *new)

    def task(self, writer: int, batches: tuple[int, ...], through: S3Store | None = None) -> Task:
        """Return the work of one writer, who has a scratch folder and a list of his own."""
        folder = self._folder / f"writer-{writer}"
        return Task(
            through or self._store, folder, self._dataset, batches, self._folder / f"{writer}.acknowledged"
        )

    def pin(self) -> bool:
        """Pin the newest version as a release does, if there is one."""
        pinned = self._truth.pin()
        self._pinned += [] if pinned is None else [pinned]
        return pinned is not None

    def breaches(self, draw: random.Random) -> list[str]:
        """Look at every row and version, and at one release; return what does not hold."""
        chosen = draw.sample(self._pinned, min(1, len(self._pinned)))
        return self._truth.breaches(self.acknowledged, self.attempted, chosen)

    def finish(self) -> list[str]:
        """Write what is unfinished without any fault, then look at every row, version and release."""
        write(self.task(0, tuple(sorted(frozenset(range(self.attempted)) - self.acknowledged))))
        return self._truth.breaches(range(self.attempted), self.attempted, self._pinned)
