"""A question is answered over columns or by statements, with one answer; and columns can be stopped."""

import threading
import time
from datetime import date, timedelta

import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.arrays import conditions
from atoll_node.engine.by_arrays import Room
from atoll_node.engine.connection import Session
from atoll_node.engine.planning import plan
from atoll_node.errors import EngineError
from atoll_node.settings import EngineSettings
from atoll_schemas.query import Query
from tests.support.lake import release_of
from tests.support.same_aggregates import differences

PERSONS = 60
COHORT = {
    "PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]},
    "InclusionRules": [
        {
            "name": "adult",
            "expression": {"Type": "ALL", "DemographicCriteriaList": [{"Age": {"Value": 40, "Op": "gte"}}]},
        }
    ],
}
WEIGHT = {"kind": "number", "domain": "measurement", "codes": {"concept_ids": [7]}}
QUESTION = Query.from_wire(
    {
        "project": "P-1",
        "dataset": "test",
        "cohort": COHORT,
        "analysis": {
            "method": "table1",
            "variables": [{"name": "weight", "definition": WEIGHT, "edges": [50, 60, 70]}],
            "by": {"name": "sex", "definition": {"kind": "demographic", "field": "sex"}},
        },
    }
)


@pytest.fixture
def release(tmp_path):
    start = date(2010, 1, 1)
    numbers = range(1, PERSONS + 1)
    return release_of(
        {
            "person": [
                {"person_id": n, "year_of_birth": 1940 + n, "gender_concept_id": 8507 + 25 * (n % 2)}
                for n in numbers
            ],
            "observation_period": [
                {
                    "observation_period_id": n,
                    "person_id": n,
                    "observation_period_start_date": start,
                    "observation_period_end_date": start + timedelta(days=2000),
                }
                for n in numbers
            ],
            "measurement": [
                {
                    "measurement_id": 3 * n + turn,
                    "person_id": n,
                    "measurement_concept_id": 7,
                    "measurement_date": start + timedelta(days=-turn),
                    "value_as_number": 45.0 + n / 2 + 100 * turn,
                }
                for n in numbers
                for turn in (0, 1, 2)
            ],
        },
        tmp_path / "lake",
    )


def engine(tmp_path, columns):
    return DuckDbEngine(EngineSettings(memory="200MB", columns=columns, threads=1), tmp_path / "scratch")


def test_both_ways_have_one_answer(release, tmp_path):
    over_columns, by_statements = engine(tmp_path, "100MB"), engine(tmp_path, "0GB")
    answers = [one.run(QUESTION, release, clock=time.monotonic) for one in (over_columns, by_statements)]
    assert differences(*answers) == []
    assert answers[0].analysis.summaries[0].groups[0].n == len(answers[0].members) > 20


def test_a_second_question_about_a_release_reads_nothing(release, tmp_path, monkeypatch):
    asked = engine(tmp_path, "100MB")
    asked.run(QUESTION, release, clock=time.monotonic)
    monkeypatch.setattr(Session, "_execute", None)
    again = asked.run(QUESTION, release, clock=time.monotonic)
    assert again.analysis.summaries[0].groups[0].n == len(again.members)


def test_a_release_that_does_not_fit_is_asked_by_statements(release):
    rows = sum(table.rows for table in release.tables)
    every = frozenset(table.name for table in release.tables)
    assert Room(release, 64 * rows).holds(every)
    assert not Room(release, 64 * rows - 1).holds(every)
    assert Room(release, 64 * PERSONS).holds(frozenset({"person"}))


@pytest.mark.parametrize("analysis", ["latest weight", "first weight", "weighed at all"])
def test_of_a_table_that_does_not_fit_the_engine_chooses_one_record_a_person(release, tmp_path, analysis):
    """Periods and persons fit into 16 kB, the measurements beside them do not."""
    definition = {
        "latest weight": WEIGHT,
        "first weight": WEIGHT | {"take": "first"},
        "weighed at all": {"kind": "presence", "domain": "measurement", "codes": {"concept_ids": [7]}},
    }[analysis] | {"window": {"start": None, "end": None}}
    variable = {"name": "value", "definition": definition}
    query = Query.from_wire(
        {
            "project": "P-1",
            "dataset": "test",
            "cohort": COHORT,
            "analysis": {"method": "table1", "variables": [variable]},
        }
    )
    small, by_statements = engine(tmp_path, "0.000016GB"), engine(tmp_path, "0GB")
    planned = plan(query, small)
    assert Room(release, 8_000).takes(planned)
    assert not Room(release, 8_000).gathers("measurement", PERSONS)
    assert Room(release, 80_000).gathers("measurement", PERSONS)
    answers = [one.run(query, release, clock=time.monotonic) for one in (small, by_statements)]
    assert differences(*answers) == []


def test_of_several_such_values_the_first_is_chosen_beside_the_cohort(release, tmp_path, monkeypatch):
    """More at once would share the memory and the processors of one."""
    window = {"window": {"start": None, "end": None}}
    definitions = {"latest": WEIGHT | window, "first": WEIGHT | window | {"take": "first"}}
    variables = [{"name": name, "definition": one} for name, one in definitions.items()]
    query = Query.from_wire(
        {
            "project": "P-1",
            "dataset": "test",
            "cohort": COHORT,
            "analysis": {"method": "table1", "variables": variables},
        }
    )
    ahead, begun = Session.ahead, []

    def noted(session, statement):
        begun.append(statement.text)
        return ahead(session, statement)

    monkeypatch.setattr(Session, "ahead", noted)
    small, by_statements = engine(tmp_path, "0.000016GB"), engine(tmp_path, "0GB")
    answer = small.run(query, release, clock=time.monotonic)
    assert ["person" in text for text in begun] == [True, True]
    assert ["measurement" in text for text in begun] == [False, True]
    assert differences(answer, by_statements.run(query, release, clock=time.monotonic)) == []


def test_a_run_over_columns_is_stopped(release, tmp_path):
    stopped = threading.Event()

    def stop(halt):
        halt()
        stopped.set()

    with pytest.raises(EngineError) as caught:
        engine(tmp_path, "100MB").run(QUESTION, release, clock=time.monotonic, stoppable=stop)
    assert caught.value.code == "engine.stopped"
    assert stopped.is_set()


def test_a_run_that_pairs_events_is_stopped_between_two_parts_of_them(release, tmp_path, monkeypatch):
    """A count of distinct values looks at every pair of events: of so many, that it must end on time."""
    measured = {"Criteria": {"Measurement": {}}, "Occurrence": {"Type": 2, "Count": 1, "IsDistinct": True}}
    rule = {"name": "measured", "expression": {"Type": "ALL", "CriteriaList": [measured]}}
    query = Query.from_wire(
        {
            "project": "P-1",
            "dataset": "test",
            "cohort": COHORT | {"InclusionRules": [rule]},
            "analysis": {"method": "count"},
        }
    )
    halts, parts = [], []
    paired = conditions._paired

    def halting(*given):
        halts[0]()
        parts.append(given)
        return paired(*given)

    monkeypatch.setattr(conditions, "_MOST_PAIRS", 1)
    monkeypatch.setattr(conditions, "_paired", halting)
    with pytest.raises(EngineError) as caught:
        engine(tmp_path, "100MB").run(query, release, clock=time.monotonic, stoppable=halts.append)
    assert caught.value.code == "engine.stopped"
    assert len(parts) == 1
