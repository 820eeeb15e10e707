"""Compute raw aggregates over the tables that a plan's statements have made."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.cohorts import attrition_statement
from atoll_node.engine.frames import bin_sql, frame_statement, survival_statement
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
from atoll_node.engine.sql import Binder, Statement
from atoll_node.engine.survival import DayCounts, life_table, log_rank
from atoll_node.raw import (
    PersonSet,
    RawAnalysis,
    RawBin,
    RawCategory,
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


class Runs(Protocol):
    """What measures need of a session."""

    def run(self, statement: Statement) -> None: ...
    def rows(self, statement: Statement) -> list[tuple[Any, ...]]: ...
    def numbers(self, statement: Statement) -> Mapping[str, NDArray[Any]]: ...


def members(session: Runs) -> PersonSet:
    """Return the persons of the cohort, sorted."""
    found = session.numbers(Statement("SELECT person_id FROM cohort_index"))["person_id"]
    return np.sort(found.astype(np.int64, copy=False))


def measure(cohort: Cohort, analysis: AnalysisPlan, persons: int, session: Runs) -> RawAnalysis:
    """Compute the analysis over ``cohort_index``."""
    if isinstance(analysis, CountPlan):
        return _count(cohort, analysis, persons, session)
    if isinstance(analysis, Table1Plan):
        return _table1(analysis, persons, session)
    if isinstance(analysis, CrosstabPlan):
        session.run(frame_statement(analysis.variables))
        return RawCrosstab(persons, _table(analysis.variables, (0, 1, 2), session))
    return _survival(analysis, session)


def frame_of(analysis: AnalysisPlan) -> Statement | None:
    """Return the statement that makes the analysis' frame, if it needs one."""
    if isinstance(analysis, SurvivalPlan):
        return survival_statement(analysis)
    columns = _columns(analysis)
    return frame_statement(columns) if columns else None


def _columns(analysis: AnalysisPlan) -> tuple[NumberColumn | LevelColumn, ...]:
    if isinstance(analysis, CountPlan):
        return analysis.by
    if isinstance(analysis, CrosstabPlan):
        return analysis.variables
    if isinstance(analysis, Table1Plan):
        return (*analysis.variables, *(() if analysis.by is None else (analysis.by,)))
    return ()


def _count(cohort: Cohort, analysis: CountPlan, persons: int, session: Runs) -> RawCount:
    table = None
    if analysis.by:
        session.run(frame_statement(analysis.by))
        table = _table(analysis.by, (0, 1), session)
    return RawCount(persons, _attrition(cohort, session), table)


def _attrition(cohort: Cohort, session: Runs) -> tuple[RawStep, ...]:
    counts = session.rows(attrition_statement(cohort))[0]
    names = [ENTRY_STEP, *(rule.name for rule in cohort.rules)]
    if cohort.end_can_exclude:
        names.append(COHORT_STEP)
    return tuple(RawStep(name, int(count)) for name, count in zip(names, counts, strict=False))


def _table(columns: Sequence[LevelColumn], places: Sequence[int], session: Runs) -> RawTable:
    names = [f"v{place}" for place, _ in zip(places, columns, strict=False)]
    listed = ", ".join(names)
    rows = session.rows(Statement(f"SELECT {listed}, count(*) FROM frame GROUP BY {listed}"))
    persons = dict.fromkeys(itertools.product(*(column.labels for column in columns)), 0)
    for *levels, count in rows:
        key = tuple(column.labels[level] for column, level in zip(columns, levels, strict=True))
        persons[key] += count
    dimensions = tuple(Dimension(name=column.name, levels=column.labels) for column in columns)
    return RawTable(dimensions, persons)


def _table1(analysis: Table1Plan, persons: int, session: Runs) -> RawTable1:
    session.run(frame_statement(_columns(analysis)))
    by = analysis.by
    group = len(analysis.variables)
    summaries: list[RawNumber | RawCategory] = []
    for place, column in enumerate(analysis.variables):
        if isinstance(column, NumberColumn):
            summaries.append(_number(column, f"v{place}", by, f"v{group}", session))
        else:
            columns = (column,) if by is None else (column, by)
            summaries.append(RawCategory(column.name, _table(columns, (place, group), session)))
    groups = None if by is None else _table((by,), (group,), session)
    return RawTable1(persons, groups, tuple(summaries))


@dataclass
class _Sums:
    """What is added up for one group."""

    persons: int
    n: int
    largest: list[float]
    bins: list[int]
    total: Fraction = Fraction(0)
    absolute: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)


def _number(column: NumberColumn, value: str, by: LevelColumn | None, group: str, session: Runs) -> RawNumber:
    """Sum exactly, in whole units of a power of two, so that the order of addition cannot matter."""
    levels = [TOTAL] if by is None else [TOTAL, *by.labels]
    level = "0" if by is None else f"{group} + 1"
    groups = [_Sums(0, 0, [], [0] * len(bin_ends(column.edges))) for _ in levels]
    _add_counts(groups, column, value, level, session)
    largest = max(groups[0].largest, default=0.0)
    if largest > 0:
        _add_sums(groups, value, level, largest, session)
    return RawNumber(
        column.name,
        column.unit,
        tuple(_summed(label, sums, groups[0], column) for label, sums in zip(levels, groups, strict=True)),
    )


def _add_counts(groups: list[_Sums], column: NumberColumn, value: str, level: str, session: Runs) -> None:
    binder = Binder()
    missing = len(column.edges) + 1
    binned = bin_sql(value, column.edges, missing, binder)
    rows = session.rows(
        binder.statement(
            f"SELECT {level} AS level, {binned} AS bin, count(*), count({value}), max(abs({value}), 2) "
            "FROM frame GROUP BY ALL"
        )
    )
    for number, place, persons, n, largest in rows:
        for sums in {0: groups[0], number: groups[number]}.values():
            sums.persons += persons
            sums.n += n
            sums.largest = sorted([*sums.largest, *(largest or [])], reverse=True)[:2]
            if place < len(sums.bins):
                sums.bins[place] += persons


_BITS = 120
"""Sums stay below this power of two in units of the scale; HUGEINT has 127 bits."""


def _scale(largest: float, count: int) -> int:
    """Return the exponent of the unit in which ``count`` values up to ``largest`` can be summed."""
    spare = _BITS - math.frexp(largest)[1] - count.bit_length()
    return max(-1000, min(1000, spare))


def _add_sums(groups: list[_Sums], value: str, level: str, largest: float, session: Runs) -> None:
    exponent = _scale(largest, groups[0].n)
    binder = Binder()
    unit = binder.bind(math.ldexp(1.0, exponent))
    rows = session.rows(
        binder.statement(
            f"SELECT {level} AS level, sum(({value} * {unit})::HUGEINT), "
            f"sum((abs({value}) * {unit})::HUGEINT) "
            f"FROM frame WHERE {value} IS NOT NULL GROUP BY ALL"
        )
    )
    for number, total, absolute in rows:
        for sums in {0: groups[0], number: groups[number]}.values():
            sums.total += _unscaled(total, exponent)
            sums.absolute += _unscaled(absolute, exponent)
    _add_squares(groups, value, level, largest, session)


def _add_squares(groups: list[_Sums], value: str, level: str, largest: float, session: Runs) -> None:
    """Sum squares about the mean of all, which loses no digits (two passes)."""
    centre = float(groups[0].total / groups[0].n)
    exponent = _scale(4 * largest * largest, groups[0].n)
    binder = Binder()
    middle, unit = binder.bind(centre), binder.bind(math.ldexp(1.0, exponent))
    rows = session.rows(
        binder.statement(
            f"SELECT {level} AS level, "
            f"sum((({value} - {middle}) * ({value} - {middle}) * {unit})::HUGEINT) "
            f"FROM frame WHERE {value} IS NOT NULL GROUP BY ALL"
        )
    )
    for number, squares in rows:
        for sums in {0: groups[0], number: groups[number]}.values():
            sums.squares += _unscaled(squares, exponent)


def _unscaled(value: int, exponent: int) -> Fraction:
    return Fraction(int(value)) / Fraction(2) ** exponent


def _summed(label: str, sums: _Sums, everybody: _Sums, column: NumberColumn) -> RawNumberGroup:
    mean, m2 = 0.0, 0.0
    if sums.n:
        mean = float(sums.total / sums.n)
        away = sums.total - sums.n * Fraction(float(everybody.total / everybody.n))
        m2 = max(0.0, float(sums.squares - away * away / sums.n))
    ends = bin_ends(column.edges)
    return RawNumberGroup(
        group=label,
        persons=sums.persons,
        n=sums.n,
        mean=mean,
        m2=m2,
        absolute_sum=float(sums.absolute),
        largest=tuple(sums.largest),
        bins=tuple(RawBin(low, high, count) for (low, high), count in zip(ends, sums.bins, strict=True)),
    )


def _survival(analysis: SurvivalPlan, session: Runs) -> RawKaplanMeier:
    session.run(survival_statement(analysis))
    labels = (TOTAL,) if analysis.by is None else analysis.by.labels
    level = "0" if analysis.by is None else "v0"
    counted = session.numbers(
        Statement(
            f"SELECT ({level})::BIGINT AS level, day::BIGINT AS day, "
            "count(*) FILTER (WHERE event) AS events, count(*) FILTER (WHERE NOT event) AS censored "
            "FROM frame GROUP BY ALL ORDER BY ALL"
        )
    )
    groups = [
        DayCounts(label, counted["day"][held], counted["events"][held], counted["censored"][held])
        for number, label in enumerate(labels)
        if (held := counted["level"] == number).any()
    ]
    compared = [group for group in groups if group.group != MISSING]
    test = None if analysis.by is None else log_rank(compared)
    levels = () if analysis.by is None else labels
    return RawKaplanMeier(analysis.name, tuple(life_table(group) for group in groups), test, levels)
