"""Run episodes: draw a fault, let writers race under it, take it away, and look at what is there."""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

from bench.faults.chapter import Chapter
from bench.faults.kinds import ALL, REQUESTS, Harmful
from bench.faults.mortal_store import PATIENCE, MortalStore
from bench.faults.ward import Delivery, Ward, deliver
from bench.faults.writer import Task, write
from tests.support.s3_server import S3Server, client_of
from tests.support.unsafe_store import Gateway, gateway, honest

Running = Callable[[Path], AbstractContextManager[S3Server]]
CLOCK_DAYS = (-4000, -1, 1, 4000)
SHARES = (0.01, 0.04, 0.1)
"""Of so many requests one is harmed."""
RACING = 0.25
"""In so many episodes of a hundred, writers race for one table."""
DELIVERIES_PER_WARD = 20
ALONE = frozenset({"truncated upload"})
"""Two writers of one version may name a file alike, and no store keeps half a file: this fault would."""


@dataclass(frozen=True)
class Plan:
    """How large the episodes are."""

    kinds: tuple[str, ...] = ALL
    batches: int = 30
    """At most so many for each writer of an episode; at least a third."""
    writers: int = 2
    writer_seconds: float = 8.0
    """A writer that is still trying then is killed: its clients wait longer and longer between tries."""
    pin_every: int = 5
    """A release after so many episodes."""
    chapter: int = 600
    """A new table after so many batches."""


WHOLE = Plan()


@dataclass
class Outcome:
    """What a campaign did and found."""

    seed: int
    acknowledged: Counter[str] = field(default_factory=Counter)
    """Batches acknowledged under a fault, by kind."""
    episodes: Counter[str] = field(default_factory=Counter)
    harmed: Counter[str] = field(default_factory=Counter)
    """Requests harmed or processes hit, by kind."""
    tables: int = 1
    releases: int = 0
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def commits(self) -> int:
        """Return how many batches were acknowledged."""
        return self.acknowledged.total()


class Campaign:
    """One store, a table of numbered batches after the other, and datasets of real ingests."""

    def __init__(self, server: S3Server, gate: Gateway, folder: Path, seed: int, plan: Plan) -> None:
        self._server = server
        self._gate = gate
        self._folder = folder
        self._plan = plan
        self._draw = random.Random(seed)
        self._kept = server.store(folder / "keys", prefix="faults")
        self._through = self._kept.model_copy(update={"endpoint": gate.endpoint})
        self._store = MortalStore(server)
        # A new process from this one has its libraries already; deltalake has not run in it.
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["bench.faults.writer", "bench.faults.ward"])
        self.outcome = Outcome(seed)
        self._chapter = self._next_chapter()
        self._ward = self._next_ward(1)

    def run(self, commits: int, *, seconds: float = inf, told: Callable[[Outcome], None]) -> Outcome:
        """Run until so many commits were acknowledged, time is over, or something does not hold."""
        begun = time.monotonic()
        while self.outcome.commits < commits and not self.outcome.breaches:
            self.outcome.seconds = time.monotonic() - begun
            if self.outcome.seconds > seconds:
                break
            if self._chapter.attempted >= self._plan.chapter:
                self._turn_the_page()
                told(self.outcome)
            else:
                self._episode(self._draw.choice(self._plan.kinds))
        self.outcome.breaches += self._chapter.finish()
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def stop(self) -> None:
        """Stop the store that was started again."""
        self._store.stop()

    def _next_chapter(self) -> Chapter:
        name = f"faults{self.outcome.tables:04d}"
        return Chapter(self._server, self._kept, self._folder / name, name)

    def _next_ward(self, number: int) -> Ward:
        store = self._kept.model_copy(update={"prefix": f"ward{number:04d}"})
        return Ward(self._folder / f"ward{number:04d}", store)

    def _turn_the_page(self) -> None:
        self.outcome.breaches += self._chapter.finish()
        self.outcome.tables += 1
        self._chapter = self._next_chapter()

    def _episode(self, kind: str) -> None:
        self.outcome.episodes[kind] += 1
        if kind == "ingest killed":
            self._ingest_killed()
            return
        before = len(self._chapter.acknowledged)
        with self._harm(kind):
            self._race(kind, [self._harmed(task, kind) for task in self._tasks(kind)])
        self._gate.heard.clear()
        self.outcome.acknowledged[kind] += len(self._chapter.acknowledged) - before
        if self.outcome.episodes.total() % self._plan.pin_every == 0:
            self.outcome.releases += self._chapter.pin()
        self.outcome.breaches += [f"{kind}: {one}" for one in self._chapter.breaches(self._draw)]

    @contextmanager
    def _harm(self, kind: str) -> Iterator[None]:
        """Let the gateway harm requests for a while."""
        if kind not in REQUESTS:
            self.outcome.harmed[kind] += 1
            yield
            return
        harm = Harmful(kind, self._draw.choice(SHARES), random.Random(self._draw.random()))
        self._gate.spoiler = harm
        try:
            yield
        finally:
            self._gate.spoiler = honest
            self.outcome.harmed[kind] += harm.done

    def _tasks(self, kind: str) -> list[Task]:
        """Share batches out among writers; now and then two of them are given the same."""
        racing = kind not in ALONE and self._draw.random() < RACING
        writers = self._draw.randint(2, max(2, self._plan.writers)) if racing else 1
        count = self._draw.randint(max(1, self._plan.batches // 3), self._plan.batches)
        batches = self._chapter.batches(count * writers)
        shares = [batches[number * count : (number + 1) * count] for number in range(writers)]
        if writers > 1 and self._draw.random() < 0.25:
            shares[0] = shares[1]
        return [self._chapter.task(number + 1, share, self._through) for number, share in enumerate(shares)]

    def _harmed(self, task: Task, kind: str) -> Task:
        """Return the task as a full disk or a wrong clock makes it."""
        seed = self._draw.randrange(2**32)
        if kind == "scratch full":
            return replace(task, full_share=self._draw.choice((0.2, 0.5)), seed=seed)
        if kind == "clock jumps":
            return replace(task, clock_days=self._draw.choice(CLOCK_DAYS))
        return task

    def _race(self, kind: str, tasks: Sequence[Task]) -> None:
        processes = [self._started(write, task) for task in tasks]
        end = time.monotonic() + self._plan.writer_seconds
        if kind == "writer killed":
            for process in processes:
                self._kill_after(process, self._draw.uniform(0.5, 3))
        elif kind == "store killed and restarted":
            processes[0].join(self._draw.uniform(0.5, 3))
            self._store.restart(self._draw)
        for process in processes:
            self._kill_after(process, max(0.0, end - time.monotonic()))

    def _started(self, work: Callable[..., None], task: Task | Delivery) -> BaseProcess:
        process = self._processes.Process(target=work, args=(task,))
        process.start()
        return process

    def _kill_after(self, process: BaseProcess, seconds: float) -> None:
        process.join(seconds)
        process.kill()
        process.join()

    def _ingest_killed(self) -> None:
        if self._ward.delivered >= DELIVERIES_PER_WARD:
            self._ward = self._next_ward(self.outcome.episodes["ingest killed"])

        def killing(delivery: Delivery) -> None:
            self._kill_after(self._started(deliver, delivery), self._draw.uniform(0.1, 3))

        through = self._ward.store.model_copy(update={"endpoint": self._gate.endpoint})
        commits, breaches = self._ward.ingested(through, killing)
        self._gate.heard.clear()
        self.outcome.harmed["ingest killed"] += 1
        self.outcome.acknowledged["ingest killed"] += commits
        self.outcome.breaches += [f"ingest killed: {one}" for one in breaches]


def campaign(
    running: Running,
    folder: Path,
    *,
    commits: int,
    seed: int,
    plan: Plan = WHOLE,
    seconds: float = inf,
    told: Callable[[Outcome], None] = lambda _: None,
) -> Outcome:
    """Start a store, put the gateway before it, and run; the checks wait long for a busy store."""
    with running(folder / "store") as server, gateway(server) as gate:
        patient = client_of(urlsplit(server.endpoint).netloc, None, seconds=PATIENCE)
        work = Campaign(replace(server, client=patient), gate, folder / "work", seed, plan)
        try:
            return work.run(commits, seconds=seconds, told=told)
        finally:
            work.stop()
