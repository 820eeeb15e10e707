"""How columns come from DuckDB: as they are, beside other work, and observation periods once."""

import threading
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atoll_node.engine.arrays.columns import NO_KEY
from atoll_node.engine.arrays.days import NO_DAY, day_number
from atoll_node.engine.arrays.scans import EVERYBODY, Wanted, read_periods, read_persons, read_records
from atoll_node.engine.connection import ReleaseDatabase, Stop
from atoll_node.engine.plan import Compare, Shift
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.settings import EngineSettings
from tests.support.lake import release_of

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7"
Opens = Callable[[Mapping[str, list[dict[str, Any]]]], ReleaseDatabase]


@pytest.fixture
def opens(tmp_path: Path) -> Opens:
    def make(tables: Mapping[str, list[dict[str, Any]]]) -> ReleaseDatabase:
        database = ReleaseDatabase(
            release_of(dict(tables), tmp_path / "lake"), EngineSettings(), tmp_path / "scratch", None
        )
        database.require(frozenset({"person", "observation_period", "condition_occurrence"}))
        return database

    return make


def period(number: int, person: int, start: date, end: date | None) -> dict[str, Any]:
    return {
        "observation_period_id": number,
        "person_id": person,
        "observation_period_start_date": start,
        "observation_period_end_date": end,
        "period_type_concept_id": 44814724,
    }


TWO = {
    "person": [{"person_id": 7, "gender_concept_id": 8532, "year_of_birth": 1950}, {"person_id": 9}],
    "observation_period": [
        period(3, 9, date(2001, 1, 1), date(2002, 1, 1)),
        period(2, 7, date(2005, 1, 1), date(2006, 1, 1)),
        period(1, 7, date(2000, 1, 1), date(2001, 1, 1)),
    ],
}


@pytest.mark.parametrize(
    "expression, values",
    [
        ("unnest([1, 2, 3]::BIGINT[])", np.array([1, 2, 3], dtype=np.int64)),
        ("unnest([TRUE, FALSE, TRUE])", np.array([True, False, True])),
        ("unnest([1.5, 'nan'::DOUBLE])", np.array([1.5, np.nan])),
        ("unnest([1, NULL, 3]::INTEGER[])", np.array([1, 0, 3], dtype=np.int32)),
        ("unnest([TRUE, NULL])", np.array([True, False])),
        ("unnest([]::INTEGER[])", np.array([], dtype=np.int32)),
        ("unnest([]::BOOLEAN[])", np.array([], dtype=np.bool_)),
    ],
)
def test_columns_keep_their_type_and_what_is_unknown_is_zero(opens, expression, values):
    with opens(TWO).session(Stop()) as session:
        found = session.numbers(Statement(f"SELECT {expression} AS found"))["found"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_a_column_of_several_pieces_is_one_array(opens):
    with opens(TWO).session(Stop()) as session:
        found = session.numbers(Statement("SELECT range AS found FROM range(2500000)"))["found"]
    assert np.array_equal(np.sort(found), np.arange(2_500_000))


def test_what_is_read_ahead_is_there_when_it_is_asked_for(opens):
    with opens(TWO).session(Stop()) as session:
        reading = session.ahead(Statement("SELECT person_id FROM person"))
        assert sorted(session.numbers(Statement("SELECT 1 AS one"))["one"].tolist()) == [1]
        assert sorted(reading()["person_id"].tolist()) == [7, 9]


def test_what_fails_ahead_says_so_to_who_asks_and_to_nobody_else(opens):
    with opens(TWO).session(Stop()) as session:
        reading = session.ahead(
            Statement("SELECT 1 / (person_id - person_id)::INTEGER::VARCHAR::DATE FROM person")
        )
        assert session.rows(Statement("SELECT 1")) == [(1,)]
        with pytest.raises(EngineError) as caught:
            reading()
    assert caught.value.code == "engine.failed"


def test_what_is_read_ahead_is_stopped_with_the_run(opens):
    stop = Stop()
    with opens(TWO).session(stop) as session:
        reading = session.ahead(Statement(ENDLESS))
        timer = threading.Timer(0.2, stop.now, (EngineError("engine.stopped", "the query was stopped"),))
        timer.start()
        with pytest.raises(EngineError) as caught:
            reading()
    assert caught.value.code == "engine.stopped"


def test_what_is_read_ahead_and_never_asked_for_ends_with_the_run(opens):
    database = opens(TWO)
    with database.session(Stop()) as session:
        session.ahead(Statement(ENDLESS))
    with database.session(Stop()) as session:
        assert session.rows(Statement("SELECT 1")) == [(1,)]


def everything() -> Wanted:
    return Wanted(everything=True)


def test_observation_periods_are_records_without_a_second_reading(opens):
    with opens(TWO).reading(Stop()) as reader:
        periods = read_periods(EVERYBODY, reader)
        facts = read_persons(EVERYBODY, lambda: periods, reader)
        asked: list[str] = []
        own = read_records(
            "observation_period", everything(), EVERYBODY, lambda: (periods, facts), _Noting(reader, asked)
        )
    assert asked == []
    assert periods.ids.tolist() == [7, 9]
    assert own.record.tolist() == [1, 2, 3]
    assert own.person.tolist() == [0, 0, 1]
    assert own.start.tolist() == [day_number(date(year, 1, 1)) for year in (2000, 2005, 2001)]
    assert own.concept.tolist() == [44814724] * 3
    assert own.visit.tolist() == [NO_KEY] * 3


def test_a_period_without_an_end_bounds_nothing_and_is_a_record_all_the_same(opens):
    rows = [*TWO["observation_period"], period(4, 9, date(2010, 1, 1), None)]
    with opens({**TWO, "observation_period": rows}).reading(Stop()) as reader:
        periods = read_periods(EVERYBODY, reader)
        facts = read_persons(EVERYBODY, lambda: periods, reader)
        own = read_records("observation_period", everything(), EVERYBODY, lambda: (periods, facts), reader)
    assert len(periods.person) == 3
    assert own.record.tolist() == [1, 2, 3, 4]
    assert own.end.tolist()[-1] == NO_DAY


def test_a_person_without_a_row_or_a_fact_is_told_from_who_has_it(opens):
    rows = [*TWO["observation_period"], period(4, 11, date(2010, 1, 1), date(2011, 1, 1))]
    with opens({**TWO, "observation_period": rows}).reading(Stop()) as reader:
        periods = read_periods(EVERYBODY, reader)
        facts = read_persons(EVERYBODY, lambda: periods, reader)
    assert facts.known.tolist() == [True, True, False]
    assert facts.born.tolist() == [1950, NO_DAY, NO_DAY]
    assert facts.gender.tolist() == [8532, NO_KEY, NO_KEY]
    part = facts.cut(1, 3)
    assert (part.known.tolist(), part.born.tolist()) == ([True, False], [NO_DAY, NO_DAY])


@pytest.mark.parametrize(
    "item, shift, held",
    [
        (Compare("age", "gte", 52), None, [False, True, False]),
        (Compare("age", "lt", 52), None, [True, False, False]),
        (Compare("age", "!bt", 40, 51), None, [False, True, False]),
        (Compare("age_at_end", "gte", 52), None, [True, True, False]),
        (Compare("age", "gte", 52), Shift("start_date", 31, "end_date", 0), [True, True, False]),
        (Compare("age_at_end", "gte", 52), Shift("start_date", 0, "start_date", 1), [False, True, False]),
    ],
)
def test_ages_are_those_of_the_record_and_unknown_without_a_year_of_birth(opens, item, shift, held):
    """Person 7 is born in 1950, of person 9 nobody knows; the first record ends a year later."""
    rows = [
        {"condition_occurrence_id": 1, "person_id": 7, "condition_concept_id": 5,
         "condition_start_date": date(2001, 12, 15), "condition_end_date": date(2002, 1, 15)},
        {"condition_occurrence_id": 2, "person_id": 7, "condition_concept_id": 5,
         "condition_start_date": date(2002, 3, 1), "condition_end_date": date(2002, 3, 1)},
        {"condition_occurrence_id": 3, "person_id": 9, "condition_concept_id": 5,
         "condition_start_date": date(2002, 3, 1), "condition_end_date": None},
    ]  # fmt: skip
    wanted = Wanted(everything=True, flags={((item,), shift): None})
    asked: list[str] = []
    with opens({**TWO, "condition_occurrence": rows}).reading(Stop()) as reader:
        periods = read_periods(EVERYBODY, reader)
        facts = read_persons(EVERYBODY, lambda: periods, reader)
        found = read_records("condition", wanted, EVERYBODY, lambda: (periods, facts), _Noting(reader, asked))
    assert found.flags[((item,), shift)].tolist() == held
    assert "year_of_birth" not in asked[0]


class _Noting:
    """Reads on, and notes what was asked."""

    def __init__(self, reader: Any, asked: list[str]) -> None:
        self._reader = reader
        self._asked = asked

    def numbers(self, statement: Statement) -> Mapping[str, Any]:
        self._asked.append(statement.text)
        found: Mapping[str, Any] = self._reader.numbers(statement)
        return found
