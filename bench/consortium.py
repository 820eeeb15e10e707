"""Start one hub and three nodes as processes, on synthetic data that each node ingests itself.

The data are drawn from a seed, of no person. One person has one value of each of two measurements.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

import atoll
from atoll.errors import Unreachable
from atoll_schemas.people import ProjectApplication
from demo.parts import Program, wait_until

SITES = ("north", "east", "south")
COLUMNS = {"height": 3036277, "weight": 3025315}
"""The two columns and their OMOP concepts."""
LARGE, SMALL = "large", "small"
SMALL_PERSONS = 2_000

_TABLES = {
    "person": "SELECT i AS person_id, 8507 + 25 * (i % 2) AS gender_concept_id, "
    "1930 + (hash(i) % 80)::INTEGER AS year_of_birth, 0 AS race_concept_id, 0 AS ethnicity_concept_id "
    "FROM range(1, {persons} + 1) t(i)",
    "observation_period": "SELECT i AS observation_period_id, i AS person_id, "
    "DATE '2010-01-01' AS observation_period_start_date, DATE '2019-12-31' AS observation_period_end_date, "
    "32817 AS period_type_concept_id FROM range(1, {persons} + 1) t(i)",
    "measurement": "SELECT 2 * i + j AS measurement_id, i AS person_id, "
    "CASE j WHEN 0 THEN 3036277 ELSE 3025315 END AS measurement_concept_id, "
    "DATE '2010-01-01' + (hash(i + {seed}) % 3600)::INTEGER AS measurement_date, "
    "32817 AS measurement_type_concept_id, "
    "CASE j WHEN 0 THEN 140 ELSE 40 END + (hash(2 * i + j + {seed}) % 60000)::DOUBLE / 1000 "
    "AS value_as_number FROM range(1, {persons} + 1) t(i), (VALUES (0), (1)) u(j)",
}


@dataclass
class Consortium:
    """What runs, and a researcher's way in."""

    hub: Program
    nodes: dict[str, Program]
    asker: atoll.Hub
    project: str

    def stop(self) -> None:
        """Stop every process, nodes first."""
        self.asker.close()
        for node in self.nodes.values():
            node.stop()
        self.hub.stop()


@contextmanager
def running(work: Path, persons: int) -> Iterator[Consortium]:
    """Build everything below ``work``, ingest, approve, and stop at the end. ``work`` may be used again."""
    port = _free_port()
    built = (work / "project").exists()
    hub = Program("atoll-hub", work / "hub")
    nodes = {site: Program("atoll-node", work / site / "node") for site in SITES}
    if not built:
        hub.call("init")
        for name, role in (("ada", "researcher"), ("olga", "operator")):
            (work / f"{name}.token").write_text(hub.call("users", "add", name, "--role", role)["token"])
    else:
        port = int((work / "port").read_text())
    (work / "port").write_text(str(port))
    hub.up("--port", str(port))
    consortium = None
    try:
        wait_until(lambda: "listens on" in hub.log_tail(), 30, "the hub did not start", hub.log_tail())
        url = f"http://127.0.0.1:{port}"
        if not built:
            for number, (site, node) in enumerate(nodes.items()):
                _made(work, site, node, hub, url, persons, number)
        for node in nodes.values():
            node.up()
        asker = atoll.Hub(url, (work / "ada.token").read_text())
        wait_until(lambda: _answers(asker), 30, "the hub did not answer", hub.log_tail())
        project = (work / "project").read_text() if built else _permitted(asker, nodes)
        consortium = Consortium(hub, nodes, asker, project)
        (work / "project").write_text(project)
        wait_until(lambda: _ready(asker), 60, "the nodes did not come", "see their up.log")
        yield consortium
    finally:
        if consortium is not None:
            consortium.stop()
        for program in (*nodes.values(), hub):
            program.stop()


def _made(work: Path, site: str, node: Program, hub: Program, url: str, persons: int, number: int) -> None:
    """Write a site's files, make and enrol its node, ingest and release."""
    folders = {LARGE: persons, SMALL: SMALL_PERSONS}
    text = f'site = "{site}"\ntitle = "Site {site}"\nhub = "{url}"\n'
    for name, count in folders.items():
        folder = work / site / name
        _generate(folder, count, seed=1_000_000_000 * (number + 1))
        text += f'\n[[datasets]]\nname = "{name}"\ntitle = "Synthetic, {name}"\nformat = "omop"\n'
        text += f"path = {json.dumps(str(folder))}\nsynthetic = true\n"
    answers = work / f"{site}.toml"
    answers.write_text(text)
    node.call("init", "--from", str(answers))
    node.call("enroll", hub.call("sites", "invite", site, "--title", f"Site {site}")["code"])
    for name in folders:
        node.call("ingest", name)
        node.call("release", name)
        shutil.rmtree(work / site / name)


def _generate(folder: Path, persons: int, seed: int) -> None:
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for name, query in _TABLES.items():
            text = query.format(persons=persons, seed=seed)
            connection.execute(f"COPY ({text}) TO '{folder / name}.parquet' (FORMAT parquet)")


def _permitted(asker: atoll.Hub, nodes: dict[str, Program]) -> str:
    """Apply for a project and let every site's steward approve it."""
    wait_until(
        lambda: {len(view.sites) for view in asker.datasets()} == {len(SITES)} and len(asker.datasets()) == 2,
        60, "the catalog did not come", "see up.log",
    )  # fmt: skip
    application = ProjectApplication(
        title="Bench", purpose="measure", datasets=(LARGE, SMALL), methods=("count", "table1", "crosstab")
    )
    project = asker.apply(application).id
    for node in nodes.values():
        wait_until(lambda node=node: node.call("permits", "list"), 30, "no request came", "see up.log")
        held = node.call("permits", "list")[0]["permit_id"]
        node.call("permits", "approve", held, "--yes", "--by", "steward")
    wait_until(
        lambda: all(p.state == "active" for v in asker.projects() for p in v.permits), 30, "no permit", "-"
    )
    return project


def _answers(asker: atoll.Hub) -> bool:
    """Whether the hub takes calls; its log may still be that of an earlier run."""
    try:
        asker.sites()
    except Unreachable:
        return False
    return True


def _ready(asker: atoll.Hub) -> bool:
    return all(site.state == "online" for site in asker.sites())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
