"""Run a whole federation as processes: one hub, three nodes with data, a project that they permit.

A test freezes a node while it works (SIGSTOP), kills it (SIGKILL), and reads in the records of hub and node
what became of each answer.
"""

import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import atoll
from atoll_schemas.people import ProjectApplication
from atoll_schemas.query import METHODS
from atoll_schemas.results import ClearedResult
from demo.make_data import SITES
from tests.support.federation_exports import everybody
from tests.support.hub import HubProcess
from tests.support.node import NodeProcess, make_node

PATIENCE = 40.0
DATASETS = ("colon", "lung", "registry", "institutions", "arrivals")
LEASE_SECONDS = 3.0


class SpeakingAnother(NodeProcess):
    """A node whose release speaks another protocol version than its hub."""

    def _program(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "tests.support.node_of_another_protocol")


@dataclass(frozen=True)
class TaskRow:
    """One site's share of a query, as the hub's database has it."""

    id: str
    site: str
    state: str
    fence: int
    answer_fence: int | None
    outcome: str | None


@dataclass
class Federation:
    """The hub, its nodes by site, their exports, and a researcher with a permitted project."""

    hub: HubProcess
    nodes: dict[str, NodeProcess]
    token: str
    project: str
    ca_file: Path | None = None
    frozen: set[str] = field(default_factory=set)

    @cached_property
    def ada(self) -> atoll.Hub:
        """The researcher's connection."""
        return atoll.Hub(
            self.hub.url, self.token, ca_file=None if self.ca_file is None else str(self.ca_file)
        )

    def count(self, dataset: str = "registry", deadline: int = 60, **options: Any) -> atoll.Run:
        """Ask how many patients there are."""
        return self.ada.count(
            everybody(), dataset=dataset, project=self.project, deadline=deadline, **options
        )

    def survival(self, dataset: str = "registry", deadline: int = 60) -> atoll.Run:
        """Ask for survival by arm: of the questions here the one that takes longest."""
        return self.ada.kaplan_meier(
            everybody(),
            outcome="death",
            by="arm",
            dataset=dataset,
            project=self.project,
            deadline=deadline,
        )

    # -- holding and ending processes ---------------------------------------------------------------------

    def catch_at_work(self, site: str, ask: Callable[[], atoll.Run]) -> tuple[atoll.Run, str]:
        """Ask, and freeze the site's node while it works: its task has begun and has no outcome yet.

        Returns the run and the site's task. A task that was over too soon is let go and asked again.
        """
        for _ in range(20):
            run = ask()
            task = self.task(run, site).id
            soon(lambda task=task: self.kept_at_node(site, task) is not None, f"{site} begins")
            self.freeze(site)
            if self.kept_at_node(site, task) == "begun" and self._can_be_written(site):
                return run, task
            self.thaw(site)
            run.result(timeout=PATIENCE)
        raise AssertionError(f"{site} was never caught at work")

    def freeze(self, site: str) -> None:
        """Stop a node's process where it is (SIGSTOP)."""
        process = self.nodes[site].process
        assert process is not None
        self.frozen.add(site)
        process.send_signal(signal.SIGSTOP)
        soon(lambda: _is_stopped(process.pid), f"{site} stands still", pause=0.001)

    def thaw(self, site: str) -> None:
        """Let a frozen node go on (SIGCONT)."""
        self.frozen.discard(site)
        process = self.nodes[site].process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def kill(self, site: str) -> None:
        """Kill a node without a word (SIGKILL), frozen or not."""
        self.nodes[site].kill()
        self.frozen.discard(site)

    def restore(self) -> None:
        """Start again whatever a test left frozen, killed or stopped."""
        if self.hub.process is None or self.hub.process.poll() is not None:
            self.hub.process = None
            self.hub.start()
        for site, node in self.nodes.items():
            self.thaw(site)
            if node.process is None or node.process.poll() is not None:
                node.process = None
                node.start()
        soon(self.all_permitted, "every permit is active")

    def end(self) -> None:
        """Kill everything, by its process id."""
        for node in self.nodes.values():
            node.kill()
        self.hub.kill()

    def permit(self, site: str) -> str:
        """Return the name of the project's permit at a site."""
        return f"{self.project}.{site}"

    def permit_state(self, site: str) -> str:
        """Return how the hub believes that a site's permit stands."""
        project = next(one for one in self.ada.projects() if one.id == self.project)
        return next(one.state for one in project.permits if one.site == site)

    def all_permitted(self) -> bool:
        """Whether the hub knows of an active permit at every site."""
        return all(self.permit_state(site) == "active" for site in self.nodes)

    def _can_be_written(self, site: str) -> bool:
        """Whether the frozen process holds no lock, so that a steward's command can go on beside it."""
        with closing(sqlite3.connect(self._state(site), timeout=0)) as database:
            try:
                database.execute("begin immediate")
            except sqlite3.OperationalError:
                return False
            database.rollback()
        return True

    def offered(self) -> set[tuple[str, str]]:
        """Return the site and name of each release in the hub's catalog."""
        return {(at.site, at.release) for view in self.ada.datasets() for at in view.sites}

    def released(self) -> set[tuple[str, str]]:
        """Return the site and name of each dataset's newest release at the nodes."""
        folders = [
            (site, path) for site in self.nodes for path in (self.nodes[site].home / "releases").iterdir()
        ]
        return {(site, max(file.stem for file in path.glob("*.json"))) for site, path in folders}

    # -- what stands in the records -----------------------------------------------------------------------

    def tasks(self, run: atoll.Run) -> list[TaskRow]:
        """Return a query's tasks from the hub's database."""
        columns = "id, site, state, fence, answer_fence, outcome"
        rows = self._hub_rows(f"select {columns} from tasks where query_id = ? order by place", run.id)
        return [TaskRow(*row) for row in rows]

    def task(self, run: atoll.Run, site: str) -> TaskRow:
        """Return a site's task of a query."""
        return next(task for task in self.tasks(run) if task.site == site)

    def lease_is_over(self, run: atoll.Run, site: str) -> bool:
        """Whether the lease of a site's task has ended at the hub."""
        question = "select lease_expires_at from tasks where query_id = ? and site = ?"
        ((until,),) = self._hub_rows(question, run.id, site)
        return int(until) <= time.time_ns() // 1000

    def events(self, run: atoll.Run) -> list[dict[str, Any]]:
        """Return a query's events from the hub's database."""
        rows = self._hub_rows("select event from query_events where query_id = ? order by sequence", run.id)
        return [json.loads(row[0]) for row in rows]

    def decisions_at_hub(self) -> "Counter[tuple[str, str]]":
        """Count the entries of the hub's chain by action and subject."""
        return _counted(self._hub_rows("select entry from audit_entries"))

    def decisions_at_node(self, site: str) -> "Counter[tuple[str, str]]":
        """Count the entries of a node's chain by action and subject."""
        return _counted(self._node_rows(site, "select entry from audit"))

    def kept_at_node(self, site: str, task: str) -> str | None:
        """Return ``begun`` or ``done`` for a task that a node knows, else ``None``."""
        rows = self._node_rows(site, "select outcome is null from task where task_id = ?", task)
        return None if not rows else "begun" if rows[0][0] else "done"

    def outcome_at_node(self, site: str, task: str) -> str:
        """Return the one outcome that a node keeps of a task."""
        ((outcome,),) = self._node_rows(site, "select outcome from task where task_id = ?", task)
        return str(outcome, "utf-8") if isinstance(outcome, bytes) else str(outcome)

    def cohorts_in_ledger(self, site: str, dataset: str) -> int:
        """Count the cohorts that a node remembers of the project and a dataset."""
        question = "select count(*) from ledger_cohort where project = ? and dataset = ?"
        ((number,),) = self._node_rows(site, question, self.project, dataset)
        return int(number)

    def releases(self, site: str, dataset: str) -> list[dict[str, Any]]:
        """Return a dataset's releases at a site, oldest first."""
        folder = self.nodes[site].home / "releases" / dataset
        return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]

    def assert_answered_once(self, run: atoll.Run, sites: Iterable[str] = SITES) -> None:
        """Check that each site's answer was taken once, everywhere that it is on record."""
        at_hub, events = self.decisions_at_hub(), self.events(run)
        answered = Counter(event["site"] for event in events if event["kind"] == "answered")
        assert answered == Counter(sites), f"the events tell of each answer once: {answered}"
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert [event["kind"] for event in events].count("finished") == 1
        for task in self.tasks(run):
            if task.site in answered:
                self._assert_task_once(task, at_hub)

    def _assert_task_once(self, task: TaskRow, at_hub: "Counter[tuple[str, str]]") -> None:
        assert (task.state, task.answer_fence) == ("answered", task.fence)
        assert at_hub["answer.accepted", task.id] == 1
        assert self.decisions_at_node(task.site)["task.answered", task.id] == 1
        assert task.outcome is not None
        at_node = ClearedResult.model_validate_json(self.outcome_at_node(task.site, task.id))
        assert ClearedResult.model_validate_json(task.outcome) == at_node

    def assert_chains_hold(self, *sites: str) -> None:
        """Check the audit chains of the hub and of the named nodes, by the commands that people use."""
        with ThreadPoolExecutor(4) as pool:
            nodes = [pool.submit(self.nodes[site].call, "audit", "verify") for site in sites]
            assert json.loads(self.hub.command("audit", "verify", "--json"))["holds"]
            assert all(node.result()["holds"] for node in nodes)

    def _hub_rows(self, question: str, *values: str) -> list[Any]:
        return _rows(self.hub.home / "state" / "hub.sqlite", question, values)

    def _node_rows(self, site: str, question: str, *values: str) -> list[Any]:
        return _rows(self._state(site), question, values)

    def _state(self, site: str) -> Path:
        return self.nodes[site].home / "state" / "node.sqlite"


def soon(true: Callable[[], object], what: str, *, seconds: float = PATIENCE, pause: float = 0.005) -> None:
    """Wait until ``true()`` holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(pause)


@contextmanager
def running_federation(
    tmp: Path, hub: HubProcess, datasets: Mapping[str, str], *, ca_file: Path | None = None
) -> Iterator[Federation]:
    """Run a node for each site of ``datasets`` at a hub that runs: ingested, released and permitted.

    The project covers every dataset of :data:`DATASETS`. In the end every process is killed.
    """
    made = Federation(hub, {}, hub.add_user("ada"), "", ca_file)
    try:
        codes = {site: hub.invite(site) for site in datasets}
        with ThreadPoolExecutor(len(datasets)) as pool:
            homes = [pool.submit(_installed, tmp, made, site, codes[site], datasets[site]) for site in codes]
            made.nodes.update({home.result().site: home.result() for home in homes})
            list(pool.map(NodeProcess.start, made.nodes.values()))
            made.project = made.ada.apply(_application()).id
            list(pool.map(lambda node: node.approve(made.permit(node.site)), made.nodes.values()))
        soon(made.all_permitted, "every permit is active")
        soon(lambda: made.offered() >= made.released(), "every catalog is at the hub")
        yield made
    finally:
        made.end()


def _application() -> ProjectApplication:
    return ProjectApplication(
        title="Questions of a test",
        purpose="Show that every answer arrives exactly once",
        people=("ada",),
        datasets=DATASETS,
        methods=METHODS,
    )


def _installed(tmp: Path, made: Federation, site: str, code: str, datasets: str) -> NodeProcess:
    network = "" if made.ca_file is None else f'[network]\nca_file = "{made.ca_file}"\n'
    settings = f"[agent]\npoll_seconds = 2\n{network}"
    node = make_node(tmp, site, made.hub.url, code, datasets, settings=settings)
    node.cli("ingest")
    node.cli("release")
    return node


def _rows(file: Path, question: str, values: Sequence[str]) -> list[Any]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(question, values).fetchall()


def _counted(rows: Iterable[Sequence[str]]) -> "Counter[tuple[str, str]]":
    entries = [json.loads(row[0]) for row in rows]
    return Counter((entry["action"], entry["subject"]) for entry in entries)


def _is_stopped(process: int) -> bool:
    with Path(f"/proc/{process}/stat").open(encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] in "Tt"


def is_alive(process: int) -> bool:
    """Whether a process of this id runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
