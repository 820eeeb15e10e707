"""The DuckDB engine answers as the reference engine does, whatever the site and the question."""

import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from atoll_node.engine.engine import DuckDbEngine
from atoll_node.reference import evaluate
from atoll_node.reference.evaluation import cohort_of
from atoll_node.settings import EngineSettings
from atoll_schemas.query import Query
from tests.support.lake import release_of
from tests.support.same_aggregates import differences
from tests.support.small_sites import Tables, analyses, queries, sites


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("differential")


@pytest.fixture(scope="module", params=["200MB", "0GB"], ids=["by arrays", "by statements"])
def engine(folder, request):
    settings = EngineSettings(memory="500MB", columns=request.param, threads=1)
    return DuckDbEngine(settings, folder / "scratch")


bounded = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.large_base_example,
    ],
)


@bounded
@given(site=sites(), asked=st.lists(queries(), min_size=4, max_size=4))
def test_random_questions_have_equal_answers(engine, folder, site: Tables, asked: list[Query]):
    release = release_of(site, folder)
    for query in asked:
        answer = engine.run(query, release, clock=time.monotonic)
        assert differences(answer, evaluate(site, query)) == []


EVERYBODY = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}


@pytest.mark.parametrize("method", sorted(analyses))
def test_random_analyses_of_everybody_have_equal_answers(engine, folder, method):
    @settings(parent=bounded, max_examples=12)
    @given(site=sites(most_persons=12), asked=st.lists(analyses[method], min_size=4, max_size=4))
    def equal(site: Tables, asked: list[dict[str, object]]) -> None:
        release = release_of(site, folder)
        for analysis in asked:
            query = Query.from_wire(
                {"project": "P-1", "dataset": "test", "cohort": EVERYBODY, "analysis": analysis}
            )
            answer = engine.run(query, release, clock=time.monotonic)
            assert differences(answer, evaluate(site, query)) == []

    equal()


@settings(parent=bounded, max_examples=60)
@given(site=sites(), query=queries())
def test_a_cohort_never_leaves_the_observation_period_of_its_entry(site: Tables, query: Query):
    window = query.cohort.censor_window
    # Between two padded periods a censor window can cut out a piece that lies in neither.
    assume(window.start_date is None and window.end_date is None)
    for stay in cohort_of(site, query.cohort):
        assert stay.start <= stay.end
        assert any(
            row["observation_period_start_date"] <= stay.end
            and stay.start <= row["observation_period_end_date"]
            for row in site["observation_period"]
            if row["person_id"] == stay.person_id
        )
