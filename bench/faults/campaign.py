"""Run episodes: draw a fault, let a writer work under it, take it away, and look at what is there."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from minio.error import MinioException
from urllib3.exceptions import HTTPError

from atoll_node.home import Home
from atoll_node.settings import S3Store
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from bench.faults.kinds import ALL, REQUESTS, Harmful
from bench.faults.truth import Pinned, Truth
from tests.support.hospital import Hospital, hospital, small_export
from tests.support.s3_server import ACCESS, BUCKET, SECRET, S3Server
from tests.support.unsafe_store import Gateway, gateway, honest

Running = Callable[[Path], AbstractContextManager[S3Server]]
KEYS = {
    "MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET,
    "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET,
}  # fmt: skip
"""What either store is started with."""
PATIENCE = 120.0
WRITER_SECONDS = 25.0
"""A writer that is still trying then is killed: its clients wait longer and longer between tries."""
BATCHES = (6, 18)
PIN_EVERY = 5
INGEST = (
    "import sys; from pathlib import Path; from atoll_node.settings import S3Store;"
    "from tests.support.hospital import hospital;"
    "hospital(Path(sys.argv[1]), store=S3Store.model_validate_json(sys.argv[2]), load='persons').ingest()"
)


@dataclass
class Outcome:
    """What a campaign did and found."""

    seed: int
    commits: int = 0
    """Batches acknowledged in episodes with a fault."""
    episodes: Counter[str] = field(default_factory=Counter)
    harmed: Counter[str] = field(default_factory=Counter)
    """Requests harmed or processes hit, by kind."""
    releases: int = 0
    ingests: int = 0
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Campaign:
    """One store, one table of numbered batches, one dataset of real ingests."""

    def __init__(self, server: S3Server, gate: Gateway, folder: Path, seed: int) -> None:
        self._server = server
        self._gate = gate
        self._folder = folder
        self._draw = random.Random(seed)
        store = server.store(folder / "keys", prefix="faults")
        self._through = store.model_copy(update={"endpoint": gate.endpoint})
        folder.mkdir(parents=True, exist_ok=True)
        self._truth = Truth(server, Lake(places_of(Home(folder), store), "faults", folder / "scratch"))
        self._ward = self._hospital(store)
        self._attempted = 0
        self._delivered = 0
        self._pinned: list[Pinned] = []
        if server.process is None:
            raise ValueError("the campaign stops and starts its store, so it must have started it")
        self._store = server.process
        self.outcome = Outcome(seed)

    def run(self, commits: int, kinds: tuple[str, ...] = ALL, *, seconds: float = inf) -> Outcome:
        """Run until so many commits were acknowledged, time is over, or something does not hold."""
        begun = time.monotonic()
        while self.outcome.commits < commits and not self.outcome.breaches:
            if time.monotonic() - begun > seconds:
                break
            self._episode(self._draw.choice(kinds))
        self.outcome.breaches += self._look(self._pinned)
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def _episode(self, kind: str) -> None:
        self.outcome.episodes[kind] += 1
        if kind == "ingest killed":
            self._ingest_killed()
            return
        before = len(self._acknowledged())
        with self._harm(kind) as options:
            self._write(kind, options)
        self._gate.heard.clear()
        self.outcome.commits += len(self._acknowledged()) - before
        if sum(self.outcome.episodes.values()) % PIN_EVERY == 0 and (pinned := self._truth.pin()):
            self._pinned.append(pinned)
            self.outcome.releases += 1
        checked = self._draw.sample(self._pinned, min(1, len(self._pinned)))
        self.outcome.breaches += [f"{kind}: {one}" for one in self._look(checked)]

    def _look(self, pinned: list[Pinned]) -> list[str]:
        return self._truth.breaches(self._acknowledged(), self._attempted, pinned)

    @contextmanager
    def _harm(self, kind: str) -> Iterator[list[str]]:
        """Set the fault for a while; yield the writer's options."""
        if kind in REQUESTS:
            harm = Harmful(kind, self._draw.choice((0.02, 0.05, 0.15)), random.Random(self._draw.random()))
            self._gate.spoiler = harm
            try:
                yield []
            finally:
                self._gate.spoiler = honest
                self.outcome.harmed[kind] += harm.done
            return
        self.outcome.harmed[kind] += 1
        options = {"scratch full": ["--largest-file", "600"],
                   "clock jumps": ["--clock-days", str(self._draw.choice((-4000, -1, 1, 4000)))]}  # fmt: skip
        yield options.get(kind, [])

    def _write(self, kind: str, options: list[str]) -> None:
        first = max(self._acknowledged(), default=-1) + 1
        count = self._draw.randint(*BATCHES)
        self._attempted = max(self._attempted, first + count)
        command = [sys.executable, "-m", "bench.faults.writer", self._through.model_dump_json()]
        process = subprocess.Popen([*command, str(self._folder), str(first), str(count), *options])
        try:
            if kind in {"writer killed", "store killed and restarted"}:
                self._strike(kind, process)
            process.wait(WRITER_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()

    def _strike(self, kind: str, process: "subprocess.Popen[bytes]") -> None:
        """Kill the writer after 0.5 to 3 s of its life, or kill the store and start it again meanwhile."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._draw.uniform(0.5, 3))
        if kind == "writer killed":
            process.kill()
        else:
            self._restart()

    def _restart(self) -> None:
        """Kill the store and start it again on its port, over its folder."""
        self._store.kill()
        self._store.wait()
        time.sleep(self._draw.uniform(0, 1))
        self._store = subprocess.Popen(
            self._store.args, env={**os.environ, **KEYS}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("the store did not come back")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return bool(self._server.client.bucket_exists(BUCKET))
        except (MinioException, HTTPError):
            return False

    def stop(self) -> None:
        """Stop the store that was started again."""
        self._store.terminate()
        self._store.wait(timeout=PATIENCE)

    def _ingest_killed(self) -> None:
        """Kill a real ingest, let the next one finish, and count rows and quarantined records."""
        self._delivered += 1
        number = self._delivered
        export = small_export(persons=number)
        delivery = {
            name: [row for row in rows if row["person_id"] == number] for name, rows in export.items()
        }
        delivery["measurement"].append(
            delivery["measurement"][0] | {"measurement_id": 9, "measurement_date": "no day"}
        )
        self._ward.export(delivery)
        store = self._through.model_dump_json()
        process = subprocess.Popen([sys.executable, "-c", INGEST, str(self._ward.home.root), store])
        try:
            process.wait(self._draw.uniform(0.5, 6))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        report = self._ward.ingest()
        self.outcome.ingests += 1
        self.outcome.harmed["ingest killed"] += 1
        self.outcome.commits += len(report.tables)
        self.outcome.breaches += [
            f"ingest killed: {one}" for one in self._ward_breaches(number, report.batch)
        ]

    def _ward_breaches(self, number: int, batch: str) -> list[str]:
        counts = {table.name: table.rows for table in self._ward.release().tables}
        expected = {"person": number, "observation_period": number, "visit_occurrence": number}
        kept = self._ward.home.quarantine / "lab" / batch.removeprefix("sha256:") / "measurement.jsonl"
        lines = [json.loads(line) for line in kept.read_text(encoding="ascii").splitlines()]
        wrong = [] if counts == expected | {"measurement": 3 * number} else ["an ingest lost or doubled rows"]
        return wrong + ([] if len(lines) == 1 else ["quarantine is not complete"])

    def _hospital(self, store: S3Store) -> Hospital:
        return hospital(self._folder / "ward", store=store, load="persons")

    def _acknowledged(self) -> list[int]:
        file = self._folder / "acknowledged"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def campaign(
    running: Running,
    folder: Path,
    *,
    commits: int,
    seed: int,
    kinds: tuple[str, ...] = ALL,
    seconds: float = inf,
) -> Outcome:
    """Start a store, put the gateway before it, and run."""
    with running(folder / "store") as server, gateway(server) as gate:
        work = Campaign(server, gate, folder / "work", seed)
        try:
            return work.run(commits, kinds, seconds=seconds)
        finally:
            work.stop()
