"""Hold the columns of one block of persons: observation periods, persons, and the records of each domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from atoll_node.engine.arrays.days import NO_DAY, Truth, Whole, keyed, ordered
from atoll_node.engine.plan import CodeMatch

NO_ROW = -1
NO_KEY = -(2**63)
"""An unknown visit or concept."""


@dataclass(frozen=True, repr=False, eq=False)
class Periods:
    """Observation periods by person and start. ``ids`` are the persons; ``person`` counts into it."""

    ids: Whole
    person: Whole
    start: Whole
    end: Whole
    own: "Mapping[str, Whole] | None" = None
    """Record and concept of each, where every period that was read is here."""

    @cached_property
    def key(self) -> Whole:
        """Person and start."""
        return keyed(self.person, self.start)

    @cached_property
    def overlap(self) -> bool:
        """Whether a day of a person may lie in two periods."""
        same = self.person[1:] == self.person[:-1]
        reached = np.maximum.accumulate(keyed(self.person, self.end))[:-1]
        return bool((same & (self.key[1:] <= reached)).any())

    def containing(self, person: Whole, day: Whole) -> Whole:
        """Return the period that contains each day, or ``NO_ROW``; for periods that do not overlap."""
        if not len(self.person):
            return np.full(len(person), NO_ROW, dtype=np.int32)
        wanted = keyed(person, day)
        found = np.searchsorted(self.key, wanted, side="right") - 1
        place = np.maximum(found, 0)
        inside = (found >= 0) & (self.person[place] == person) & (day <= self.end[place])
        return np.where(inside, place, NO_ROW).astype(np.int32)

    def all_containing(self, person: Whole, day: Whole) -> tuple[Whole, Whole]:
        """Return (row, period) for every period that contains a row's day."""
        if not self.overlap:
            period = self.containing(person, day)
            rows = np.flatnonzero(period != NO_ROW)
            return rows, period[rows]
        first = np.searchsorted(self.person, person, side="left")
        number = np.searchsorted(self.person, person, side="right") - first
        owner = np.repeat(np.arange(len(person)), number)
        place = (
            np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(first, number)
        )
        inside = (self.start[place] <= day[owner]) & (day[owner] <= self.end[place])
        return owner[inside], place[inside].astype(np.int32)

    def cut(self, first: int, last: int) -> "Periods":
        """Return the periods of some persons, who count from 0 again."""
        rows = _between(self.person, first, last)
        own = None if self.own is None else {name: values[rows] for name, values in self.own.items()}
        person = self.person[rows] - np.int32(first)
        return Periods(self.ids[first:last], person, self.start[rows], self.end[rows], own)


def _between(person: Whole, first: int, last: int) -> slice:
    """The rows of persons ``first`` to ``last`` (not included), in rows sorted by person."""
    low, high = np.searchsorted(person, (first, last), side="left")
    return slice(int(low), int(high))


@dataclass(frozen=True, repr=False, eq=False)
class Persons:
    """Facts of the persons as they were read; each is put in the order of ``Periods.ids`` when asked for.

    A person without a row is not ``known``.
    """

    count: int
    place: Whole
    """Where in ``Periods.ids`` the person of each row stands."""
    rows: Mapping[str, Whole]

    @cached_property
    def known(self) -> Truth:
        """Whether there is a row of the person."""
        held = np.zeros(self.count, dtype=bool)
        held[self.place] = True
        return held

    @cached_property
    def born(self) -> Whole:
        """Year of birth, or ``NO_DAY``."""
        return self._placed("born", np.int32(NO_DAY))

    @cached_property
    def gender(self) -> Whole:
        """The concept, or ``NO_KEY``."""
        return self._placed("gender", np.int64(NO_KEY))

    @cached_property
    def race(self) -> Whole:
        """The concept, or ``NO_KEY``."""
        return self._placed("race", np.int64(NO_KEY))

    @cached_property
    def ethnicity(self) -> Whole:
        """The concept, or ``NO_KEY``."""
        return self._placed("ethnicity", np.int64(NO_KEY))

    def _placed(self, name: str, unknown: np.integer[Any]) -> Whole:
        values = np.full(self.count, unknown)
        values[self.place] = self.rows[name]
        return values

    def cut(self, first: int, last: int) -> "Persons":
        """Return the facts of some persons."""
        place = np.flatnonzero(self.known[first:last])
        rows = {name: getattr(self, name)[first:last][place] for name in self.rows}
        return Persons(last - first, place, rows)


@dataclass(frozen=True, repr=False, eq=False)
class Records:
    """The records of one domain by person, start and key."""

    person: Whole
    start: Whole
    end: Whole
    record: Whole
    visit: Whole
    concept: Whole
    source_concept: Whole | None
    flags: Mapping[object, Truth]
    """Per set of filters or of source codes, whether a record fulfils it."""
    values: Mapping[str, Whole]
    """Other fields that are counted once, as numbers; NaN is unknown."""

    def __len__(self) -> int:
        return len(self.person)

    @cached_property
    def by_concept(self) -> "Catalogue":
        """Where each standard concept occurs."""
        return Catalogue.of(self.concept)

    @cached_property
    def by_source_concept(self) -> "Catalogue":
        """Where each source concept occurs."""
        if self.source_concept is None:
            return Catalogue.of(np.empty(0, dtype=np.int64))
        return Catalogue.of(self.source_concept)

    def cut(self, first: int, last: int) -> "Records":
        """Return the records of some persons, who count from 0 again."""
        rows = _between(self.person, first, last)
        return Records(
            person=self.person[rows] - np.int32(first),
            start=self.start[rows],
            end=self.end[rows],
            record=self.record[rows],
            visit=self.visit[rows],
            concept=self.concept[rows],
            source_concept=None if self.source_concept is None else self.source_concept[rows],
            flags={name: held[rows] for name, held in self.flags.items()},
            values={name: value[rows] for name, value in self.values.items()},
        )

    def matching(self, match: CodeMatch) -> Whole:
        """Return the rows that match, ascending."""
        catalogue = self.by_concept if match.standard else self.by_source_concept
        rows = catalogue.rows(np.asarray(match.concept_ids, dtype=np.int64))
        coded = self.flags.get(match) if match.source_codes else None
        if coded is None:
            return rows
        either = coded.copy()
        either[rows] = True
        return np.flatnonzero(either)


@dataclass(frozen=True, repr=False, eq=False)
class Catalogue:
    """Rows by concept: ``rows_by[bounds[i]:bounds[i + 1]]`` have ``concepts[i]``."""

    concepts: Whole
    bounds: Whole
    rows_by: Whole

    @classmethod
    def of(cls, concept: Whole) -> "Catalogue":
        """Sort rows by concept, keeping their order within one."""
        order = np.argsort(concept, kind="stable").astype(np.int32)
        concepts, first = np.unique(concept[order], return_index=True)
        return cls(concepts, np.append(first, len(order)), order)

    def rows(self, wanted: Whole) -> Whole:
        """Return the rows of all wanted concepts (ascending, distinct ids), ascending."""
        if not len(self.concepts) or not len(wanted):
            return np.empty(0, dtype=np.int32)
        place = np.minimum(np.searchsorted(self.concepts, wanted), len(self.concepts) - 1)
        found = place[self.concepts[place] == wanted]
        parts = [self.rows_by[self.bounds[one] : self.bounds[one + 1]] for one in found.tolist()]
        if len(parts) == 1:
            return parts[0]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int32)


def sorted_records(columns: Mapping[str, Whole]) -> Mapping[str, Whole]:
    """Return the columns in the order of person, start and record."""
    key, record = keyed(columns["person"], columns["start"]), columns["record"]
    same = key[1:] == key[:-1]
    if ((key[1:] > key[:-1]) | (same & (record[1:] >= record[:-1]))).all():
        return columns
    return _in_order(columns, ordered(key, record))


def _in_order(columns: Mapping[str, Whole], order: Whole) -> Mapping[str, Whole]:
    return {name: values[order] for name, values in columns.items()}


def known(values: Whole) -> Truth:
    """Return where a day, a visit or a number is known."""
    if values.dtype.kind == "f":
        return np.asarray(values == values, dtype=bool)
    return np.asarray((values != NO_KEY) & (values != NO_DAY), dtype=bool)


def among(concept: Whole, wanted: Sequence[int]) -> Truth:
    """Return where a concept is one of these; comparing with a few is faster than looking up."""
    if len(wanted) > _FEW:
        return np.isin(concept, np.asarray(wanted, dtype=np.int64))
    held = np.zeros(len(concept), dtype=bool)
    for one in wanted:
        held |= concept == one
    return held


_FEW = 16
