"""Run every chapter against both engines: DuckDB's and the reference."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from atoll_node.engine.engine import DuckDbEngine
from atoll_node.raw import RawAggregate
from atoll_node.reference import evaluate
from atoll_node.reference.evaluation import cohort_of
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from tests.support.lake import release_of
from tests.support.text_tables import Rows, rows_of

Ask = Callable[..., Any]
TABLES = (
    "person", "observation_period", "condition_occurrence", "drug_exposure", "measurement", "observation",
    "death", "trial_subject",
)  # fmt: skip


@pytest.fixture(scope="session")
def lagoon(tmp_path_factory: pytest.TempPathFactory) -> tuple[DuckDbEngine, Path]:
    folder = tmp_path_factory.mktemp("spec")
    return DuckDbEngine(EngineSettings(memory="500MB", threads=1), folder / "scratch"), folder


@pytest.fixture(params=["duckdb", "reference"])
def ask(request: pytest.FixtureRequest, lagoon: tuple[DuckDbEngine, Path]) -> Ask:
    """Return ``ask(tables, cohort, analysis)``, which answers with the raw analysis."""

    def run(site: Mapping[str, Rows], query: Query) -> RawAggregate:
        if request.param == "reference":
            return evaluate(site, query)
        engine, folder = lagoon
        return engine.run(query, release_of(site, folder), clock=time.monotonic)

    def asked(tables: Mapping[str, str], analysis: Mapping[str, Any], cohort: Any = None) -> Any:
        site: dict[str, Rows] = {name: [] for name in TABLES}
        site |= {name: rows_of(name, text) for name, text in tables.items()}
        question = {"project": "P-1", "dataset": "test", "cohort": cohort or EVERYBODY, "analysis": analysis}
        return run(site, Query.from_wire(question)).analysis

    return asked


EVERYBODY = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}
"""Each person from the first day of observation."""


@pytest.fixture(params=["duckdb", "reference"])
def stays(request: pytest.FixtureRequest, lagoon: tuple[DuckDbEngine, Path]) -> Ask:
    """Return ``stays(tables, cohort)``, which answers with sorted rows ``person, start, end`` as text."""

    def asked(tables: Mapping[str, str | Rows], cohort: Mapping[str, Any]) -> list[str]:
        site: dict[str, Rows] = {name: [] for name in TABLES}
        site |= {
            name: rows_of(name, rows) if isinstance(rows, str) else rows for name, rows in tables.items()
        }
        expression = CohortExpression.from_json(cohort)
        if request.param == "reference":
            found = [(stay.person_id, stay.start, stay.end) for stay in cohort_of(site, expression)]
        else:
            engine, folder = lagoon
            found = list(engine.cohort_rows(expression, release_of(site, folder)))
        return [f"{person}: {start} to {end}" for person, start, end in sorted(found)]

    return asked
