"""A Spark Connect engine answers as the DuckDB engine does, whatever the site and the question.

``ATOLL_SPARK_EXAMPLES`` asks for more examples than those of every run.
"""

import os
import time
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_node.engine.engine import DuckDbEngine
from atoll_node.engine.spark.engine import SparkEngine
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from tests.support.circe_strategies import Json, expressions, tables_read
from tests.support.dense_sites import site
from tests.support.lake import release_of
from tests.support.sail import running_sail
from tests.support.same_aggregates import differences
from tests.support.small_sites import Tables, analyses, queries, sites

EXAMPLES = int(os.environ.get("ATOLL_SPARK_EXAMPLES", "12"))
EVERYBODY = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}
bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("differential")


@pytest.fixture(scope="module")
def engines(folder):
    limits = EngineSettings(memory="500MB", threads=1)
    with running_sail(folder / "sail") as access:
        both = DuckDbEngine(limits, folder / "scratch"), SparkEngine(limits, folder / "scratch", access)
        yield both
        for engine in both:
            engine.close()


@bounded
@given(site=sites(), asked=st.lists(queries(), min_size=3, max_size=3))
def test_random_questions_have_equal_answers(engines, folder, site: Tables, asked: list[Query]):
    release = release_of(site, folder)
    for query in asked:
        here, there = (engine.run(query, release, clock=time.monotonic) for engine in engines)
        assert differences(there, here, tolerance=0.0) == []


@pytest.mark.parametrize("method", sorted(analyses))
def test_random_analyses_of_everybody_have_equal_answers(engines, folder, method):
    @settings(parent=bounded)
    @given(site=sites(most_persons=12), asked=st.lists(analyses[method], min_size=3, max_size=3))
    def equal(site: Tables, asked: list[dict[str, object]]) -> None:
        release = release_of(site, folder)
        for analysis in asked:
            query = Query.from_wire(
                {"project": "P-1", "dataset": "test", "cohort": EVERYBODY, "analysis": analysis}
            )
            here, there = (engine.run(query, release, clock=time.monotonic) for engine in engines)
            assert differences(there, here, tolerance=0.0) == []

    equal()


@settings(parent=bounded, max_examples=4 * EXAMPLES)
@given(seed=st.integers(0, 2**32), persons=st.integers(1, 8), asked=expressions())
def test_random_expressions_of_the_whole_language_select_the_same(
    engines, folder, seed: int, persons: int, asked: Json
) -> None:
    release = release_of(site(Random(seed), persons, tables_read(asked)), folder)
    expression = CohortExpression.from_json(asked)
    here, there = (Counter(engine.cohort_rows(expression, release)) for engine in engines)
    assert there == here
