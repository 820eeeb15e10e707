"""Compute raw aggregates from who is in the cohort and what each person's values are."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import numpy as np

from atoll_node.engine.found import Frame, Level, Members
from atoll_node.engine.labels import bin_ends
from atoll_node.engine.plan import (
    AnalysisPlan,
    Cohort,
    CountPlan,
    CrosstabPlan,
    LevelColumn,
    NumberColumn,
    SurvivalPlan,
    Table1Plan,
)
from atoll_node.engine.sums import Numbers, exact_squares, exact_sums
from atoll_node.engine.survival import DayCounts, life_table, log_rank
from atoll_node.raw import (
    RawAnalysis,
    RawBin,
    RawCategory,
    RawContributions,
    RawCount,
    RawCrosstab,
    RawKaplanMeier,
    RawNumber,
    RawNumberGroup,
    RawStep,
    RawTable,
    RawTable1,
)
from atoll_schemas.query import MISSING, TOTAL
from atoll_schemas.results import Dimension

ENTRY_STEP = "entry events"
COHORT_STEP = "in cohort"
"""Last attrition step of a cohort whose end or window can exclude a person who passes every rule."""


def columns_of(analysis: AnalysisPlan) -> tuple[NumberColumn | LevelColumn, ...]:
    """Return the columns that a frame of the analysis has, in order."""
    if isinstance(analysis, CountPlan):
        return analysis.by
    if isinstance(analysis, CrosstabPlan):
        return analysis.variables
    variables = analysis.variables if isinstance(analysis, Table1Plan) else ()
    return (*variables, *(() if analysis.by is None else (analysis.by,)))


def measure(cohort: Cohort, analysis: AnalysisPlan, found: Members, frame: Frame) -> RawAnalysis:
    """Compute the analysis over the cohort's persons."""
    persons = len(found.persons)
    if isinstance(analysis, CountPlan):
        table = _table(analysis.by, range(len(analysis.by)), frame) if analysis.by else None
        return RawCount(persons, _attrition(cohort, found), table)
    if isinstance(analysis, Table1Plan):
        return _table1(analysis, persons, frame)
    if isinstance(analysis, CrosstabPlan):
        places = range(len(analysis.variables))
        return RawCrosstab(persons, _table(analysis.variables, places, frame))
    return _survival(analysis, frame)


def contributions(analysis: AnalysisPlan, found: Members, frame: Frame) -> RawContributions:
    """Return who stands behind the figures, so that the gate can compare them with earlier ones."""
    steps = found.steps[:-1] if isinstance(analysis, CountPlan) else ()
    return RawContributions(frame.persons, frame.columns, frame.days, frame.died, steps)


def _attrition(cohort: Cohort, found: Members) -> tuple[RawStep, ...]:
    names = [ENTRY_STEP, *(rule.name for rule in cohort.rules)]
    if cohort.end_can_exclude:
        names.append(COHORT_STEP)
    return tuple(RawStep(name, len(persons)) for name, persons in zip(names, found.steps, strict=True))


def _table(columns: Sequence[LevelColumn], places: Sequence[int], frame: Frame) -> RawTable:
    codes = np.zeros(len(frame.persons), dtype=np.int64)
    for column, place in zip(columns, places, strict=True):
        codes = codes * len(column.labels) + frame.levels(place)
    keys = product(*(column.labels for column in columns))
    size = int(np.prod([len(column.labels) for column in columns]))
    persons = np.bincount(codes, minlength=size).tolist()
    dimensions = tuple(Dimension(name=column.name, levels=column.labels) for column in columns)
    return RawTable(dimensions, dict(zip(keys, persons, strict=True)))


def _table1(analysis: Table1Plan, persons: int, frame: Frame) -> RawTable1:
    by = analysis.by
    group = len(analysis.variables)
    groups = None if by is None else frame.levels(group)
    summaries: list[RawNumber | RawCategory] = []
    for place, column in enumerate(analysis.variables):
        if isinstance(column, NumberColumn):
            summaries.append(_number(column, frame.columns[place], by, groups))
        else:
            columns, places = ((column,), (place,)) if by is None else ((column, by), (place, group))
            summaries.append(RawCategory(column.name, _table(columns, places, frame)))
    table = None if by is None else _table((by,), (group,), frame)
    return RawTable1(persons, table, tuple(summaries))


@dataclass(frozen=True, repr=False, eq=False)
class _Sums:
    """What is added up, per group; the last one is everybody."""

    persons: Sequence[int]
    n: Sequence[int]
    bins: Sequence[Sequence[int]]
    largest: Sequence[tuple[float, ...]]
    totals: Sequence[Fraction]
    absolutes: Sequence[Fraction]
    squares: Sequence[Fraction]


def _number(column: NumberColumn, values: Numbers, by: LevelColumn | None, groups: Level | None) -> RawNumber:
    labels = () if by is None else by.labels
    sums = _summed(column, values, groups, len(labels))
    return RawNumber(
        column.name,
        column.unit,
        tuple(
            _group(label, place, sums, column)
            for place, label in zip(range(-1, len(labels)), (TOTAL, *labels), strict=True)
        ),
    )


def _summed(column: NumberColumn, values: Numbers, groups: Level | None, count: int) -> _Sums:
    known = ~np.isnan(values)
    present = values if known.all() else values[known]
    inside = None if groups is None else groups[known] if len(present) < len(values) else groups
    totals = _with_all(exact_sums(present, inside, count or 1), count)
    sizes = np.abs(present)
    absolutes = totals
    if present.min(initial=0.0) < 0:
        absolutes = _with_all(exact_sums(sizes, inside, count or 1), count)
    return _Sums(
        persons=_counted(groups, count, len(values)),
        n=_counted(inside, count, len(present)),
        bins=_binned(present, inside, column.edges, count),
        largest=_largest(sizes, inside, count),
        totals=totals,
        absolutes=absolutes,
        squares=_with_all(exact_squares(present, inside, count or 1), count),
    )


def _with_all(parts: tuple[Fraction, ...], count: int) -> list[Fraction]:
    """Add everybody behind the groups."""
    return [*(parts if count else ()), sum(parts, start=Fraction(0))]


def _counted(groups: Level | None, count: int, everybody: int) -> list[int]:
    if groups is None:
        return [everybody]
    return [*np.bincount(groups, minlength=count).tolist(), everybody]


def _binned(values: Numbers, groups: Level | None, edges: tuple[float, ...], count: int) -> list[list[int]]:
    """Count persons per bin, the open outer ones included; an edge belongs to the bin above it."""
    if not edges:
        return [[]] * (count + 1)
    places = bin_places(values, edges)
    width = len(edges) + 1
    if groups is None:
        return [np.bincount(places, minlength=width).tolist()]
    table = np.bincount(groups * width + places, minlength=count * width).reshape(count, width)
    return [*table.tolist(), table.sum(axis=0).tolist()]


def bin_places(values: Numbers, edges: tuple[float, ...]) -> Level:
    """Return the bin of each number: 0 below the first edge."""
    if len(edges) > _FEW_EDGES:
        return np.searchsorted(np.array(edges), values, side="right").astype(np.int64)
    found = np.zeros(len(values), dtype=np.uint8)
    for start in range(0, len(values), _BLOCK):
        some, places = values[start : start + _BLOCK], found[start : start + _BLOCK]
        for edge in edges:
            places += some >= edge
    return found.astype(np.int64)


_FEW_EDGES, _BLOCK = 100, 2**14
"""Adding up comparisons is faster than searching among so few edges, on numbers that stay in the cache."""


def _largest(sizes: Numbers, groups: Level | None, count: int) -> list[tuple[float, ...]]:
    everybody = _two_largest(sizes)
    if groups is None:
        return [everybody]
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(count + 1))
    return [
        *(_two_largest(sizes[order[low:high]]) for low, high in pairwise(bounds)),
        everybody,
    ]


def _two_largest(sizes: Numbers) -> tuple[float, ...]:
    if len(sizes) < 2:
        return tuple(sizes.tolist())
    first = int(sizes.argmax())
    second = max(sizes[:first].max(initial=0.0), sizes[first + 1 :].max(initial=0.0))
    return (float(sizes[first]), float(second))


def _group(label: str, place: int, sums: _Sums, column: NumberColumn) -> RawNumberGroup:
    n = sums.n[place]
    mean, m2 = 0.0, 0.0
    if n:
        mean = float(sums.totals[place] / n)
        m2 = float(sums.squares[place] - sums.totals[place] ** 2 / n)
    return RawNumberGroup(
        group=label,
        persons=sums.persons[place],
        n=n,
        mean=mean,
        m2=m2,
        absolute_sum=float(sums.absolutes[place]),
        largest=sums.largest[place],
        bins=tuple(
            RawBin(low, high, count)
            for (low, high), count in zip(bin_ends(column.edges), sums.bins[place], strict=True)
        ),
    )


def _survival(analysis: SurvivalPlan, frame: Frame) -> RawKaplanMeier:
    if frame.days is None or frame.died is None:
        raise TypeError("a survival analysis needs days")
    labels = (TOTAL,) if analysis.by is None else analysis.by.labels
    level = np.zeros(len(frame.days), dtype=np.int64) if analysis.by is None else frame.levels(0)
    groups = [
        _day_counts(label, frame.days[held], frame.died[held])
        for number, label in enumerate(labels)
        if (held := level == number).any()
    ]
    compared = [group for group in groups if group.group != MISSING]
    test = None if analysis.by is None else log_rank(compared)
    levels = () if analysis.by is None else labels
    return RawKaplanMeier(analysis.name, tuple(life_table(group) for group in groups), test, levels)


def _day_counts(label: str, days: Level, died: np.typing.NDArray[np.bool_]) -> DayCounts:
    found, places = np.unique(days, return_inverse=True)
    events = np.bincount(places[died], minlength=len(found))
    leaving = np.bincount(places, minlength=len(found))
    return DayCounts(label, found, events, leaving - events)
