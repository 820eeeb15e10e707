"""Find each person's value of a variable: the arrays' counterpart of the statements in ``frames``.

What does not depend on the cohort is kept for the release; persons are places in the block's ids.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from atoll_node.engine.arrays.columns import NO_KEY, Periods, Persons, among
from atoll_node.engine.arrays.days import NO_DAY, Truth, Whole, is_first, is_last, keyed, ordered, years
from atoll_node.engine.arrays.scans import places
from atoll_node.engine.facts import matches_sql
from atoll_node.engine.frames import finite_sql, picked_sql, recorded_level_sql, trial_level_sql
from atoll_node.engine.kept import Kept
from atoll_node.engine.measures import bin_places
from atoll_node.engine.plan import (
    CodeMatch,
    Level,
    LevelColumn,
    Number,
    NumberColumn,
    OutcomeRecord,
    PersonConcept,
    PersonField,
    Recorded,
    RecordedLevel,
    RecordedNumber,
    RecordedPresence,
    SurvivalPlan,
    TrialLevel,
)
from atoll_node.engine.sources import SOURCES
from atoll_node.engine.sql import Binder, Statement, quoted
from atoll_node.engine.sums import Numbers
from atoll_schemas.tables import DOMAINS, DomainName

Chosen = RecordedNumber | RecordedLevel | RecordedPresence
"""What is told by one record of each person."""


class Reads(Protocol):
    """What values need of a session."""

    def numbers(self, statement: Statement) -> Mapping[str, Any]: ...
    def ahead(self, statement: Statement) -> Callable[[], Mapping[str, Any]]: ...


@dataclass(frozen=True, repr=False, eq=False)
class Dated:
    """Records by person, day and key, each with a value (NaN: none)."""

    person: Whole
    day: Whole
    value: Numbers | None

    def picked(self, size: int, *, latest: bool) -> "Picked":
        """Return the first or the latest record of each of so many persons."""
        rows = np.flatnonzero(is_last(self.person) if latest else is_first(self.person))
        values = np.full(size, np.nan)
        has = np.zeros(size, dtype=bool)
        has[self.person[rows]] = True
        if self.value is not None:
            values[self.person[rows]] = self.value[rows]
        return Picked(values, has)

    def between(self, index: Whole, first: int | None, last: int | None) -> "Dated":
        """Return the records so many days around each person's index day, both ends included."""
        anchor = index[self.person]
        held = anchor != NO_DAY
        away = self.day.astype(np.int64) - anchor
        if first is not None:
            held &= away >= first
        if last is not None:
            held &= away <= last
        return Dated(self.person[held], self.day[held], None if self.value is None else self.value[held])

    @cached_property
    def key(self) -> Whole:
        """Person and day."""
        return keyed(self.person, self.day)


@dataclass(frozen=True, repr=False, eq=False)
class Picked:
    """Per person of the block: the value, and whether there is a record at all."""

    value: Numbers
    has: Truth


@dataclass(frozen=True, repr=False, eq=False)
class People:
    """The cohort: places of its persons, ascending, and each one's index day; ``cohort`` names it."""

    cohort: object
    places: Whole
    index: Whole
    """Per person of the block; ``NO_DAY`` outside the cohort."""


@dataclass(frozen=True, repr=False, eq=False)
class Values:
    """Reads values for the persons of a block."""

    periods: Periods
    persons: Persons
    session: Reads
    kept: Kept
    gathers: Callable[[str, int], bool]
    """Whether the records of a table are few enough, for so many persons, to be looked at one by one."""
    begun: dict[Chosen, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    """Values that DuckDB is choosing already."""

    def begin(self, columns: Iterable[NumberColumn | LevelColumn]) -> None:
        """Let DuckDB begin to choose the first column's values that it must, beside what follows here."""
        for column in columns:
            source = column.source
            if not isinstance(source, Chosen) or source in self.kept:
                continue
            if windowless(source.records) and not self._gathers(source):
                self.begun[source] = self.session.ahead(_picked_statement(source))
                return

    def column(self, column: NumberColumn | LevelColumn, people: People) -> Numbers:
        """Return the column of a frame for the cohort's persons."""
        if isinstance(column, NumberColumn):
            return self._number(column.source, people)
        if isinstance(column.source, (PersonField, RecordedNumber)):
            number = self._number(column.source, people)
            missing = float(len(column.labels) - 1)
            return np.where(np.isnan(number), missing, bin_places(number, column.edges))
        return self._level(column.source, people)

    def times(self, plan: SurvivalPlan, people: People) -> tuple[Whole, Truth]:
        """Return days of follow-up and whether the outcome ended it, for the cohort's persons."""
        index = people.index[people.places]
        last = self._observed(people.places, index)
        if plan.max_days is not None:
            last = np.minimum(last, plan.max_days)
        first = np.full(len(index), _NEVER, dtype=np.int64)
        for outcome in plan.outcomes:
            np.minimum(first, self._first_outcome(outcome, people.places, index), out=first)
        died = first <= last
        return np.where(died, first, last), died

    def _observed(self, person: Whole, index: Whole) -> Whole:
        """Days from index to the end of the observation period that contains it (the latest of several)."""
        rows, period = self.periods.all_containing(person, index)
        last = np.zeros(len(person), dtype=np.int64)
        np.maximum.at(last, rows, self.periods.end[period].astype(np.int64) - index[rows])
        return last

    def _first_outcome(self, outcome: OutcomeRecord, person: Whole, index: Whole) -> Whole:
        found = self._dated(outcome.domain, outcome.match, None)
        if not len(found.day):
            return np.full(len(person), _NEVER, dtype=np.int64)
        place = np.searchsorted(found.key, keyed(person, index), "left" if outcome.on_index_date else "right")
        reached = np.minimum(place, len(found.key) - 1)
        held = (place < len(found.key)) & (found.person[reached] == person)
        return np.where(held, found.day[reached].astype(np.int64) - index, _NEVER)

    def _number(self, source: Number, people: People) -> Numbers:
        if isinstance(source, PersonField):
            return self._person_number(source, people)
        return self._picked(source, source.records, people).value[people.places]

    def _person_number(self, source: PersonField, people: People) -> Numbers:
        born = self.persons.born[people.places].astype(np.float64)
        born[born == NO_DAY] = np.nan
        if source.field == "birth_year":
            return born
        year = years(people.index[people.places]).astype(np.float64)
        return year if source.field == "index_year" else year - born

    def _level(self, source: Level, people: People) -> Numbers:
        if isinstance(source, PersonConcept):
            whole = self.kept.get(source, partial(self._person_level, source))
            return whole[people.places]
        if isinstance(source, TrialLevel):
            found = self.kept.get(source, partial(self._trial, source))
            return _or(found.value[people.places], len(source.levels) + 1)
        found = self._picked(source, source.records, people)
        if isinstance(source, RecordedPresence):
            return np.where(found.has[people.places], 0.0, 1.0)
        return _or(found.value[people.places], len(source.levels) + 1)

    def _person_level(self, source: PersonConcept) -> Numbers:
        """No concept, or concept 0 (OMOP: no matching concept), is missing."""
        concept = getattr(self.persons, source.column.removesuffix("_concept_id"))
        count = len(source.levels)
        level = np.where((concept == NO_KEY) | (concept == 0), count + 1, count).astype(np.float64)
        for number in reversed(range(count)):
            level[among(concept, source.levels[number])] = number
        return level

    def _picked(self, source: Chosen, records: Recorded, people: People) -> Picked:
        """Return each person's first or latest record; without a window it is the same for all cohorts."""
        size, latest = len(self.periods.ids), records.latest
        anywhere = replace(source, records=replace(records, start=None, end=None, latest=True))
        if windowless(records):
            return self.kept.get(source, partial(self._picked_anywhere, source, anywhere))
        found = self._dated(records.domain, records.match, anywhere)
        return self.kept.get(
            (source, people.cohort),
            lambda: found.between(people.index, records.start, records.end).picked(size, latest=latest),
        )

    def _picked_anywhere(
        self,
        source: Chosen,
        anywhere: Chosen,
    ) -> Picked:
        """Look at every record where they are few; else DuckDB chooses one a person."""
        records, size = source.records, len(self.periods.ids)
        if self._gathers(source):
            found = self._read(_records_statement(records.domain, records.match, anywhere))
            return found.picked(size, latest=records.latest)
        begun = self.begun.pop(source, None)
        if begun is not None:
            return self._dated_of(begun()).picked(size, latest=False)
        return self._read(_picked_statement(source)).picked(size, latest=False)

    def _gathers(self, source: Chosen) -> bool:
        return self.gathers(DOMAINS[source.records.domain].table, len(self.periods.ids))

    def _dated(
        self,
        domain: DomainName,
        match: CodeMatch | None,
        source: Chosen | None,
    ) -> Dated:
        """Return the records of a domain that match; ``source`` says which value each has."""
        key = ("dated", domain, match, source)
        return self.kept.get(key, lambda: self._read(_records_statement(domain, match, source)))

    def _trial(self, source: TrialLevel) -> Picked:
        """The arm of the person's participation; of several, that with the lowest key."""
        return self._read(_trial_statement(source)).picked(len(self.periods.ids), latest=False)

    def _read(self, statement: Statement) -> Dated:
        return self._dated_of(self.session.numbers(statement))

    def _dated_of(self, found: Mapping[str, Any]) -> Dated:
        place, member = places(self.periods.ids, found["person_id"])
        day, key, value = (found[name][member] for name in ("day", "key", "value"))
        dated = keyed(place, day)
        if (dated[1:] > dated[:-1]).all():
            return Dated(place, day, value)
        order = ordered(dated, key)
        return Dated(place[order], day[order], value[order])


def windowless(records: Recorded) -> bool:
    """Whether a person's value is the same whatever the cohort."""
    return records.start is None and records.end is None


_NEVER = 2**40
"""A day that no follow-up reaches."""


def _or(level: Numbers, missing: int) -> Numbers:
    return np.where(np.isnan(level), float(missing), level)


def _records_statement(
    domain: DomainName,
    match: CodeMatch | None,
    source: Chosen | None,
) -> Statement:
    binder = Binder()
    found = DOMAINS[domain]
    value = "0"
    if isinstance(source, RecordedNumber):
        value = f"coalesce({finite_sql(found)}, 'nan'::DOUBLE)"
    elif isinstance(source, RecordedLevel):
        value = recorded_level_sql(source, binder)
    start = f"r.{quoted(found.start_date)}"
    where = [f"{start} IS NOT NULL", "r.person_id IS NOT NULL"]
    if match is not None:
        where.append(matches_sql(match, SOURCES[domain], binder))
    return binder.statement(
        f"SELECT r.person_id, ({start} - DATE '1970-01-01')::INTEGER AS day, "
        f"r.{quoted(found.key)}::BIGINT AS key, ({value})::DOUBLE AS value "
        f"FROM {quoted(found.table)} r WHERE {' AND '.join(where)}"
    )


def _picked_statement(source: Chosen) -> Statement:
    binder = Binder()
    if isinstance(source, RecordedPresence):
        found = DOMAINS[source.records.domain]
        match = matches_sql(source.records.match, SOURCES[source.records.domain], binder)
        query = (
            f"SELECT DISTINCT r.person_id, 0 AS value FROM {quoted(found.table)} r "
            f"WHERE r.{quoted(found.start_date)} IS NOT NULL AND {match}"
        )
    else:
        query = picked_sql(source, binder)
    return binder.statement(
        "SELECT person_id, 0::INTEGER AS day, 0::BIGINT AS key, "
        f"coalesce(value::DOUBLE, 'nan'::DOUBLE) AS value FROM ({query}) WHERE person_id IS NOT NULL"
    )


def _trial_statement(source: TrialLevel) -> Statement:
    binder = Binder()
    return binder.statement(
        f"SELECT r.person_id, 0::INTEGER AS day, r.trial_subject_id::BIGINT AS key, "
        f"({trial_level_sql(source, binder)})::DOUBLE AS value FROM trial_subject r "
        f"WHERE r.trial_code = {binder.bind(source.trial)} AND r.person_id IS NOT NULL"
    )
