"""Find a cohort and its values over columns in memory, and keep for the release what can serve again.

One question at a time; a release with more records than the bound is asked by statements instead.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.arrays.cohorts import Selection, select
from atoll_node.engine.arrays.columns import Periods, Persons
from atoll_node.engine.arrays.days import NO_DAY, is_first
from atoll_node.engine.arrays.scans import (
    EVERYBODY,
    Wanted,
    needs_of,
    read_periods,
    read_persons,
    read_records,
)
from atoll_node.engine.arrays.streams import Block
from atoll_node.engine.arrays.values import People, Values
from atoll_node.engine.found import Frame, Members
from atoll_node.engine.kept import Kept
from atoll_node.engine.measures import columns_of
from atoll_node.engine.plan import AnalysisPlan, Cohort, Plan, SurvivalPlan
from atoll_node.engine.sql import Statement
from atoll_node.raw import PersonSet
from atoll_node.release import Release

ROW_BYTES = 64
"""What a record takes while it is worked on."""


class Reads(Protocol):
    """What this needs of a session."""

    def check(self) -> None: ...
    def numbers(self, statement: Statement) -> Mapping[str, NDArray[Any]]: ...


def fits(release: Release, tables: frozenset[str], most_bytes: int) -> bool:
    """Whether the records of all tables that a plan reads fit into so many bytes."""
    return ROW_BYTES * sum(table.rows for table in release.tables if table.name in tables) <= most_bytes


def find(planned: Plan, session: Reads, kept: Kept) -> tuple[Members, Frame]:
    """Return who is in the cohort, and each person's values. Raises what stops the session."""
    periods = kept.get("periods", partial(read_periods, EVERYBODY, session))
    persons = kept.get("persons", partial(read_persons, EVERYBODY, periods.ids, session))
    key = ("cohort", planned.cohort)
    people, steps = kept.get(key, partial(_selected, planned.cohort, periods, persons, session, kept))
    session.check()
    ids = periods.ids[people.places]
    return Members(ids, steps), _framed(
        planned.analysis, ids, people, Values(periods, persons, session, kept)
    )


def _selected(
    cohort: Cohort, periods: Periods, persons: Persons, session: Reads, kept: Kept
) -> tuple[People, tuple[PersonSet, ...]]:
    records = {
        name: kept.get(
            _key(name, wanted), partial(read_records, name, wanted, EVERYBODY, periods.ids, session)
        )
        for name, wanted in needs_of((cohort,)).domains.items()
    }
    block = Block(periods, persons, records, pause=session.check)
    selection = select(block, cohort)
    return _people(cohort, selection, periods), _steps(cohort, selection, periods)


def _key(name: str, wanted: Wanted) -> tuple[object, ...]:
    return (
        name,
        wanted.everything,
        frozenset(wanted.concepts),
        frozenset(wanted.source_concepts),
        frozenset(wanted.codes),
        tuple(wanted.coded),
        tuple(wanted.flags),
        tuple(wanted.values),
        wanted.by_source,
    )


def _people(cohort: Cohort, selection: Selection, periods: Periods) -> People:
    """Each person once, with the earliest start."""
    stays = selection.stays
    order = np.lexsort((stays.start, stays.person)) if not _ordered(selection) else slice(None)
    person, start = stays.person[order], stays.start[order]
    first = is_first(person)
    index = np.full(len(periods.ids), NO_DAY, dtype=np.int32)
    index[person[first]] = start[first]
    return People(cohort, person[first], index)


def _ordered(selection: Selection) -> bool:
    person, start = selection.stays.person, selection.stays.start
    same = person[1:] == person[:-1]
    return bool(((person[1:] > person[:-1]) | (same & (start[1:] >= start[:-1]))).all())


def _steps(cohort: Cohort, selection: Selection, periods: Periods) -> tuple[PersonSet, ...]:
    """Return the persons with a qualified event, after each rule, and, where it can differ, in the cohort."""
    person = selection.qualified.index.person
    held = np.ones(len(person), dtype=bool)
    steps = [_distinct(person, periods)]
    for passed in selection.passed:
        held &= passed
        steps.append(_distinct(person[held], periods))
    return tuple([*steps, _distinct(selection.stays.person, periods)] if cohort.end_can_exclude else steps)


def _distinct(person: NDArray[Any], periods: Periods) -> PersonSet:
    present = np.zeros(len(periods.ids), dtype=bool)
    present[person] = True
    return periods.ids if present.all() else periods.ids[present]


def _framed(analysis: AnalysisPlan, ids: PersonSet, people: People, values: Values) -> Frame:
    columns = tuple(values.column(column, people) for column in columns_of(analysis))
    if not isinstance(analysis, SurvivalPlan):
        return Frame(ids, columns)
    days, died = values.times(analysis, people)
    return Frame(ids, columns, days, died)
