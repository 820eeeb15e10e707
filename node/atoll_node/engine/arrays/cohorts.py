"""Find who is in a planned cohort and from when to when, for one block of persons.

Entry events → qualified events → which rules each passes → included events → stays.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from atoll_node.engine.arrays.columns import NO_ROW
from atoll_node.engine.arrays.conditions import holds
from atoll_node.engine.arrays.days import (
    NO_DAY,
    Truth,
    Whole,
    day_number,
    day_of,
    fastest_sort,
    is_first,
    is_last,
    is_sorted,
    keyed,
    person_of,
)
from atoll_node.engine.arrays.streams import Block, Index, Stream, some
from atoll_node.engine.plan import Cohort, DrugEraEnd, Events, FixedEnd, Order


@dataclass(frozen=True, repr=False, eq=False)
class Entries:
    """Index events with what orders them: the day, the record's key, and the place of its criteria."""

    index: Index
    sort: Whole | None
    """``None``, as all that orders them, where no limit chooses among events."""
    record: Whole | None
    source: Whole | None

    def __len__(self) -> int:
        return len(self.index)

    def at(self, rows: Whole) -> "Entries":
        """Return some of the events, in their order."""
        if len(rows) == len(self):
            return self
        return self.ordered(rows)

    def ordered(self, rows: Whole) -> "Entries":
        """Return events in the order that the rows are in."""
        return Entries(
            self.index.at(rows), some(self.sort, rows), some(self.record, rows), some(self.source, rows)
        )


@dataclass(frozen=True, repr=False, eq=False)
class Stays:
    """Periods in the cohort; ``person`` counts into the block's ids."""

    person: Whole
    start: Whole
    end: Whole


@dataclass(frozen=True, repr=False, eq=False)
class Selection:
    """A cohort: qualified events, which rules each passes (rule by event), and the stays."""

    qualified: Entries
    passed: Truth
    stays: Stays

    @cached_property
    def masks(self) -> Whole:
        """Per qualified event one bit for each rule that it passes."""
        bits = np.left_shift(np.int64(1), np.arange(len(self.passed), dtype=np.int64))
        return np.asarray(
            self.passed.T @ bits if len(self.passed) else np.zeros(len(self.qualified), np.int64)
        )

    @cached_property
    def best(self) -> Whole:
        """Each person's event that passes the most rules; then of the earliest rule, then the earliest.

        Events that tie in all that pass the earlier rules first.
        """
        number = self.passed.sum(axis=0)
        first = np.where(number > 0, self.passed.argmax(axis=0) if len(self.passed) else 0, 0)
        index = self.qualified.index
        later = tuple(~self.passed[::-1])
        order = np.lexsort((*later, index.start, first, -number, index.person))
        return order[is_first(index.person[order])]


def select(block: Block, cohort: Cohort) -> Selection:
    """Return the cohort among the persons of the block."""
    qualified = _qualified(block, cohort, _entries(block, cohort))
    passed = np.empty((len(cohort.rules), len(qualified)), dtype=bool)
    for number, rule in enumerate(cohort.rules):
        passed[number] = holds(block, rule.condition, qualified.index)
    included = qualified
    if cohort.rules:
        included = qualified.at(np.flatnonzero(passed.all(axis=0)))
    if not cohort.one_event_qualifies:
        included = _limited(included, cohort.expression_order)
    return Selection(qualified, passed, _stays(block, cohort, included.index))


def _qualified(block: Block, cohort: Cohort, entries: Entries) -> Entries:
    """Entry events that fulfil the additional criteria; the limit counts only where there are such."""
    if cohort.additional is None:
        return entries
    found = entries.at(np.flatnonzero(holds(block, cohort.additional, entries.index)))
    return _limited(found, cohort.qualified_order) if cohort.entry_order == "all" else found


def _entries(block: Block, cohort: Cohort) -> Entries:
    parts = [
        _observed(block.stream(events, holds), number, block, cohort)
        for number, events in enumerate(cohort.entry)
    ]
    found = parts[0] if len(parts) == 1 else _joined(parts)
    return found if cohort.entry_order == "all" else _limited_entries(found, cohort.entry_order)


def _observed(stream: Stream, source: int, block: Block, cohort: Cohort) -> Entries:
    """Events with enough observation around them; what no limit and no criterion needs is left out."""
    rows, period = _periods_of(stream, block)
    start = stream.start[rows]
    if cohort.prior_days > 0 or cohort.post_days > 0:
        held = (start - block.periods.start[period] >= cohort.prior_days) & (
            block.periods.end[period] - start >= cohort.post_days
        )
        if not held.all():
            rows = np.flatnonzero(held) if isinstance(rows, slice) else rows[held]
            period, start = period[held], start[held]
    chosen = cohort.takes_one_of_many
    visit = stream.visit[rows] if chosen or cohort.looks_at_visits else None
    return Entries(
        Index(stream.person[rows], start, stream.end[rows], period, visit, block.periods),
        sort=(start if stream.sort is None else stream.sort[rows]) if chosen else None,
        record=stream.record[rows] if chosen else None,
        source=np.full(len(start), source, dtype=np.int32) if chosen else None,
    )


def _periods_of(stream: Stream, block: Block) -> tuple[Whole | slice, Whole]:
    """Return (event, period) for every observation period that contains an event's start."""
    if stream.home is None:
        return block.periods.all_containing(stream.person, stream.start)
    if (stream.home != NO_ROW).all():
        return slice(None), stream.home
    rows = np.flatnonzero(stream.home != NO_ROW)
    return rows, stream.home[rows]


def _joined(parts: list[Entries]) -> Entries:
    index = Index(
        person=np.concatenate([part.index.person for part in parts]),
        start=np.concatenate([part.index.start for part in parts]),
        end=np.concatenate([part.index.end for part in parts]),
        period=np.concatenate([part.index.period for part in parts]),
        visit=_all([part.index.visit for part in parts]),
        periods=parts[0].index.periods,
    )
    return Entries(
        index,
        sort=_all([part.sort for part in parts]),
        record=_all([part.record for part in parts]),
        source=_all([part.source for part in parts]),
    )


def _all(parts: list[Whole | None]) -> Whole | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def _limited_entries(found: Entries, order: Order) -> Entries:
    """Keep each person's first or last day of events; of one day the lowest key, then the first criteria."""
    if not len(found):
        return found
    found = _in_order(found, _known(found.sort))
    if order == "last":
        found = _on_last_day(found, _known(found.sort))
    return _one_each(found, _known(found.sort), by_key=True)


def _known(values: Whole | None) -> Whole:
    if values is None:
        raise TypeError("events without an order are not limited")
    return values


def _in_order(found: Entries, day: Whole) -> Entries:
    """Sort by person and day; events of one day stay in any order."""
    key = keyed(found.index.person, day)
    return found if is_sorted(key) else found.ordered(np.argsort(key, kind="stable"))


def _on_last_day(found: Entries, day: Whole) -> Entries:
    last = is_last(found.index.person)
    number = np.diff(np.flatnonzero(last), prepend=-1)
    return found.at(np.flatnonzero(day == np.repeat(day[last], number)))


def _limited(found: Entries, order: Order) -> Entries:
    """Keep each person's first or last event by start."""
    if order == "all" or not len(found):
        return found
    found = _in_order(found, found.index.start)
    if order == "last":
        found = _on_last_day(found, found.index.start)
    return _one_each(found, found.index.start, by_key=False)


def _one_each(found: Entries, day: Whole, *, by_key: bool) -> Entries:
    """Keep one event of each person's first day; sorted by person and day, ties in any order."""
    index = found.index
    first = is_first(index.person)
    begins = np.flatnonzero(first)
    number = np.diff(np.append(begins, len(first)))
    candidates = np.flatnonzero(day == np.repeat(day[begins], number))
    if len(candidates) > len(begins):
        candidates = candidates[_ties(found.at(candidates), by_key=by_key)]
    return found.at(candidates[is_first(index.person[candidates])])


def _ties(found: Entries, *, by_key: bool) -> Whole:
    """Order events of one day, so that an answer does not depend on chance (as the SQL emission does)."""
    index = found.index
    record, source, visit = _known(found.record), _known(found.source), _known(index.visit)
    period = (index.op_end, index.op_start)
    if by_key:
        return np.lexsort((visit, index.end, *period, source, record, index.person))
    return np.lexsort((index.end, *period, record, source, visit, index.person))


def _stays(block: Block, cohort: Cohort, included: Index) -> Stays:
    """Each included event lasts to the earliest of its ends; near stays join; the window cuts."""
    end = _ends(block, cohort, included)
    stays = Stays(included.person, included.start, end)
    held = np.flatnonzero(end != NO_DAY)
    if len(held) < len(end):
        stays = Stays(included.person[held], included.start[held], end[held])
    if not cohort.one_row_per_person:
        stays = collapsed(stays, cohort.era_pad)
    return _cut(stays, cohort)


def _ends(block: Block, cohort: Cohort, included: Index) -> Whole:
    """The earliest possible end that is not before the start, or ``NO_DAY``."""
    possible = [_own_end(cohort.end, included)]
    if isinstance(cohort.end, DrugEraEnd):
        possible.append(_era_end(block, cohort.end, included))
    possible += [_first_after(block, events, included) for events in cohort.censoring]
    end = np.full(len(included), _NEVER, dtype=np.int32)
    for day in possible:
        np.minimum(end, day, out=end, where=day >= included.start)
    end[end == _NEVER] = NO_DAY
    return end


_NEVER = 2**31 - 1


def _own_end(end: FixedEnd | DrugEraEnd | None, included: Index) -> Whole:
    if not isinstance(end, FixedEnd):
        return included.op_end
    anchor = included.start if end.anchor == "start_date" else included.end
    moved = np.minimum(anchor + np.int32(end.days), included.op_end)
    if end.anchor == "end_date":
        moved[anchor == NO_DAY] = NO_DAY
    return moved


def _first_after(block: Block, events: Events, included: Index) -> Whole:
    """The first event on or after the start and within observation, or ``NO_DAY``."""
    stream = block.stream(events, holds)
    day = np.full(len(included), NO_DAY, dtype=np.int32)
    if not len(stream):
        return day
    wanted = keyed(included.person, included.start)
    place = np.searchsorted(stream.key, wanted, side="left")
    reached = np.minimum(place, len(stream) - 1)
    held = (place < len(stream)) & (stream.key[reached] <= keyed(included.person, included.op_end))
    return np.where(held, stream.start[reached], day)


def _era_end(block: Block, end: DrugEraEnd, included: Index) -> Whole:
    """The end of the first era of exposure that contains the start, or ``NO_DAY``."""
    eras = _eras(block, end)
    day = np.full(len(included), NO_DAY, dtype=np.int32)
    if not len(eras.person):
        return day
    # Eras of a person lie apart, so the ends are sorted as the starts are: the first that has not ended.
    reached = keyed(eras.person, eras.end)
    place = np.searchsorted(reached, keyed(included.person, included.start), side="left")
    place_or_last = np.minimum(place, len(reached) - 1)
    held = (
        (place < len(reached))
        & (eras.person[place_or_last] == included.person)
        & (eras.start[place_or_last] <= included.start)
    )
    return np.where(held, eras.end[place_or_last], day).astype(np.int32)


def _eras(block: Block, end: DrugEraEnd) -> Stays:
    """Each exposure lasts its days and the offset more, and joins the next one over the gap."""
    parts = [block.stream(Events("drug", (match,)), holds) for match in end.matches]
    person = np.concatenate([part.person for part in parts])
    start = np.concatenate([part.start for part in parts])
    until = np.concatenate([part.end for part in parts])
    if end.days_supply is not None:
        until = start + np.int32(end.days_supply)
    order = np.argsort(keyed(person, start), kind="stable")
    return collapsed(Stays(person[order], start[order], until[order] + np.int32(end.days)), end.gap_days)


def collapsed(stays: Stays, pad: int) -> Stays:
    """Join stays of a person that overlap or lie at most ``pad`` days apart."""
    if not len(stays.person):
        return stays
    key, reached = _in_turn(stays)
    np.maximum.accumulate(reached, out=reached)
    # The next person's first day is farther away than any pad.
    apart = key[1:] - reached[:-1] > pad
    if not apart.all():
        key = key[np.insert(apart, 0, True)]
        reached = reached[np.append(apart, True)]
    return Stays(person_of(key), day_of(key), day_of(reached))


def _in_turn(stays: Stays) -> tuple[Whole, Whole]:
    """Return person and start, and person and end, by person and start.

    Where all fits into one number, numbers are sorted, which is several times as fast as sorting rows.
    """
    key = keyed(stays.person, stays.start)
    length = (stays.end - stays.start).astype(np.int64)
    if not is_sorted(key):
        if length.min() >= 0 and length.max() < 2**_LENGTH and key.max() < 2 ** (63 - _LENGTH):
            key <<= _LENGTH
            key |= length
            key.sort(kind=fastest_sort(key))
            np.bitwise_and(key, 2**_LENGTH - 1, out=length)
            key >>= _LENGTH
        else:
            order = np.argsort(key, kind="stable")
            key, length = key[order], length[order]
    length += key
    return key, length


_LENGTH = 18
"""Bits for the days of a stay: 717 years."""


def _cut(stays: Stays, cohort: Cohort) -> Stays:
    first, last = cohort.window
    if first is None and last is None:
        return stays
    start = stays.start if first is None else np.maximum(stays.start, day_number(first))
    end = stays.end if last is None else np.minimum(stays.end, day_number(last))
    held = np.flatnonzero(start <= end)
    return Stays(stays.person[held], start[held], end[held])
