"""Make up persons who stand behind a raw analysis that a test wrote down by its figures alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atoll_node.raw import (
    PersonSet,
    RawAnalysis,
    RawCategory,
    RawContributions,
    RawCount,
    RawCrosstab,
    RawCurve,
    RawKaplanMeier,
    RawNumber,
    RawNumberGroup,
    RawTable,
    RawTable1,
)
from atoll_schemas.query import Query, Variable

Column = NDArray[np.float64]
STRANGERS = 10**12
"""Ids of persons who pass the first steps of a cohort and not the last."""


def contributions_of(analysis: RawAnalysis, query: Query, members: PersonSet) -> RawContributions:
    """Return persons whose levels, numbers and times give the analysis' figures.

    Where the figures contradict each other, so do the persons; the gate has to notice.
    """
    match analysis:
        case RawCount():
            columns = () if analysis.by is None else _table(analysis.by)
            return RawContributions(members, columns, steps=_steps(analysis, members))
        case RawCrosstab():
            return RawContributions(members, _table(analysis.table))
        case RawTable1():
            return RawContributions(members, _table1(analysis, query))
        case RawKaplanMeier():
            return _survival(analysis, members)


def _steps(analysis: RawCount, members: PersonSet) -> tuple[PersonSet, ...]:
    most = max((step.persons for step in analysis.attrition), default=0)
    others = np.arange(STRANGERS, STRANGERS + max(0, most - len(members)), dtype=np.int64)
    everybody = np.concatenate([members, others])
    return tuple(everybody[: step.persons] for step in analysis.attrition[:-1])


def _table(table: RawTable) -> tuple[Column, ...]:
    rows: list[tuple[int, ...]] = []
    for levels, persons in table.persons.items():
        sides = zip(table.dimensions, levels, strict=True)
        rows += [tuple(side.levels.index(level) for side, level in sides)] * persons
    return tuple(np.array(rows, dtype=np.float64).reshape(len(rows), len(table.dimensions)).T)


def _table1(analysis: RawTable1, query: Query) -> tuple[Column, ...]:
    by = () if analysis.groups is None else _table(analysis.groups)
    variables: Sequence[Variable] = getattr(query.analysis, "variables", ())
    found = {summary.variable: summary for summary in analysis.summaries}
    columns = []
    for variable in variables:
        summary = found.get(variable.name)
        if isinstance(summary, RawCategory):
            columns.append(_category(summary, by))
        elif isinstance(summary, RawNumber):
            columns.append(_number(summary, variable))
    return (*columns, *by)


def _category(summary: RawCategory, by: tuple[Column, ...]) -> Column:
    """Give the levels of each group to the persons of the group, in turn."""
    column, *groups = _table(summary.table)
    if not groups or not by or len(groups[0]) != len(by[0]):
        return column
    placed = np.empty_like(column)
    placed[np.argsort(by[0], kind="stable")] = column[np.argsort(groups[0], kind="stable")]
    return placed


def _number(summary: RawNumber, variable: Variable) -> Column:
    groups = summary.groups[1:] or summary.groups[:1]
    return np.array([value for group in groups for value in _values(group, variable)], dtype=np.float64)


def _values(group: RawNumberGroup, variable: Variable) -> list[float]:
    """Return numbers that fall into the group's bins; without bins each is another one."""
    ends = (min(variable.edges, default=0.0) - 1, *variable.edges)
    if group.bins:
        values = [
            low + 1e-9 * place
            for low, part in zip(ends, group.bins, strict=True)
            for place in range(part.persons)
        ]
    else:
        values = [1.0 + place for place in range(group.n)]
    return [*values, *[np.nan] * (group.persons - len(values))]


def _survival(analysis: RawKaplanMeier, members: PersonSet) -> RawContributions:
    days: list[int] = []
    died: list[bool] = []
    levels: list[int] = []
    for curve in analysis.curves:
        times = _times(curve)
        days += [day for day, _ in times]
        died += [event for _, event in times]
        levels += [analysis.levels.index(curve.group) if curve.group in analysis.levels else 0] * len(times)
    return RawContributions(
        members,
        (np.array(levels, dtype=np.float64),) if analysis.levels else (),
        np.array(days, dtype=np.int64),
        np.array(died, dtype=np.bool_),
    )


def _times(curve: RawCurve) -> list[tuple[int, bool]]:
    """Who neither died nor was censored is followed a day longer than everybody else."""
    found = []
    for day, events, censored in zip(curve.days, curve.events_at, curve.censored_at, strict=True):
        found += [(day, True)] * events + [(day, False)] * censored
    rest = curve.persons - len(found)
    return found + [(max(curve.days, default=0) + 1, False)] * rest
