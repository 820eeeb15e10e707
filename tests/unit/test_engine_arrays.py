"""The arithmetic under cohorts: keys, periods, look-ups, joined stays, and what keeps pandas unasked."""

import sys
from datetime import date
from types import ModuleType

import numpy as np
import pytest

from atoll_node.engine.arrays.cohorts import Stays, collapsed
from atoll_node.engine.arrays.columns import NO_ROW, Catalogue, Periods, Records, known, sorted_records
from atoll_node.engine.arrays.conditions import compared
from atoll_node.engine.arrays.days import (
    FARTHEST,
    NO_DAY,
    day_number,
    is_first,
    is_last,
    is_sorted,
    keyed,
    spread,
    years,
)
from atoll_node.engine.connection import _Unasked
from atoll_node.engine.plan import CodeMatch, Compare


def whole(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_a_key_sorts_by_person_then_by_day_before_and_after_1970():
    persons, days = whole(0, 0, 0, 1, 1), whole(-FARTHEST, -1, 5, -FARTHEST, FARTHEST)
    assert is_sorted(keyed(persons, days))
    assert len(set(keyed(persons, days).tolist())) == 5


def test_a_day_number_counts_from_1970():
    assert [day_number(date(1970, 1, 1)), day_number(date(1969, 12, 31))] == [0, -1]


def test_the_year_of_a_day_is_its_calendar_year():
    days = [date(1969, 12, 31), date(1970, 1, 1), date(2020, 12, 31), date(2021, 1, 1)]
    assert years(whole(*map(day_number, days))).tolist() == [1969, 1970, 2020, 2021]


def test_the_first_and_the_last_row_of_each_person_are_found():
    persons = whole(3, 3, 4, 7, 7, 7)
    assert is_first(persons).tolist() == [True, False, True, True, False, False]
    assert is_last(persons).tolist() == [False, True, True, False, False, True]
    assert is_first(whole()).tolist() == is_last(whole()).tolist() == []


def test_places_are_spread_over_their_owners():
    owner, place = spread(whole(4, 0, 9), whole(2, 0, 3))
    assert owner.tolist() == [0, 0, 2, 2, 2]
    assert place.tolist() == [4, 5, 9, 10, 11]


def periods(*rows: tuple[int, int, int]) -> Periods:
    person, start, end = (whole(*column) for column in zip(*rows, strict=True))
    return Periods(np.arange(person.max() + 1), person, start, end)


APART = periods((0, 10, 20), (0, 30, 40), (1, 15, 15))


@pytest.mark.parametrize(
    "person, day, place",
    [(0, 10, 0), (0, 20, 0), (0, 21, NO_ROW), (0, 30, 1), (0, 9, NO_ROW), (1, 15, 2), (1, 20, NO_ROW)],
)
def test_a_day_lies_in_one_period_or_in_none(person, day, place):
    assert APART.containing(whole(person), whole(day)).tolist() == [place]


def test_a_day_may_lie_in_two_periods_that_overlap():
    both = periods((0, 10, 30), (0, 20, 40), (1, 0, 5))
    assert both.overlap
    assert not APART.overlap
    rows, found = both.all_containing(whole(0, 0, 1), whole(25, 15, 9))
    assert list(zip(rows.tolist(), found.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0)]


def test_where_nobody_is_observed_no_day_is():
    nobody = Periods(np.array([], dtype=np.int64), whole(), whole(), whole())
    assert nobody.containing(whole(), whole()).tolist() == []


def test_rows_are_found_by_concept_in_their_order():
    catalogue = Catalogue.of(np.array([7, 5, 7, 9, 5]))
    assert catalogue.rows(np.array([5, 7])).tolist() == [0, 1, 2, 4]
    assert catalogue.rows(np.array([9])).tolist() == [3]
    assert catalogue.rows(np.array([1, 8, 99])).tolist() == []
    assert catalogue.rows(np.array([], dtype=np.int64)).tolist() == []
    assert Catalogue.of(np.array([], dtype=np.int64)).rows(np.array([5])).tolist() == []


def records(persons: tuple[int, ...], concepts: tuple[int, ...]) -> Records:
    days = whole(*range(len(persons)))
    ids = np.arange(len(persons), dtype=np.int64)
    coded = {CodeMatch((), ("C18",)): np.array([concept == 0 for concept in concepts])}
    return Records(whole(*persons), days, days, ids, ids, np.array(concepts), None, coded, {})


def test_a_record_matches_by_concept_or_by_the_code_of_its_source():
    found = records((0, 0, 1), (5, 0, 7))
    assert found.matching(CodeMatch((5,))).tolist() == [0]
    assert found.matching(CodeMatch((), ("C18",))).tolist() == [1]
    assert found.matching(CodeMatch((5,), standard=False)).tolist() == []


def test_some_persons_are_cut_out_and_count_from_0_again():
    part = records((0, 1, 1, 2), (5, 5, 6, 7)).cut(1, 3)
    assert part.person.tolist() == [0, 0, 1]
    assert part.concept.tolist() == [5, 6, 7]
    own = APART.cut(1, 2)
    assert (own.ids.tolist(), own.person.tolist(), own.start.tolist()) == ([1], [0], [15])


def test_records_are_sorted_by_person_start_and_key():
    columns = {"person": whole(1, 0, 0, 0), "start": whole(1, 9, 3, 3), "record": np.array([1, 2, 4, 3])}
    assert sorted_records(columns)["record"].tolist() == [3, 4, 2, 1]
    in_order = {"person": whole(0, 0), "start": whole(3, 3), "record": np.array([1, 2])}
    assert sorted_records(in_order) is in_order


def test_unknown_days_keys_and_numbers_are_told_apart():
    assert known(np.array([1.5, np.nan])).tolist() == [True, False]
    assert known(whole(0, NO_DAY)).tolist() == [True, False]


@pytest.mark.parametrize(
    "op, held", [("lt", "1"), ("lte", "12"), ("eq", "2"), ("!eq", "13"), ("gt", "3"), ("gte", "23")]
)
def test_numbers_are_compared_with_a_bound(op, held):
    values = np.array([1, 2, 3])
    assert "".join(map(str, values[compared(values, Compare("age", op, 2))])) == held


def test_between_takes_both_bounds_and_its_opposite_neither():
    values = np.array([1, 2, 3, 4])
    assert values[compared(values, Compare("age", "bt", 2, 3))].tolist() == [2, 3]
    assert values[compared(values, Compare("age", "!bt", 2, 3))].tolist() == [1, 4]


def stays(*rows: tuple[int, int, int]) -> Stays:
    person, start, end = (whole(*column) for column in zip(*rows, strict=True))
    return Stays(person, start, end)


def rows(found: Stays) -> list[tuple[int, int, int]]:
    return list(zip(found.person.tolist(), found.start.tolist(), found.end.tolist(), strict=True))


@pytest.mark.parametrize(
    "given, pad, joined",
    [
        ([(0, 1, 5), (0, 5, 9)], 0, [(0, 1, 9)]),
        ([(0, 1, 5), (0, 6, 9)], 0, [(0, 1, 5), (0, 6, 9)]),
        ([(0, 1, 5), (0, 6, 9)], 1, [(0, 1, 9)]),
        ([(0, 1, 20), (0, 2, 3), (0, 15, 16)], 0, [(0, 1, 20)]),
        ([(0, 6, 9), (0, 1, 5)], 1, [(0, 1, 9)]),
        ([(0, 1, 5), (1, 2, 6)], 90, [(0, 1, 5), (1, 2, 6)]),
        ([(0, 1, 5), (0, 1, 5), (0, 1, 7)], 0, [(0, 1, 7)]),
    ],
)
def test_near_stays_of_a_person_are_joined(given, pad, joined):
    assert rows(collapsed(stays(*given), pad)) == joined


def test_without_stays_there_is_nothing_to_join():
    nothing = Stays(whole(), whole(), whole())
    assert rows(collapsed(nothing, 30)) == []


class TestUnasked:
    name = "atoll_module_that_is_not"

    def test_the_import_finds_nothing_while_a_statement_runs(self):
        unasked = _Unasked(self.name)
        with unasked:
            with unasked:
                assert self.name in sys.modules
            assert sys.modules[self.name] is None
        assert self.name not in sys.modules

    def test_a_module_that_is_there_stays(self, monkeypatch):
        there = ModuleType(self.name)
        monkeypatch.setitem(sys.modules, self.name, there)
        with _Unasked(self.name):
            assert sys.modules[self.name] is there
        assert sys.modules[self.name] is there
