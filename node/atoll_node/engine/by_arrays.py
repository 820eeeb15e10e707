"""Find a cohort and its values over columns in memory, and keep for the release what can serve again.

One question at a time. A question that must look at more records than the bound is asked by statements; one
that only wants a person's first or latest value of a large table lets DuckDB choose it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    persons_statement,
    placed_persons,
    read_periods,
    read_records,
)
from atoll_node.engine.arrays.streams import Block
from atoll_node.engine.arrays.values import People, Values, windowless
from atoll_node.engine.found import Frame, Members
from atoll_node.engine.kept import Kept
from atoll_node.engine.measures import columns_of
from atoll_node.engine.plan import AnalysisPlan, Cohort, CountPlan, Plan, SurvivalPlan, TrialLevel
from atoll_node.engine.sql import Statement
from atoll_node.raw import PersonSet
from atoll_node.release import Release
from atoll_schemas.tables import DOMAINS

ROW_BYTES = 64
"""What a record takes while it is worked on."""
MOST_A_PERSON = 4
"""With more records a person, DuckDB chooses the first or latest faster than they are sorted here."""


class Reads(Protocol):
    """What this needs of a session."""

    def check(self) -> None: ...
    def numbers(self, statement: Statement) -> Mapping[str, NDArray[Any]]: ...
    def ahead(self, statement: Statement) -> Callable[[], Mapping[str, NDArray[Any]]]: ...


@dataclass(frozen=True)
class Room:
    """What fits into memory of a release."""

    release: Release
    most_bytes: int

    def holds(self, tables: frozenset[str]) -> bool:
        """Whether all records of some tables fit."""
        rows = sum(table.rows for table in self.release.tables if table.name in tables)
        return ROW_BYTES * rows <= self.most_bytes

    def gathers(self, table: str, persons: int) -> bool:
        """Whether all records of a table fit, and are so few a person that sorting them is fastest."""
        found = self.release.table(table)
        rows = 0 if found is None else found.rows
        return ROW_BYTES * rows <= self.most_bytes and rows <= MOST_A_PERSON * persons

    def takes(self, planned: Plan) -> bool:
        """Whether a plan can be worked out in memory."""
        return self.holds(needs_of((planned.cohort,)).tables | _looked_through(planned.analysis))


def _looked_through(analysis: AnalysisPlan) -> frozenset[str]:
    """Return the tables of which every matching record is looked at."""
    found = {DOMAINS[outcome.domain].table for outcome in getattr(analysis, "outcomes", ())}
    for column in columns_of(analysis):
        records = getattr(column.source, "records", None)
        if isinstance(column.source, TrialLevel):
            found.add("trial_subject")
        elif records is not None and not windowless(records):
            found.add(DOMAINS[records.domain].table)
    return frozenset(found)


def find(planned: Plan, session: Reads, kept: Kept, room: Room) -> tuple[Members, Frame]:
    """Return who is in the cohort, and each person's values. Raises what stops the session."""
    periods, persons = _everybody(session, kept)
    values = Values(periods, persons, session, kept, room.gathers)
    values.begin(columns_of(planned.analysis))
    best = isinstance(planned.analysis, CountPlan) and planned.analysis.best_event
    key = ("cohort", planned.cohort, best)
    people, steps = kept.get(key, partial(_selected, planned.cohort, best, periods, persons, session, kept))
    session.check()
    ids = periods.ids[people.places]
    return Members(ids, steps), _framed(planned.analysis, ids, people, values)


def _everybody(session: Reads, kept: Kept) -> tuple[Periods, Persons]:
    """Return what every question needs; the two tables are read side by side."""
    statement = persons_statement(EVERYBODY)
    facts = partial(session.numbers, statement) if "persons" in kept else session.ahead(statement)
    periods = kept.get("periods", partial(read_periods, EVERYBODY, session))
    return periods, kept.get("persons", lambda: placed_persons(periods.ids, facts()))


def _selected(
    cohort: Cohort, best: bool, periods: Periods, persons: Persons, session: Reads, kept: Kept
) -> tuple[People, tuple[PersonSet, ...]]:
    records = {
        name: kept.get(
            _key(name, wanted),
            partial(read_records, name, wanted, EVERYBODY, lambda: (periods, persons), session),
        )
        for name, wanted in needs_of((cohort,)).domains.items()
    }
    block = Block(periods, persons, records, pause=session.check)
    selection = select(block, cohort)
    return _people(cohort, selection, periods), _steps(cohort, best, selection, periods)


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


def _steps(cohort: Cohort, best: bool, selection: Selection, periods: Periods) -> tuple[PersonSet, ...]:
    """Return the persons with a qualified event, after each rule, and, where it can differ, in the cohort.

    A rule leaves a person one of whose events passes it and all before it, or whose ``best`` event does.
    """
    events = selection.best if best else slice(None)
    person = selection.qualified.index.person[events]
    held = np.ones(len(person), dtype=bool)
    steps = [_distinct(person, periods)]
    for passed in selection.passed:
        held &= passed[events]
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
