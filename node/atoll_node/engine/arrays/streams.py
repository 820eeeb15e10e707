"""Turn planned events into a stream: who, from when to when, by person and start; once a block."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from atoll_node.engine.arrays.columns import NO_KEY, Periods, Persons, Records
from atoll_node.engine.arrays.days import (
    NO_DAY,
    Truth,
    Whole,
    day_number,
    is_first,
    is_sorted,
    keyed,
)
from atoll_node.engine.plan import Condition, Events, Filter, Shift
from atoll_node.errors import EngineError

Flag = tuple[tuple[Filter, ...], Shift | None]
"""What a record must fulfil beside its concept; the dates in it may be shifted."""


def flag_of(events: Events) -> Flag | None:
    """Return the name of the column that says which records pass the filters, if there are any."""
    dated = (
        events.shift if any(getattr(item, "attribute", None) in _DATED for item in events.filters) else None
    )
    return (events.filters, dated) if events.filters else None


_DATED = frozenset({"start_date", "end_date", "age", "age_at_end", "length"})


@dataclass(frozen=True, repr=False, eq=False)
class Stream:
    """Events by person and start."""

    records: Records
    rows: Whole
    start: Whole
    end: Whole
    sort: Whole | None = None
    """The day that orders entry events, where it is not the start."""
    home: Whole | None = None
    """The observation period of each event, where it is known without a search."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def person(self) -> Whole:
        """The row number of the person."""
        return self._of(self.records.person)

    @cached_property
    def key(self) -> Whole:
        """Person and start."""
        return keyed(self.person, self.start)

    @cached_property
    def visit(self) -> Whole:
        """The visit, or ``NO_KEY``."""
        return self._of(self.records.visit)

    @cached_property
    def record(self) -> Whole:
        """The record's own key."""
        return self._of(self.records.record)

    def _of(self, values: Whole) -> Whole:
        """The events' own values; where every record is an event they are not copied."""
        return values if len(self.rows) == len(self.records) else values[self.rows]

    def value(self, name: str) -> Whole:
        """Return what is counted once."""
        if name in self.records.values:
            return self._of(self.records.values[name])
        return _OWN[name](self)

    def only(self, held: Whole) -> "Stream":
        """Return the events at some places, ascending."""
        return Stream(
            self.records,
            self.rows[held],
            self.start[held],
            self.end[held],
            None if self.sort is None else self.sort[held],
            None if self.home is None else self.home[held],
        )


def _length(stream: Stream) -> Whole:
    return np.where(stream.end == NO_DAY, NO_DAY, stream.end - stream.start)


_OWN: Mapping[str, Callable[[Stream], Whole]] = {
    "concept_id": lambda stream: stream.records.concept[stream.rows],
    "start_date": lambda stream: stream.start,
    "end_date": lambda stream: stream.end,
    "visit_id": lambda stream: stream.visit,
    "length": _length,
}


def _go_on() -> None:
    """Nothing stops a run that nobody can stop."""


@dataclass(frozen=True, repr=False, eq=False)
class Block:
    """One block of persons with all that the batch reads of them, and what was made of it so far."""

    periods: Periods
    persons: Persons
    records: Mapping[str, Records]
    unread: Mapping[str, EngineError] = field(default_factory=dict)
    """Kinds of records that could not be read, and why."""
    pause: Callable[[], None] = _go_on
    """Called between steps; raises when the run must end."""
    made: dict[Events, Stream] = field(default_factory=dict)
    present: dict[Events, Truth] = field(default_factory=dict)

    def cut(self, count: int) -> list["Block"]:
        """Return the block in so many parts, none of which knows of another."""
        bounds = np.linspace(0, len(self.periods.ids), count + 1).astype(int).tolist()
        return [self] if count == 1 else [self._part(first, last) for first, last in pairwise(bounds)]

    def _part(self, first: int, last: int) -> "Block":
        return Block(
            self.periods.cut(first, last),
            self.persons.cut(first, last),
            {name: records.cut(first, last) for name, records in self.records.items()},
        )

    def stream(self, events: Events, holds: Callable[["Block", Condition, Any], Truth]) -> Stream:
        """Return the events; ``holds`` decides nested conditions."""
        found = self.made.get(events)
        self.pause()
        if found is None:
            found = self._made(events, holds)
            self.made[events] = found
        return found

    def having(self, events: Events, stream: Stream) -> Truth:
        """Return per person whether the stream has an event."""
        found = self.present.get(events)
        if found is None:
            found = np.zeros(len(self.periods.ids), dtype=bool)
            found[stream.person] = True
            self.present[events] = found
        return found

    def _made(self, events: Events, holds: Callable[["Block", Condition, Any], Truth]) -> Stream:
        if events.condition is not None:
            stream = self.stream(replace(events, condition=None), holds)
            index, owner = around(stream, self.periods)
            held = np.zeros(len(stream), dtype=bool)
            held[owner[holds(self, events.condition, index)]] = True
            return stream.only(np.flatnonzero(held))
        records = self.records[events.domain]
        rows = _first(events, records, _matching(events, records))
        flag = flag_of(events)
        if flag is not None:
            rows = rows[records.flags[flag][rows]]
        home = self._home(events)
        if len(rows) == len(records):
            stream = Stream(records, rows, records.start, records.end, home=home)
        else:
            home = None if home is None else home[rows]
            stream = Stream(records, rows, records.start[rows], records.end[rows], home=home)
        if any(events.period):
            stream = _in_period(stream, events.period)
        return stream if events.shift is None else _shifted(stream, events.shift)

    def _home(self, events: Events) -> Whole | None:
        """An observation period's start lies in itself, and so does a day within it."""
        if events.domain != "observation_period" or events.shift is not None or self.periods.overlap:
            return None
        return self._own_periods

    @cached_property
    def _own_periods(self) -> Whole:
        """Periods that do not overlap begin on different days, so the same days are the same rows."""
        records, periods = self.records["observation_period"], self.periods
        if np.array_equal(records.person, periods.person) and np.array_equal(records.start, periods.start):
            return np.arange(len(records), dtype=np.int32)
        return periods.containing(records.person, records.start)


def _matching(events: Events, records: Records) -> Whole:
    if not events.matches:
        return np.arange(len(records), dtype=np.int32)
    rows = records.matching(events.matches[0])
    for match in events.matches[1:]:
        rows = np.intersect1d(rows, records.matching(match), assume_unique=True)
    return rows


def _first(events: Events, records: Records, rows: Whole) -> Whole:
    return rows[is_first(records.person[rows])] if events.first else rows


def _in_period(stream: Stream, period: tuple[Any, Any]) -> Stream:
    """Keep periods that contain the given dates, which become the event's own."""
    held = np.ones(len(stream), dtype=bool)
    for day in dict.fromkeys(period):
        if day is not None:
            number = day_number(day)
            held &= (stream.start <= number) & (stream.end >= number)
    kept = stream.only(np.flatnonzero(held))
    first, last = period
    start = kept.start if first is None else np.full(len(kept), day_number(first), dtype=np.int32)
    end = kept.end if last is None else np.full(len(kept), day_number(last), dtype=np.int32)
    return Stream(kept.records, kept.rows, start, end, kept.start, kept.home)


def _shifted(stream: Stream, shift: Shift) -> Stream:
    dates = {"start_date": stream.start, "end_date": stream.end}
    start, end = (
        np.where(dates[name] == NO_DAY, NO_DAY, dates[name] + days)
        for name, days in ((shift.start_from, shift.start_days), (shift.end_from, shift.end_days))
    )
    held = np.flatnonzero((start != NO_DAY) & (end >= start))
    kept = Stream(stream.records, stream.rows[held], start[held], end[held])
    if is_sorted(kept.key):
        return kept
    return kept.only(np.lexsort((kept.record, kept.key)))


def some(values: Whole | None, rows: Whole | slice) -> Whole | None:
    """Return some of the values, if there are any at all."""
    return None if values is None else values[rows]


@dataclass(frozen=True, repr=False, eq=False)
class Index:
    """Events around which conditions are looked at, each with its observation period."""

    person: Whole
    start: Whole
    end: Whole
    period: Whole
    visit: Whole | None
    """``None`` where no criterion looks at it."""
    periods: Periods

    def __len__(self) -> int:
        return len(self.person)

    @cached_property
    def op_start(self) -> Whole:
        """The first day of observation."""
        return self.periods.start[self.period]

    @cached_property
    def op_end(self) -> Whole:
        """The last day of observation."""
        return self.periods.end[self.period]

    def at(self, rows: Whole | slice) -> "Index":
        """Return some of the events."""
        return Index(
            self.person[rows],
            self.start[rows],
            self.end[rows],
            self.period[rows],
            some(self.visit, rows),
            self.periods,
        )


def around(stream: Stream, periods: Periods) -> tuple[Index, Whole]:
    """Return the stream's events in each observation period that contains their start, and their places."""
    rows, period = periods.all_containing(stream.person, stream.start)
    visit = stream.visit if len(rows) else np.full(0, NO_KEY, dtype=np.int64)
    return Index(
        stream.person[rows], stream.start[rows], stream.end[rows], period, visit[rows], periods
    ), rows
