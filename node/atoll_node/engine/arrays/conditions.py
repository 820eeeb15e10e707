"""Decide for many events at once what must hold around them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from atoll_node.engine.arrays.columns import among, known
from atoll_node.engine.arrays.days import (
    FARTHEST,
    NO_DAY,
    Truth,
    Whole,
    day_number,
    person_key,
    spread,
    years,
)
from atoll_node.engine.arrays.streams import Block, Index, Stream
from atoll_node.engine.plan import Bound, Compare, Condition, Counted, Filter, OneOf, Person

_MOST_PAIRS = 4_000_000
"""Pairs of index event and event that are looked at in one go."""


def holds(block: Block, condition: Condition, index: Index) -> Truth:
    """Return whether so many members hold as the condition wants."""
    members = condition.members
    if not members or not len(index):
        return np.ones(len(index), dtype=bool)
    if condition.most is None and condition.least == len(members) == 1:
        return _member(block, members[0], index)
    if condition.most is None and condition.least == len(members):
        return _all_hold(block, condition, index)
    if condition.most is None and condition.least == 1:
        return _any_holds(block, condition, index)
    total = np.zeros(len(index), dtype=np.int32)
    for member in members:
        total += _member(block, member, index)
    return np.asarray(total >= condition.least if condition.most is None else total <= condition.most)


def _all_hold(block: Block, condition: Condition, index: Index) -> Truth:
    """Look at each member only where all before it hold."""
    left = np.arange(len(index))
    rest = index
    for place, member in enumerate(condition.members, start=1):
        held = np.flatnonzero(_member(block, member, rest))
        if len(held) < len(left):
            left = left[held]
            rest = rest.at(held) if place < len(condition.members) else rest
        if not len(left):
            break
    result = np.zeros(len(index), dtype=bool)
    result[left] = True
    return result


def _any_holds(block: Block, condition: Condition, index: Index) -> Truth:
    """Look at each member only where none before it holds."""
    left = np.arange(len(index))
    rest = index
    for place, member in enumerate(condition.members, start=1):
        open_still = np.flatnonzero(~_member(block, member, rest))
        if len(open_still) < len(left):
            left = left[open_still]
            rest = rest.at(open_still) if place < len(condition.members) else rest
        if not len(left):
            break
    result = np.ones(len(index), dtype=bool)
    result[left] = False
    return result


def _member(block: Block, member: Counted | Person | Condition, index: Index) -> Truth:
    if isinstance(member, Condition):
        return holds(block, member, index)
    if isinstance(member, Person):
        return _person(block, member, index)
    return _counted(block, member, index)


_COMPARE: Mapping[str, Callable[[Whole, float], Whole]] = {
    "lt": np.less,
    "lte": np.less_equal,
    "eq": np.equal,
    "!eq": np.not_equal,
    "gt": np.greater,
    "gte": np.greater_equal,
}


def _person(block: Block, person: Person, index: Index) -> Truth:
    held = block.persons.known[index.person].copy()
    for item in person.filters:
        held &= _fact(block, item, index)
    return held


def _fact(block: Block, item: Filter, index: Index) -> Truth:
    persons = block.persons
    if isinstance(item, OneOf):
        values: Whole = getattr(persons, item.attribute)
        if len(index) < len(values):
            return _is_one(values[index.person], item)
        return _is_one(values, item)[index.person]
    if not isinstance(item, Compare):
        raise TypeError("a person has no such fact")
    if item.attribute == "age":
        born = persons.born[index.person]
        return np.asarray((born != NO_DAY) & compared(years(index.start) - born, item), dtype=bool)
    days = index.start if item.attribute == "start_date" else index.end
    return np.asarray((days != NO_DAY) & compared(days, item), dtype=bool)


def _is_one(values: Whole, item: OneOf) -> Truth:
    found = among(values, [int(one) for one in item.concept_ids])
    return known(values) & (~found if item.negated else found)


def compared(values: Whole, item: Compare) -> Truth:
    """Return whether known numbers lie in a range."""
    low, high = _number(item.low), _number(item.low if item.high is None else item.high)
    if item.op in _COMPARE:
        return np.asarray(_COMPARE[item.op](values, low), dtype=bool)
    between = (values >= low) & (values <= high)
    return np.asarray(~between if item.op == "!bt" else between, dtype=bool)


def _number(value: float | date) -> float:
    return day_number(value) if isinstance(value, date) else value


def _counted(block: Block, counted: Counted, index: Index) -> Truth:
    if counted.op == "at_least" and counted.count <= 0:
        return np.ones(len(index), dtype=bool)
    stream = block.stream(counted.events, holds)
    of_none = _enough(counted, np.zeros(1, dtype=np.int64))[0]
    result = np.full(len(index), of_none)
    if not len(stream):
        return result
    near = np.flatnonzero(block.having(counted.events, stream)[index.person])
    if len(near):
        some = index if len(near) == len(index) else index.at(near)
        result[near] = _enough(counted, _numbers(block, counted, stream, some))
    return result


def _enough(counted: Counted, number: Whole) -> Truth:
    if counted.op == "at_least":
        return np.asarray(number >= counted.count)
    return np.asarray(number <= counted.count if counted.op == "at_most" else number == counted.count)


@dataclass(frozen=True, repr=False, eq=False)
class _Reach:
    """From which to which day the events of each index event may lie, both included."""

    first: Whole
    last: Whole


def _numbers(block: Block, counted: Counted, stream: Stream, index: Index) -> Whole:
    """Return how many events lie around each index event."""
    starts = _reach(
        [bound for bound in counted.bounds if bound.event == "start_date"], index, counted.observed
    )
    ends = [bound for bound in counted.bounds if bound.event == "end_date"]
    person = person_key(index.person)
    first = np.searchsorted(stream.key, person + starts.first, side="left")
    number = np.searchsorted(stream.key, person + starts.last, side="right") - first
    np.maximum(number, 0, out=number)
    if not (ends or counted.same_visit or counted.distinct):
        return number
    total = np.zeros(len(index), dtype=np.int64)
    for part in _parts(number):
        block.pause()
        total[part] = _paired(counted, ends, stream, index.at(part), first[part], number[part])
    return total


def _reach(bounds: list[Bound], index: Index, observed: bool) -> _Reach:
    first: Whole = np.full(len(index), -FARTHEST, dtype=np.int64)
    last: Whole = np.full(len(index), FARTHEST, dtype=np.int64)
    if observed:
        first, last = index.op_start.astype(np.int64), index.op_end.astype(np.int64)
    for bound in bounds:
        limit = _limit(bound, index)
        if bound.side == ">=":
            first = np.maximum(first, np.where(limit == NO_DAY, FARTHEST, limit))
            last = np.where(limit == NO_DAY, -FARTHEST, last)
        else:
            last = np.minimum(last, np.where(limit == NO_DAY, -FARTHEST, limit))
    return _Reach(first, last)


def _limit(bound: Bound, index: Index) -> Whole:
    if bound.days is None:
        return (index.op_end if bound.forward else index.op_start).astype(np.int64)
    anchor = (index.end if bound.anchor == "end_date" else index.start).astype(np.int64)
    return np.where(anchor == NO_DAY, NO_DAY, anchor + bound.days)


def _parts(number: Whole) -> Iterator[slice]:
    """Cut the index events so that no part has too many pairs."""
    ends = np.cumsum(number)
    low = 0
    while low < len(number):
        base = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, base + _MOST_PAIRS, side="right")))
        yield slice(low, high)
        low = high


def _paired(
    counted: Counted, ends: list[Bound], stream: Stream, index: Index, first: Whole, number: Whole
) -> Whole:
    """Count pairs that fulfil what one range of starts cannot say."""
    owner, place = spread(first, number)
    held = np.ones(len(owner), dtype=bool)
    if ends:
        reach = _reach(ends, index, observed=False)
        moment = stream.end[place]
        held &= (moment != NO_DAY) & (moment >= reach.first[owner]) & (moment <= reach.last[owner])
    if counted.same_visit:
        visit = stream.visit[place]
        held &= known(visit) & (visit == _visits(index)[owner])
    if counted.distinct is not None:
        values = stream.value(counted.distinct)[place]
        held &= known(values)
        return _distinct(owner[held], values[held], len(index))
    return np.bincount(owner[held], minlength=len(index))


def _visits(index: Index) -> Whole:
    if index.visit is None:
        raise TypeError("the visits of these events were left out")
    return index.visit


def _distinct(owner: Whole, values: Whole, length: int) -> Whole:
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    new = np.ones(len(owner), dtype=bool)
    new[1:] = (owner[1:] != owner[:-1]) | (values[1:] != values[:-1])
    return np.bincount(owner[new], minlength=length)
