"""Count days as whole numbers, and join person and day into one number that sorts as both."""

from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[Any]
Truth = NDArray[np.bool_]

_EPOCH = date(1970, 1, 1)
_BITS = 24
_MIDDLE = 1 << (_BITS - 1)
FARTHEST = 4_000_000
"""Days from 1970 on either side (12,900 years); a date beyond counts as this one."""
NO_DAY = -(2**31)
"""An unknown day. No comparison with it holds."""


def day_number(day: date) -> int:
    """Return the days from 1970-01-01."""
    return (day - _EPOCH).days


def person_key(person: Whole) -> Whole:
    """Return the person's part of the key; add ``day_key`` or a day."""
    return (person.astype(np.int64) << _BITS) + _MIDDLE


def keyed(person: Whole, day: Whole) -> Whole:
    """Return numbers that sort by person, then by day."""
    return person_key(person) + day


def years(day: Whole) -> Whole:
    """Return the calendar year of each day; of many days within few years they are looked up."""
    if len(day) > _SPAN:
        first, last = int(day.min()), int(day.max())
        if last - first < _SPAN:
            table = years(np.arange(first, last + 1, dtype=np.int32)).astype(np.int32)
            return np.take(table, day - first, mode="clip")
    return day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970


def person_of(key: Whole) -> Whole:
    """Return the persons of keys."""
    return (key >> _BITS).astype(np.int32)


def day_of(key: Whole) -> Whole:
    """Return the days of keys."""
    # The lower half of a number holds the day whole.
    day = np.bitwise_and(key, (1 << _BITS) - 1, dtype=np.int32, casting="unsafe")
    day -= _MIDDLE
    return day


_SPAN = 60_000
"""Days of a table of years: 164 years."""


def is_first(person: Whole) -> Truth:
    """Return where a person's rows begin, in rows sorted by person."""
    first = np.ones(len(person), dtype=bool)
    np.not_equal(person[1:], person[:-1], out=first[1:])
    return first


def is_last(person: Whole) -> Truth:
    """Return where a person's rows end, in rows sorted by person."""
    last = np.ones(len(person), dtype=bool)
    np.not_equal(person[1:], person[:-1], out=last[:-1])
    return last


def is_sorted(key: Whole) -> bool:
    """Whether a key never falls."""
    return bool((key[1:] >= key[:-1]).all())


def spread(first: Whole, number: Whole) -> tuple[Whole, Whole]:
    """Return (owner, place) for ``number[i]`` places that begin at ``first[i]``, owners in order."""
    owner = np.repeat(np.arange(len(number)), number)
    ends = np.cumsum(number)
    place = np.arange(len(owner)) - np.repeat(ends - number, number) + np.repeat(first, number)
    return owner, place


def ordered(key: Whole, *ties: Whole) -> Whole:
    """Return what sorts rows by a key, and rows of one key by the ties in turn.

    Only ties are sorted by more than the key.
    """
    order = np.argsort(key, kind=fastest_sort(key))
    found = key[order]
    same = found[1:] == found[:-1]
    if ties and same.any():
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        rows = order[tied]
        if not _in_order(found[tied], ties[0][rows], strict=len(ties) > 1):
            order[tied] = rows[np.lexsort((*(tie[rows] for tie in reversed(ties)), found[tied]))]
    return order


def fastest_sort(key: Whole) -> Literal["stable", "quicksort"]:
    """Name the kind of sort: rows that fall seldom are runs in order, which a merge sort joins."""
    falls = int(np.count_nonzero(key[1:] < key[:-1]))
    return "stable" if falls * _LONG_RUN < len(key) else "quicksort"


_LONG_RUN = 32
"""Rows of a run, on average, from which on runs are joined faster than rows are sorted."""


def _in_order(key: Whole, tie: Whole, *, strict: bool) -> bool:
    """Whether rows of one key never fall, or, ``strict``, always rise by the tie."""
    rises = tie[1:] > tie[:-1] if strict else tie[1:] >= tie[:-1]
    return bool((rises | (key[1:] != key[:-1])).all())
