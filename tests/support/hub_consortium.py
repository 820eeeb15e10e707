"""Run a hub inside the test, on SQLite or PostgreSQL, with a clock that the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from atoll_hub.app import create_app
from atoll_hub.audit.store import HeadFile
from atoll_hub.bootstrap import wire_hub
from atoll_hub.database import open_database
from atoll_hub.home import HubHome
from atoll_hub.keys import read_signing_key
from atoll_hub.settings import read_settings
from atoll_hub.setup import prepare
from atoll_hub.wiring import Hub
from atoll_schemas.catalog import CatalogEntry, CatalogPush, ConceptEntry, TableEntry
from atoll_schemas.cells import Counted
from atoll_schemas.people import NewInvitation, NewPerson, Role
from atoll_schemas.query import Query
from atoll_schemas.results import AttritionStep, ClearedResult, Gate, SiteCount
from tests.support.hub import PlainNode

COHORT: dict[str, Any] = {
    "ConceptSets": [],
    "PrimaryCriteria": {
        "CriteriaList": [{"VisitOccurrence": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
    "InclusionRules": [],
}


@dataclass
class MovableClock:
    """Tells the real time, moved by what the test asked for, until it is held still."""

    moved: timedelta = timedelta(0)
    held_at: datetime | None = None

    def __call__(self) -> datetime:
        return (self.held_at or datetime.now(UTC)) + self.moved

    def hold(self) -> None:
        """Let time pass only when the test moves it."""
        self.held_at = datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.moved += timedelta(seconds=seconds)


@dataclass
class Consortium:
    """A hub in this process, with the means to add people and sites."""

    hub: Hub
    home: HubHome
    http: TestClient
    clock: MovableClock
    tokens: dict[str, str] = field(default_factory=dict)

    def person(self, name: str, role: Role = Role.RESEARCHER) -> "Caller":
        """Return a signed-in person, added at the first call."""
        if name not in self.tokens:
            self.tokens[name] = self.hub.accounts.add(NewPerson(name=name, role=role), "test").token
        return Caller(self.http, {"Authorization": f"Bearer {self.tokens[name]}"})

    def node(self, site: str, dataset: str | None = "colon") -> PlainNode:
        """Return a site's enrolled and signed-in node that offers ``dataset``."""
        code = self.hub.nodes.invite(site, NewInvitation(), "test").code
        node = PlainNode.at("http://testserver", self.http)
        node.clock_offset = self.clock.moved
        assert node.enrol(code).status_code == 200
        node.sign_in()
        if dataset is not None:
            assert node.post("catalog", catalog(site, dataset).wire()).status_code == 204
        return node

    def project(self, by: "Caller", *nodes: PlainNode, **changes: Any) -> str:
        """Open a project; the stewards of ``nodes`` permit it."""
        reply = by.post("/v1/projects", project(**changes))
        assert reply.status_code == 201, reply.text
        for node in nodes:
            for request in node.applications():
                assert node.state_permit(node.decide(request)).status_code == 204
        return str(reply.json()["id"])


@dataclass
class Caller:
    """A person who calls the hub."""

    http: TestClient
    headers: dict[str, str]

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET as this person."""
        return self.http.get(path, headers=self.headers | options.pop("headers", {}), **options)

    def post(self, path: str, message: Any = None) -> httpx.Response:
        """POST JSON as this person."""
        return self.http.post(path, json=message, headers=self.headers)

    def delete(self, path: str) -> httpx.Response:
        """DELETE as this person."""
        return self.http.delete(path, headers=self.headers)

    def ask(self, **changes: Any) -> str:
        """Submit a query and return its id."""
        reply = self.post("/v1/queries", submission(**changes))
        assert reply.status_code == 201, reply.text
        return str(reply.json()["query_id"])

    def result(self, query_id: str) -> Any:
        """Return a query's result."""
        reply = self.get(f"/v1/queries/{query_id}/result")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def kinds(self, query_id: str) -> list[str]:
        """Return the kinds of a finished query's events."""
        lines = self.get(f"/v1/queries/{query_id}/events").text.splitlines()
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


@contextmanager
def consortium(tmp: Path, database_url: str, settings: dict[str, str] | None = None) -> Iterator[Consortium]:
    """Run a hub in this process as long as the block lasts."""
    home = HubHome(tmp / "hub")
    prepare(home, database_url)
    text = home.settings.read_text(encoding="utf-8")
    for commented, line in (settings or {}).items():
        assert commented in text, f"no line {commented}"
        text = text.replace(commented, line)
    home.settings.write_text(text, encoding="utf-8")
    chosen = read_settings(home)
    key = read_signing_key(home.signing_key)
    clock = MovableClock()
    database = open_database(chosen.database, home)
    hub = wire_hub(chosen, key, database, HeadFile(home.audit_head, key), clock=clock)
    try:
        with TestClient(create_app(hub), raise_server_exceptions=False) as http:
            yield Consortium(hub, home, http, clock)
    finally:
        database.close()


def catalog(site: str, dataset: str = "colon", **changes: Any) -> CatalogPush:
    """Return a small catalog with one dataset."""
    entry = CatalogEntry(
        site=site,
        dataset=dataset,
        title="Colon trial",
        description="Adjuvant therapy",
        release=f"{dataset}-1",
        release_digest="sha256:" + "0" * 64,
        released_at=datetime(2026, 1, 1, tzinfo=UTC),
        synthetic=False,
        persons=Counted(value=120),
        tables=(TableEntry(name="person", persons=Counted(value=120), rows=Counted(value=120), fields=()),),
        concepts=(
            ConceptEntry(
                table="condition_occurrence",
                concept_id=4180790,
                name="Malignant tumor of colon",
                persons=Counted(value=120),
                rows=Counted(value=125),
            ),
        ),
        gate_minimum_persons=10,
    )
    return CatalogPush(
        site=site, entries=(entry.model_copy(update=changes),), pushed_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


def project(**changes: Any) -> dict[str, Any]:
    """Return a project application as JSON."""
    return {
        "title": "Stage III",
        "purpose": "Survival",
        "datasets": ["colon"],
        "methods": ["count"],
    } | changes


def submission(**changes: Any) -> dict[str, Any]:
    """Return a submission as JSON; ``project``, ``dataset`` and ``tighten`` change the query."""
    query: dict[str, Any] = {
        "project": "P-001",
        "dataset": "colon",
        "cohort": COHORT,
        "analysis": {"method": "count"},
    }
    inner = {name: changes.pop(name) for name in ("project", "dataset", "tighten") if name in changes}
    return {"query": query | inner} | changes


def cleared(site: str, query: Query, persons: int = 120) -> ClearedResult:
    """Return a site's cleared count."""
    return ClearedResult(
        site=site,
        query_digest=query.digest(),
        release="colon-1",
        release_digest="sha256:" + "0" * 64,
        payload=SiteCount(
            persons=Counted(value=persons),
            attrition=(AttritionStep(name="entry events", persons=Counted(value=persons)),),
        ),
        gate=Gate(minimum_persons=10, round_to=5, minimum_events=10, rules=("minimum",), withheld_cells=0),
        engine_milliseconds=7,
    )
