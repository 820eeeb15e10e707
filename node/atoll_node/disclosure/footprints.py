"""Say who stands behind each figure in a form that two answers can be compared by, and that names nobody.

A footprint adds up: that of two sets without a common person is the sum of theirs. The distance of two
footprints is never larger than the number of persons in which the sets differ, so that no near one is missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atoll_node.disclosure.layout import group_dimension
from atoll_node.disclosure.sheet import COHORT, Contradiction, Key, Sheet
from atoll_node.raw import (
    PersonSet,
    RawAggregate,
    RawContributions,
    RawKaplanMeier,
    RawNumber,
    RawTable1,
    Unserialisable,
)
from atoll_schemas.query import TOTAL, Count, KaplanMeier, Query, Variable

Hashes = NDArray[np.uint64]

FEW_INNER = 60
"""Inner cells of one answer that are compared in threes; of more, none is."""
MOST_INNER = 2_000
"""Inner cells of one table; of a table with more, all of them stay."""
BUCKETS = 256
"""Persons fall into so many buckets by chance; a footprint counts them."""
_WORD = 2**64
_TOP = np.uint64(56)
_EXACT = 2**20
"""Sums of so many 32-bit halves are exact in a double."""
_BLOCK, _FEW = 2**15, 64
"""Persons that are worked on at once, so that they stay in the processor's cache; with few parts."""
_BINS, _MISSING, _FILLED = " bin ", " missing ", " filled "


@dataclass(frozen=True, repr=False)
class Footprint(Unserialisable):
    """One set of persons, or of persons with a value: its name, which adds up, and its count per bucket."""

    name: int
    buckets: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Return how many elements the set has."""
        return int(self.buckets.sum())


@dataclass(frozen=True, repr=False)
class Footprints(Unserialisable):
    """Everything that an answer may show: counts, exact sums per variable and group, curves per group."""

    counts: Mapping[Key, Footprint]
    moments: Mapping[tuple[str, str], Footprint] = field(default_factory=dict)
    curves: Mapping[str, tuple[Footprint, ...]] = field(default_factory=dict)
    """Of each group the events with their days, and everybody with the day on which the follow-up ends."""
    untraced: frozenset[Key] = frozenset()
    """Inner cells that are too many to be compared: they stay."""

    def leading(self, key: Key) -> bool:
        """Whether a count is compared in threes too."""
        return len(key) < 2 or sum(len(other) > 1 for other in self.counts) <= FEW_INNER


def parted(hashes: Hashes, codes: NDArray[np.int64], parts: int) -> list[Footprint]:
    """Return the footprint of each part; ``codes`` name the part of each hashed element, below ``parts``."""
    shape = (parts, BUCKETS)
    counts, sums = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.uint64)
    block = _BLOCK if parts <= _FEW else _EXACT
    for start in range(0, len(hashes), block):
        some = hashes[start : start + block]
        places = codes[start : start + block] * BUCKETS + (some >> _TOP).astype(np.int64)
        low = some.astype("<u8", copy=False).view("<u4")[::2].astype(np.float64)
        counts += np.bincount(places, minlength=counts.size).reshape(shape)
        sums += np.bincount(places, weights=low, minlength=counts.size).reshape(shape).astype(np.uint64)
    with np.errstate(over="ignore"):
        names = (sums * _WEIGHTS + counts.view(np.uint64) * ~_WEIGHTS).sum(axis=1, dtype=np.uint64)
    return [Footprint(int(name), row.astype(np.int32)) for name, row in zip(names, counts, strict=True)]


def footprint(hashes: Hashes) -> Footprint:
    """Return the footprint of hashed elements, in any order."""
    return parted(hashes, np.zeros(len(hashes), dtype=np.int64), 1)[0]


def united(parts: Sequence[Footprint]) -> Footprint:
    """Return the footprint of the union of disjoint sets."""
    rows = [part.buckets for part in parts]
    return Footprint(added(*(part.name for part in parts)), np.sum(rows, axis=0, dtype=np.int32))


def of_persons(persons: PersonSet) -> Footprint:
    """Return the footprint of a set of persons."""
    return footprint(mixed(persons.astype(np.int64, copy=False).view(np.uint64)))


def added(*names: int) -> int:
    """Return the name of the union of disjoint sets."""
    return sum(names) % _WORD


def mixed(values: Hashes) -> Hashes:
    """Scatter 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    found = values + np.uint64(0x9E3779B97F4A7C15)
    for start in range(0, len(found), _BLOCK):
        mix = found[start : start + _BLOCK]
        mix ^= mix >> np.uint64(30)
        mix *= np.uint64(0xBF58476D1CE4E5B9)
        mix ^= mix >> np.uint64(27)
        mix *= np.uint64(0x94D049BB133111EB)
        mix ^= mix >> np.uint64(31)
    return found


_WEIGHTS = mixed(np.arange(1, BUCKETS + 1, dtype=np.uint64)) | np.uint64(1)
"""One odd weight a bucket: a name is the weighted sum of the buckets' sums."""


def traced(raw: RawAggregate, query: Query, sheet: Sheet, minimum: int) -> Footprints:
    """Return the footprints of every figure that can be shown.

    Raises ``Contradiction`` when figures and contributions disagree, or when there are no contributions.
    """
    if raw.contributions is None or len(raw.contributions.persons) != len(raw.members):
        raise Contradiction
    behind = _Behind(raw.contributions, query, sheet)
    counts = {COHORT: footprint(behind.hashes)}
    if raw.contributions.persons is not raw.members and of_persons(raw.members).name != counts[COHORT].name:
        raise Contradiction
    wanted: dict[tuple[str, ...], list[Key]] = {}
    for key, persons in sheet.figures.items():
        if key != COHORT and persons >= minimum and not _derived(key):
            wanted.setdefault(tuple(dimension for dimension, _ in key), []).append(key)
    untraced: set[Key] = set()
    for dimensions, keys in wanted.items():
        if len(dimensions) > 1 and len(keys) > MOST_INNER:
            untraced.update(keys)
        else:
            counts |= behind.counts(dimensions, keys)
    for key, found in counts.items():
        _agree(found.size, sheet.figures[key])
    moments, curves = _moments(raw, behind, minimum), _curves(raw, behind)
    return Footprints(counts, moments, curves, frozenset(untraced))


def _derived(key: Key) -> bool:
    return any(dimension.startswith(_FILLED) for dimension, _ in key)


class _Behind(Unserialisable):
    """Reads the contributions by the names that a sheet gives its counts."""

    def __init__(self, given: RawContributions, query: Query, sheet: Sheet) -> None:
        self.given, self.query, self.sheet = given, query, sheet
        self.hashes = mixed(given.persons.astype(np.int64, copy=False).view(np.uint64))
        self._variables = _variables(query)
        if len(self._variables) != len(given.columns):
            raise Contradiction

    def counts(self, dimensions: tuple[str, ...], keys: Sequence[Key]) -> dict[Key, Footprint]:
        """Return the footprints of counts of the same dimensions, all in one pass."""
        if dimensions == (" step",):
            return {key: of_persons(self.given.steps[int(key[0][1])]) for key in keys}
        codes, places = np.zeros(len(self.hashes), dtype=np.int64), dict.fromkeys(keys, 0)
        parts = 1
        for side, dimension in enumerate(dimensions):
            labels = list(dict.fromkeys(key[side][1] for key in keys))
            codes = codes * (len(labels) + 1) + self._coded(dimension, labels)
            places = {
                key: place * (len(labels) + 1) + labels.index(key[side][1]) for key, place in places.items()
            }
            parts *= len(labels) + 1
        dense = np.full(parts, len(keys), dtype=np.int64)
        dense[list(places.values())] = np.arange(len(keys))
        return dict(zip(places, parted(self.hashes, dense[codes], len(keys) + 1), strict=False))

    def column(self, name: str) -> tuple[Variable, NDArray[np.float64]]:
        """Return a variable and what each person contributes to it."""
        for variable, column in zip(self._variables, self.given.columns, strict=True):
            if variable.name == name:
                return variable, column
        raise Contradiction

    def groups(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each person's group; one place more is no group of these."""
        by = group_dimension(self.query)
        if not by or by not in self.sheet.margins:
            return np.zeros(len(self.hashes), dtype=np.int64)
        return self._coded(by, list(names))

    def _coded(self, dimension: str, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each person's level among the labels; one place more is none of them."""
        if dimension.startswith(_MISSING):
            return (~np.isnan(self.column(dimension.removeprefix(_MISSING))[1])).astype(np.int64)
        if dimension.startswith(_BINS):
            return self._binned(dimension.removeprefix(_BINS), labels)
        if dimension not in self.sheet.margins:  # a single level: everybody has it
            return np.zeros(len(self.hashes), dtype=np.int64)
        levels = [key[0][1] for key in self.sheet.margins[dimension]]
        place_of = np.array([_place(labels, level) for level in levels], dtype=np.int64)
        return place_of[self.column(dimension)[1].astype(np.int64)]

    def _binned(self, name: str, labels: Sequence[str]) -> NDArray[np.int64]:
        variable, column = self.column(name)
        place_of = np.full(len(variable.edges) + 2, len(labels), dtype=np.int64)
        for place, label in enumerate(labels):
            first, last = (int(part) for part in label.split("-"))
            place_of[first : last + 1] = place
        bins = np.zeros(len(column), dtype=np.uint8)
        for start in range(0, len(column), _BLOCK):
            some, found = column[start : start + _BLOCK], bins[start : start + _BLOCK]
            for edge in variable.edges:  # at most 101: adding up comparisons is faster than searching
                found += some >= edge
        return place_of[np.where(np.isnan(column), len(variable.edges) + 1, bins)]


def _place(labels: Sequence[str], level: str) -> int:
    return labels.index(level) if level in labels else len(labels)


def _variables(query: Query) -> Sequence[Variable]:
    """Return the variables in the order of the contributions' columns."""
    analysis = query.analysis
    if isinstance(analysis, Count):
        return analysis.by
    named = () if isinstance(analysis, KaplanMeier) else analysis.variables
    by = getattr(analysis, "by", None)
    return (*named, *(() if by is None else (by,)))


def _valued(hashes: Hashes, values: NDArray[np.int64]) -> Hashes:
    """Return hashes of persons with a value each."""
    with np.errstate(over="ignore"):
        return mixed(hashes * np.uint64(3) + mixed(values.view(np.uint64)))


def _moments(raw: RawAggregate, behind: _Behind, minimum: int) -> dict[tuple[str, str], Footprint]:
    """The same persons with the same values have the same sums; one other value makes others."""
    found: dict[tuple[str, str], Footprint] = {}
    if not isinstance(raw.analysis, RawTable1):
        return found
    for number in raw.analysis.summaries:
        if isinstance(number, RawNumber):
            sums = _sums(behind, number)
            for group in number.groups:
                _agree(sums[group.group].size, group.n)
                if group.n >= minimum:
                    found[number.variable, group.group] = sums[group.group]
    return found


def _sums(behind: _Behind, number: RawNumber) -> dict[str, Footprint]:
    column = behind.column(number.variable)[1] + 0.0  # so that -0.0 is 0.0
    valued = _valued(behind.hashes, column.view(np.int64))
    names = [group.group for group in number.groups if group.group != TOTAL] or [TOTAL]
    codes = np.where(np.isnan(column), len(names), behind.groups(names))
    found = parted(valued, codes, len(names) + 1)[:-1]
    return {TOTAL: united(found)} | dict(zip(names, found, strict=True))


def _curves(raw: RawAggregate, behind: _Behind) -> dict[str, tuple[Footprint, ...]]:
    found: dict[str, tuple[Footprint, ...]] = {}
    if not isinstance(raw.analysis, RawKaplanMeier):
        return found
    days, died = behind.given.days, behind.given.died
    if days is None or died is None:
        raise Contradiction
    events = _valued(behind.hashes, days.astype(np.int64, copy=False))
    ends = _valued(events, died.astype(np.int64))
    names = [curve.group for curve in raw.analysis.curves]
    groups = behind.groups(names)
    died_of = parted(events, np.where(died, groups, len(names)), len(names) + 1)
    followed = parted(ends, groups, len(names) + 1)
    for place, curve in enumerate(raw.analysis.curves):
        found[curve.group] = (died_of[place], followed[place])
        _agree(died_of[place].size, curve.events)
        _agree(followed[place].size, curve.persons)
    return found


def _agree(one: int, other: int) -> None:
    if one != other:
        raise Contradiction
