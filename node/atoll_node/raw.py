"""Hold raw aggregates: what the engine computes and only the disclosure gate may read.

They never leave the node. They cannot be pickled, copied into JSON, or printed (law 4): the base class
refuses each of these. import-linter names the few modules that may import this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from atoll_schemas.results import Dimension


class Unserialisable:
    """Refuse every common way out of the process."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a raw aggregate cannot be serialised")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: raw, not shown>"

    __str__ = __repr__


PersonSet = NDArray[np.int64]
"""Sorted, distinct ``person_id`` values (pseudonyms)."""


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawTable(Unserialisable):
    """Distinct persons per inner cell; every combination of levels is present, zeros too. No margins."""

    dimensions: tuple[Dimension, ...]
    persons: Mapping[tuple[str, ...], int]


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawStep(Unserialisable):
    """Persons left after an inclusion rule; ``name`` comes from the query."""

    name: str
    persons: int


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawCount(Unserialisable):
    """Count: the first step is ``entry events``, the last equals ``persons``."""

    persons: int
    attrition: tuple[RawStep, ...]
    by: RawTable | None = None


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawBin(Unserialisable):
    """Persons in [low, high); ``None`` is an open end."""

    low: float | None
    high: float | None
    persons: int


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawNumberGroup(Unserialisable):
    """A number in one group (``*`` is all). ``n`` persons have a value; mean and m2 are 0 when n is 0.

    ``absolute_sum`` is the sum of absolute values; ``largest`` the two largest absolute values of persons
    (descending; fewer when n < 2), for the dominance rules.
    """

    group: str
    persons: int
    n: int
    mean: float
    m2: float
    absolute_sum: float
    largest: tuple[float, ...]
    bins: tuple[RawBin, ...] = ()


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawNumber(Unserialisable):
    """A numeric variable: the group ``*`` first, then each level of ``by`` in order."""

    variable: str
    unit: str | None
    groups: tuple[RawNumberGroup, ...]


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawCategory(Unserialisable):
    """A categorical variable: dimensions are the variable and, if asked, the group."""

    variable: str
    table: RawTable


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawTable1(Unserialisable):
    """Table 1: one summary per variable, in the query's order."""

    persons: int
    groups: RawTable | None
    summaries: tuple[RawNumber | RawCategory, ...]


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawCrosstab(Unserialisable):
    """Cross-tab of two or three dimensions."""

    persons: int
    table: RawTable


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawCurve(Unserialisable):
    """A group's life table: distinct days ascending; at risk just before, events, censored."""

    group: str
    persons: int
    events: int
    days: tuple[int, ...]
    at_risk: tuple[int, ...]
    events_at: tuple[int, ...]
    censored_at: tuple[int, ...]


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawLogRank(Unserialisable):
    """Observed, expected and covariance of O - E per group, within this site."""

    groups: tuple[str, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    variance: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawKaplanMeier(Unserialisable):
    """Kaplan-Meier: one curve per non-empty group; log-rank over groups when ``by`` is given."""

    outcome: str
    curves: tuple[RawCurve, ...]
    log_rank: RawLogRank | None
    levels: tuple[str, ...] = ()
    """Every level of ``by`` in order, those without a person too, so that none is told by its absence."""


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawContributions(Unserialisable):
    """Who stands behind the figures: one entry per person of the cohort, in one order for all arrays.

    ``columns`` follow the question's variables, then its ``by``: the place of the person's level, or the
    number, NaN without one. ``days`` and ``died`` are a survival analysis' times. ``steps`` are the persons
    after each step of a count but the last. The gate compares them with those behind earlier answers.
    """

    persons: NDArray[np.int64]
    columns: tuple[NDArray[np.float64], ...] = ()
    days: NDArray[np.int64] | None = None
    died: NDArray[np.bool_] | None = None
    steps: tuple[NDArray[np.int64], ...] = ()


RawAnalysis = RawCount | RawTable1 | RawCrosstab | RawKaplanMeier


@dataclass(frozen=True, repr=False, eq=False, slots=True)
class RawAggregate(Unserialisable):
    """All that the engine hands to the gate: the analysis, the cohort's persons, the time it took.

    Without ``contributions`` the gate cannot compare the answer with earlier ones, and refuses.
    """

    analysis: RawAnalysis
    members: PersonSet
    engine_milliseconds: int
    contributions: RawContributions | None = None
