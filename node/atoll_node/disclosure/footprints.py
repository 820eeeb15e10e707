"""Say who stands behind each figure in a form that two answers can be compared by, and that names nobody.

A footprint adds up: that of two sets without a common person is the sum of theirs. The distance of two
footprints is never larger than the number of persons in which the sets differ, so that no near one is missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atoll_node.disclosure.layout import group_dimension, group_key
from atoll_node.disclosure.sheet import COHORT, Contradiction, Key, Sheet
from atoll_node.raw import (
    PersonSet,
    RawAggregate,
    RawContributions,
    RawKaplanMeier,
    RawNumber,
    RawNumberGroup,
    RawTable1,
    Unserialisable,
)
from atoll_schemas.query import Count, KaplanMeier, Query, Variable

Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]

BUCKETS = 256
"""Persons fall into so many buckets by chance; a footprint counts them."""
_WORD = 2**64
_BINS, _MISSING, _FILLED = " bin ", " missing ", " filled "


@dataclass(frozen=True, repr=False)
class Footprint(Unserialisable):
    """One set of persons, or of persons with a value: its name, which adds up, and its count per bucket."""

    name: tuple[int, int]
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


def footprint(hashes: Hashes) -> Footprint:
    """Return the footprint of hashed elements, in any order."""
    name = (int(hashes.sum(dtype=np.uint64)), int(mixed(hashes).sum(dtype=np.uint64)))
    buckets = np.bincount((hashes >> np.uint64(56)).astype(np.intp), minlength=BUCKETS)
    return Footprint(name, buckets.astype(np.int32))


def of_persons(persons: PersonSet) -> Footprint:
    """Return the footprint of a set of persons."""
    return footprint(mixed(persons.astype(np.int64, copy=False).view(np.uint64)))


def added(*names: tuple[int, int]) -> tuple[int, int]:
    """Return the name of the union of disjoint sets."""
    first, second = zip(*names, strict=True)
    return sum(first) % _WORD, sum(second) % _WORD


def mixed(values: Hashes) -> Hashes:
    """Scatter 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        mix = values + np.uint64(0x9E3779B97F4A7C15)
        mix = (mix ^ (mix >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mix = (mix ^ (mix >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mix ^ (mix >> np.uint64(31))


def traced(raw: RawAggregate, query: Query, sheet: Sheet, minimum: int) -> Footprints:
    """Return the footprints of every figure that can be shown.

    Raises ``Contradiction`` when figures and contributions disagree, or when there are no contributions.
    """
    if raw.contributions is None or len(raw.contributions.persons) != len(raw.members):
        raise Contradiction
    behind = _Behind(raw.contributions, query, sheet)
    counts = {COHORT: of_persons(raw.members)}
    for key, persons in sheet.figures.items():
        if key != COHORT and persons >= minimum and not _derived(key):
            counts[key] = behind.count(key, persons)
    if behind.everybody().name != counts[COHORT].name:
        raise Contradiction
    return Footprints(counts, _moments(raw, behind, minimum), _curves(raw, behind))


def _derived(key: Key) -> bool:
    return any(dimension.startswith(_FILLED) for dimension, _ in key)


class _Behind(Unserialisable):
    """Reads the contributions by the names that a sheet gives its counts."""

    def __init__(self, given: RawContributions, query: Query, sheet: Sheet) -> None:
        self.given, self.query, self.sheet = given, query, sheet
        self.hashes = mixed(given.persons.astype(np.int64, copy=False).view(np.uint64))
        self._masks: dict[tuple[str, str], Mask] = {}
        self._variables = _variables(query)
        if len(self._variables) != len(given.columns):
            raise Contradiction

    def everybody(self) -> Footprint:
        return footprint(self.hashes)

    def count(self, key: Key, persons: int) -> Footprint:
        """Return the footprint of a count, which must be what the engine says it is."""
        if key[0][0] == " step":
            found = of_persons(self.given.steps[int(key[0][1])])
        else:
            found = footprint(self.hashes[self.holding(key)])
        if found.size != persons:
            raise Contradiction
        return found

    def holding(self, key: Key) -> Mask:
        """Return which persons a count counts."""
        held = np.ones(len(self.hashes), dtype=np.bool_)
        for pair in key:
            if pair not in self._masks:
                self._masks[pair] = self._mask(*pair)
            held = held & self._masks[pair]
        return held

    def column(self, name: str) -> tuple[Variable, NDArray[np.float64]]:
        """Return a variable and what each person contributes to it."""
        for variable, column in zip(self._variables, self.given.columns, strict=True):
            if variable.name == name:
                return variable, column
        raise Contradiction

    def _mask(self, dimension: str, level: str) -> Mask:
        if dimension.startswith(_MISSING):
            return np.isnan(self.column(dimension.removeprefix(_MISSING))[1])
        if dimension.startswith(_BINS):
            return self._binned(dimension.removeprefix(_BINS), level)
        if dimension not in self.sheet.margins:  # a single level: everybody has it
            return np.ones(len(self.hashes), dtype=np.bool_)
        labels = [key[0][1] for key in self.sheet.margins[dimension]]
        held: Mask = self.column(dimension)[1] == labels.index(level)
        return held

    def _binned(self, name: str, level: str) -> Mask:
        variable, column = self.column(name)
        first, last = (int(place) for place in level.split("-"))
        ends = (-np.inf, *variable.edges, np.inf)
        return (column >= ends[first]) & (column < ends[last + 1])


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
            groups = [group for group in number.groups if group.n >= minimum]
            found |= {(number.variable, group.group): _sum(behind, number, group) for group in groups}
    return found


def _sum(behind: _Behind, number: RawNumber, group: RawNumberGroup) -> Footprint:
    column = behind.column(number.variable)[1] + 0.0  # so that -0.0 is 0.0
    held = ~np.isnan(column) & _group_mask(behind, group.group)
    found = footprint(_valued(behind.hashes, column.view(np.int64))[held])
    _agree(found.size, group.n)
    return found


def _curves(raw: RawAggregate, behind: _Behind) -> dict[str, tuple[Footprint, ...]]:
    found: dict[str, tuple[Footprint, ...]] = {}
    if not isinstance(raw.analysis, RawKaplanMeier):
        return found
    days, died = behind.given.days, behind.given.died
    if days is None or died is None:
        raise Contradiction
    events = _valued(behind.hashes, days.astype(np.int64, copy=False))
    ends = _valued(events, died.astype(np.int64))
    for curve in raw.analysis.curves:
        held = _group_mask(behind, curve.group)
        found[curve.group] = (footprint(events[held & died]), footprint(ends[held]))
        _agree(found[curve.group][0].size, curve.events)
        _agree(found[curve.group][1].size, curve.persons)
    return found


def _group_mask(behind: _Behind, group: str) -> Mask:
    return behind.holding(group_key(group_dimension(behind.query), group))


def _agree(one: int, other: int) -> None:
    if one != other:
        raise Contradiction
