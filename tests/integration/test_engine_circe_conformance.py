"""Every definition of the shared conformance set that the language slice takes gives the published rows."""

import time
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.coverage import RUNS
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression, UnsupportedCohort, refuse_beyond
from atoll_schemas.query import Query
from tests.support.lake import release_of_files
from tests.support.shared_data import shared

pytestmark = pytest.mark.shared
Rows = Counter[tuple[int, date, date]]
AT_LEAST_READ = 236


@pytest.fixture(scope="module")
def definitions() -> dict[int, CohortExpression]:
    found = {}
    for file in shared("circe/definitions").glob("*.json"):
        try:
            expression = CohortExpression.from_json(file.read_text(encoding="utf-8"))
            refuse_beyond(expression, RUNS)
            found[int(file.stem)] = expression
        except UnsupportedCohort:
            continue
    return found


@pytest.fixture(scope="module")
def release() -> Release:
    return release_of_files({file.stem: [file] for file in shared("circe/cdm").glob("*.parquet")})


@pytest.fixture(scope="module")
def expected() -> dict[int, Rows]:
    rows: dict[int, Rows] = defaultdict(Counter)
    table = pq.read_table(shared("circe/expected_cohorts.parquet"))
    for cohort, *row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        rows[cohort][(row[0], row[1], row[2])] += 1
    return rows


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> DuckDbEngine:
    return DuckDbEngine(EngineSettings(), tmp_path_factory.mktemp("scratch"))


def test_most_definitions_are_read_and_the_others_are_refused(
    definitions: dict[int, CohortExpression],
) -> None:
    assert len(definitions) >= AT_LEAST_READ


def test_every_definition_that_is_read_survives_the_wire(definitions: dict[int, CohortExpression]) -> None:
    for expression in definitions.values():
        again = CohortExpression.from_wire(expression.wire())
        assert again == expression
        assert again.digest() == expression.digest()


def test_every_definition_that_is_read_gives_the_published_rows(
    definitions: dict[int, CohortExpression],
    release: Release,
    expected: dict[int, Rows],
    engine: DuckDbEngine,
) -> None:
    different = [
        number
        for number, expression in definitions.items()
        if Counter(engine.cohort_rows(expression, release)) != expected[number]
    ]
    assert different == []


def test_attrition_ends_with_the_persons_of_the_cohort(
    definitions: dict[int, CohortExpression],
    release: Release,
    expected: dict[int, Rows],
    engine: DuckDbEngine,
) -> None:
    for number in sorted(definitions)[::8]:
        query = Query.model_validate(
            {
                "project": "P-1",
                "dataset": "test",
                "cohort": definitions[number],
                "analysis": {"method": "count"},
            }
        )
        raw = engine.run(query, release, clock=time.monotonic)
        persons = sorted({person for person, _, _ in expected[number]})
        steps = [step.persons for step in raw.analysis.attrition]
        assert raw.members.tolist() == persons
        assert raw.analysis.persons == steps[-1] == len(persons)
        assert steps == sorted(steps, reverse=True)


def test_answers_do_not_change_with_threads_and_repetition(
    definitions: dict[int, CohortExpression], release: Release, tmp_path: Path
) -> None:
    one = DuckDbEngine(EngineSettings(threads=1), tmp_path)
    two = DuckDbEngine(EngineSettings(threads=2), tmp_path)
    for number in sorted(definitions)[::20]:
        assert one.cohort_rows(definitions[number], release) == two.cohort_rows(definitions[number], release)
