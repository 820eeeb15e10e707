"""Run a hub and a node as processes over planted files, ask everything, and collect every channel."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

import atoll
from tests.leaks.planted import (
    MAPPING,
    FlatFile,
    Token,
    omop_tokens,
    person_tokens,
    write_flat,
    write_omop,
)
from tests.leaks.wire import Recorder, recorded
from tests.support.hub import HubProcess, start_hub
from tests.support.node import Done, NodeProcess, make_node

COHORT = {
    "PrimaryCriteria": {
        "CriteriaList": [{"ConditionOccurrence": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    }
}
SEX = {"name": "sex", "definition": {"kind": "demographic", "field": "sex"}}
AGE = {"name": "age", "definition": {"kind": "demographic", "field": "age"}, "edges": [40, 60, 80]}
DEATH = {"name": "death", "definition": {"kind": "death"}}
ARM = {
    "name": "arm",
    "definition": {
        "kind": "trial_arm",
        "trial": "T1",
        "levels": [{"label": "A", "values": ["A"]}, {"label": "B", "values": ["B"]}],
    },
}
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("count", {"by": [SEX]}),
    ("crosstab", {"variables": [SEX, ARM]}),
    ("crosstab", {"variables": [SEX, AGE]}),
    ("kaplan_meier", {"outcome": DEATH, "by": ARM}),
)
METHODS = ["count", "table1", "crosstab", "kaplan_meier"]


@dataclass
class Consortium:
    """What ran, and what each channel held."""

    hub: HubProcess
    node: NodeProcess
    recorder: Recorder
    omop: dict[str, Token]
    flat: FlatFile
    texts: dict[str, bytes] = field(default_factory=dict)
    """Channels that leave the hospital, or that operators and developers read."""
    screens: dict[str, Done] = field(default_factory=dict)
    """What commands printed on the hospital's own terminal."""
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tokens(self) -> tuple[Token, ...]:
        return (*self.omop.values(), *person_tokens(), *self.flat.tokens)

    @property
    def lake(self) -> Path:
        return self.node.home / "lake"


def number_variable(token: Token | None, name: str) -> dict[str, Any]:
    """Return a variable over all values of the concept that the export shares, or over a code."""
    codes: dict[str, Any] = {"concept_ids": [4180790]}
    if token is None:
        codes = {"source_codes": [{"vocabulary": "LOCAL", "code": "CEA"}]}
    window = {"start": -36525, "end": 36525}
    definition = {"kind": "number", "domain": "measurement", "codes": codes, "window": window}
    return {"name": name, "definition": definition, "edges": [10, 50, 1000]}


@contextmanager
def consortium(tmp: Path) -> Iterator[Consortium]:
    """Run everything once; the channels are collected before the processes end and after."""
    tokens = omop_tokens()
    write_omop(tmp / "export", tokens)
    flat = write_flat(tmp / "flat")
    (tmp / "mapping.toml").write_text(MAPPING.format(file=flat.path.name))
    (tmp / "wrong.toml").write_text(MAPPING.format(file=flat.path.name).replace('"tumour"', '"tumor"'))
    bare = tmp / "bare"
    bare.mkdir()
    rows = flat.path.read_text(encoding="utf-8").splitlines()
    (bare / flat.path.name).write_text("\n".join(rows[1:]) + "\n", encoding="utf-8")
    (tmp / "headless").mkdir()
    exported = (tmp / "export" / "person.csv").read_text(encoding="utf-8").splitlines()
    (tmp / "headless" / "person.csv").write_text("\n".join(exported[18:]) + "\n", encoding="utf-8")
    hub = start_hub(tmp, settings={"log_level": '"debug"'})
    with recorded(hub.port) as recorder:
        node = make_node(tmp, "north", recorder.url, hub.invite("north"), _datasets(tmp), settings=_SETTINGS)
        found = Consortium(hub, node, recorder, tokens, flat)
        try:
            _run(found)
            yield found
        finally:
            node.stop()
            hub.stop()


_SETTINGS = 'log_level = "debug"\n[agent]\npoll_seconds = 2\n'


def _datasets(tmp: Path) -> str:
    def dataset(name: str, form: str, folder: str, mapping: str | None = None) -> str:
        line = f'mapping = "{tmp}/{mapping}"\n' if mapping else ""
        head = f'[[datasets]]\nname = "{name}"\ntitle = "{name}"\n'
        return f'{head}format = "{form}"\npath = "{tmp}/{folder}"\n{line}'

    return (
        dataset("omop", "omop", "export")
        + dataset("flat", "flat", "flat", "mapping.toml")
        + dataset("wrong", "flat", "flat", "wrong.toml")
        + dataset("bare", "flat", "bare", "mapping.toml")
        + dataset("headless", "omop", "headless")
    )


def _run(found: Consortium) -> None:
    node, hub = found.node, found.hub
    for name in ("omop", "flat", "wrong", "bare", "headless"):
        found.screens[f"ingest {name}"] = node.cli("ingest", name, check=False)
        found.screens[f"ingest {name} as json"] = node.cli("ingest", name, "--json", check=False)
        found.screens[f"ingest {name} with debug"] = node.cli("ingest", name, "--debug", check=False)
    for name in ("omop", "flat"):
        found.screens[f"release {name}"] = node.cli("release", name)
    node.start("--log-level", "debug")
    token = hub.add_user("ada")
    with hub.client(token) as person:
        project = _permitted(found, person)
        _ask_everything(found, person, project)
        found.texts["hub's answers over HTTP"] = _walk(person, project)
    found.texts["sdk"] = _through_the_sdk(found, token)
    _collect(found)


def _permitted(found: Consortium, person: httpx.Client) -> str:
    application = {"title": "T", "purpose": "Learn", "datasets": ["omop", "flat"], "methods": METHODS}
    project = str(person.post("/v1/projects", json=application).json()["id"])
    found.node.approve(f"{project}.north")
    _soon(lambda: person.get(f"/v1/projects/{project}").json()["permits"][0]["state"] == "active")
    _soon(lambda: len(person.get("/v1/datasets").json()) == 2)
    return project


def _ask_everything(found: Consortium, person: httpx.Client, project: str) -> None:
    numbers = {"omop": number_variable(found.omop["person.person_source_value"], "lab")}
    numbers["flat"] = number_variable(None, "lab")
    for dataset in ("omop", "flat"):
        table1 = ("table1", {"variables": [AGE, SEX, numbers[dataset]], "by": SEX | {"name": "of_sex"}})
        for method, parts in (*QUESTIONS, table1):
            if dataset == "flat" and "arm" in json.dumps(parts):
                continue  # The dataset holds no trial.
            found.answers.append(_ask(person, project, dataset, {"method": method, **parts}))
    # Refused by the node: the dataset holds no deaths.
    found.answers.append(_ask(person, project, "flat", {"method": "kaplan_meier", "outcome": DEATH}))
    few = {**COHORT, "InclusionRules": [_only_the_marked(found)]}
    found.answers.append(_ask(person, project, "omop", {"method": "count"}, few))


def _only_the_marked(found: Consortium) -> dict[str, Any]:
    """Return a rule that only the marked person passes, as somebody who knows them would write it."""
    born = {"Value": 1951, "Op": "lt"}
    del found
    return {"name": "old", "expression": {"Type": "ALL", "DemographicCriteriaList": [{"Age": born}]}}


def _ask(
    person: httpx.Client,
    project: str,
    dataset: str,
    analysis: dict[str, Any],
    cohort: dict[str, Any] = COHORT,
) -> dict[str, Any]:
    query = {"project": project, "dataset": dataset, "cohort": cohort, "analysis": analysis}
    reply = person.post("/v1/queries", json={"query": query, "deadline_seconds": 60})
    assert reply.status_code == 201, reply.text
    return dict(person.get(f"/v1/queries/{reply.json()['query_id']}/result?wait=50").json())


def _walk(person: httpx.Client, project: str) -> bytes:
    paths = ["me", "sites", "datasets", "projects", f"projects/{project}", "queries", "openapi.json"]
    for dataset in ("omop", "flat"):
        paths += [f"datasets/{dataset}", f"datasets/{dataset}/variables", f"datasets?q={quote(dataset)}"]
    for query in person.get("/v1/queries").json():
        paths += [f"queries/{query['query_id']}{part}" for part in ("", "/result", "/events")]
    return b"\n".join(person.get(f"/v1/{path}").content for path in paths)


def _through_the_sdk(found: Consortium, token: str) -> bytes:
    parts: list[str] = []
    with atoll.Hub(found.hub.url, token) as hub:
        for summary in hub.queries():
            result = hub.run(summary.query_id).result()
            parts += [repr(result), result.to_json(), result._repr_html_()]
            if result.contract.merged is not None:
                parts += [result.to_csv(), result.to_pandas().to_csv()]
            parts += [event.model_dump_json() for event in hub.run(summary.query_id).events()]
        parts += [entry.model_dump_json() for entry in hub.datasets()]
    return "\n".join(parts).encode()


def _collect(found: Consortium) -> None:
    node, hub = found.node, found.hub
    for words in (
        ("status",),
        ("audit", "list"),
        ("permits", "list"),
        ("outbound", "--polls", "--last", "100000"),
    ):
        found.texts[f"atoll-node {' '.join(words[:2])}"] = node.cli(*words, "--json").out.encode()
        found.texts[f"atoll-node {' '.join(words[:2])} in words"] = node.cli(*words).out.encode()
    node.stop()
    hub.stop()
    found.texts["wire"] = found.recorder.content()
    found.texts["node's terminal"] = (node.home / "up.log").read_bytes()
    found.texts["node's logs"] = _bytes_below(node.home / "logs")
    found.texts["releases"] = _bytes_below(node.home / "releases")
    found.texts["node's records"] = _bytes_below(node.home / "state")
    found.texts["hub's home"] = _bytes_below(hub.home)
    found.texts["delta logs"] = b"\n".join(
        file.read_bytes() for file in sorted(found.lake.rglob("_delta_log/*")) if file.is_file()
    )
    found.texts["names in the lake"] = "\n".join(map(str, sorted(found.lake.rglob("*")))).encode()


def _bytes_below(folder: Path) -> bytes:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    assert files, f"{folder.name} is empty"
    return b"\n".join(file.name.encode() + b"\n" + file.read_bytes() for file in files)


def _soon(found: Callable[[], object], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "never came"
        time.sleep(0.1)
