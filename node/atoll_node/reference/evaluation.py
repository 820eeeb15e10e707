"""Evaluate a query over rows: cohort, variables, method."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from atoll_node.errors import EngineError
from atoll_node.raw import (
    RawAggregate,
    RawAnalysis,
    RawBin,
    RawCategory,
    RawContributions,
    RawCount,
    RawCrosstab,
    RawKaplanMeier,
    RawLogRank,
    RawNumber,
    RawNumberGroup,
    RawStep,
    RawTable,
    RawTable1,
)
from atoll_node.reference.cohort import Selected, Stay, select
from atoll_node.reference.events import question
from atoll_node.reference.rows import Cdm, Tables, day
from atoll_node.reference.survival import Time, curve, log_rank
from atoll_node.reference.variables import (
    Member,
    bins_of,
    is_of,
    level_of,
    levels_of,
    number_of,
    within,
)
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import (
    MISSING,
    TOTAL,
    AnyOf,
    Count,
    Crosstab,
    Death,
    Event,
    KaplanMeier,
    Query,
    Table1,
    Variable,
)
from atoll_schemas.results import Dimension
from atoll_schemas.tables import DOMAINS


def evaluate(tables: Tables, query: Query) -> RawAggregate:
    """Return what an engine must return for the query on these tables (names and fields of ``core@1``).

    Raises ``EngineError`` when a number without edges is asked for as a category.
    """
    cdm = Cdm(tables)
    selected = select(question(cdm, query.cohort))
    members = members_of(selected.stays)
    return RawAggregate(
        analysis=_analysis(cdm, query, selected, members),
        members=np.array([member.person_id for member in members], dtype=np.int64),
        engine_milliseconds=0,
        contributions=_contributions(cdm, query, selected, members),
    )


def _contributions(cdm: Cdm, query: Query, selected: Selected, members: Sequence[Member]) -> RawContributions:
    """Return what each person contributes to the figures: variables in the question's order, then ``by``."""
    analysis = query.analysis
    persons = np.array([member.person_id for member in members], dtype=np.int64)
    by = analysis.by if isinstance(analysis, Table1 | KaplanMeier) else None
    grouped = () if by is None else (_levels(cdm, by, members),)
    if isinstance(analysis, KaplanMeier):
        times = [_followed(cdm, analysis, member) for member in members]
        days = np.array([day for day, _ in times], dtype=np.int64)
        return RawContributions(persons, grouped, days, np.array([died for _, died in times], dtype=np.bool_))
    if isinstance(analysis, Count):
        left = _left(analysis, selected)
        left = left if _can_end_before(query.cohort) else left[:-1]
        steps = tuple(np.array(sorted(step), dtype=np.int64) for step in left)
        return RawContributions(persons, tuple(_levels(cdm, it, members) for it in analysis.by), steps=steps)
    numbers = isinstance(analysis, Table1)
    columns = tuple(
        _numbers(cdm, variable, members) if numbers and variable.numeric else _levels(cdm, variable, members)
        for variable in analysis.variables
    )
    return RawContributions(persons, (*columns, *grouped))


def _levels(cdm: Cdm, variable: Variable, members: Sequence[Member]) -> NDArray[np.float64]:
    labels = levels_of(variable)
    found = [labels.index(level_of(cdm, variable, member)) for member in members]
    return np.array(found, dtype=np.float64)


def _numbers(cdm: Cdm, variable: Variable, members: Sequence[Member]) -> NDArray[np.float64]:
    found = [number_of(cdm, variable, member) for member in members]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def cohort_of(tables: Tables, expression: CohortExpression) -> tuple[Stay, ...]:
    """Return the rows of the cohort: person, start and end."""
    return select(question(Cdm(tables), expression)).stays


def members_of(stays: Sequence[Stay]) -> list[Member]:
    """Return each person once, with the earliest day in the cohort, in the order of their keys."""
    persons = sorted({stay.person_id for stay in stays})
    return [
        Member(person, min(stay.start for stay in stays if stay.person_id == person)) for person in persons
    ]


def _analysis(cdm: Cdm, query: Query, selected: Selected, members: Sequence[Member]) -> RawAnalysis:
    analysis = query.analysis
    if isinstance(analysis, Count):
        table = _table(cdm, analysis.by, members) if analysis.by else None
        left = [len(persons) for persons in _left(analysis, selected)]
        return RawCount(len(members), _attrition(query.cohort, left, len(members)), table)
    if isinstance(analysis, Crosstab):
        return RawCrosstab(len(members), _table(cdm, analysis.variables, members))
    if isinstance(analysis, Table1):
        return _table1(cdm, analysis, members)
    return _kaplan_meier(cdm, analysis, members)


def _left(analysis: Count, selected: Selected) -> tuple[frozenset[int], ...]:
    return selected.persons_left(best=analysis.attrition == "best_event")


def _attrition(expression: CohortExpression, left: Sequence[int], persons: int) -> tuple[RawStep, ...]:
    """Persons with an entry event, then with one that passes the rules so far (``left``).

    A last step ``in cohort`` stands where the end or the censor window can leave a person no day.
    """
    names = ["entry events"]
    names += [
        rule.name.strip() or f"rule {number}"
        for number, rule in enumerate(expression.inclusion_rules, start=1)
    ]
    steps = [RawStep(name, persons_left) for name, persons_left in zip(names, left, strict=True)]
    return (*steps, RawStep("in cohort", persons)) if _can_end_before(expression) else tuple(steps)


def _can_end_before(expression: CohortExpression) -> bool:
    window, strategy = expression.censor_window, expression.end_strategy
    offset = None if strategy is None else strategy.date_offset
    early = offset is not None and (offset.offset < 0 or offset.date_field == "EndDate")
    return early or window.start_date is not None or window.end_date is not None


def _check_levels(variable: Variable) -> None:
    if variable.numeric and not variable.edges:
        raise EngineError(
            "engine.edges",
            f"the number {variable.name} is used as a category without bins",
            "declare the variable's edges",
        )


def _table(cdm: Cdm, variables: Sequence[Variable], members: Sequence[Member]) -> RawTable:
    for variable in variables:
        _check_levels(variable)
    dimensions = tuple(Dimension(name=variable.name, levels=levels_of(variable)) for variable in variables)
    persons = dict.fromkeys(itertools.product(*(dimension.levels for dimension in dimensions)), 0)
    for member in members:
        persons[tuple(level_of(cdm, variable, member) for variable in variables)] += 1
    return RawTable(dimensions, persons)


def _table1(cdm: Cdm, analysis: Table1, members: Sequence[Member]) -> RawTable1:
    by = analysis.by
    summaries = tuple(
        _number(cdm, variable, by, members)
        if variable.numeric
        else RawCategory(variable.name, _table(cdm, (variable,) if by is None else (variable, by), members))
        for variable in analysis.variables
    )
    return RawTable1(len(members), None if by is None else _table(cdm, (by,), members), summaries)


def _number(cdm: Cdm, variable: Variable, by: Variable | None, members: Sequence[Member]) -> RawNumber:
    groups = {TOTAL: list(members)}
    if by is not None:
        _check_levels(by)
        for label in levels_of(by):
            groups[label] = [member for member in members if level_of(cdm, by, member) == label]
    return RawNumber(
        variable.name,
        variable.unit,
        tuple(_number_group(cdm, variable, label, group) for label, group in groups.items()),
    )


def _number_group(cdm: Cdm, variable: Variable, label: str, group: Sequence[Member]) -> RawNumberGroup:
    found = [number_of(cdm, variable, member) for member in group]
    values = [value for value in found if value is not None]
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact) if exact else Fraction(0)
    return RawNumberGroup(
        group=label,
        persons=len(group),
        n=len(values),
        mean=float(mean),
        m2=float(sum(((value - mean) ** 2 for value in exact), Fraction(0))),
        absolute_sum=float(sum((abs(value) for value in exact), Fraction(0))),
        largest=tuple(sorted((abs(value) for value in values), reverse=True)[:2]),
        bins=tuple(
            RawBin(low, high, sum(within(value, low, high) for value in values))
            for low, high in bins_of(variable)
        ),
    )


def _kaplan_meier(cdm: Cdm, analysis: KaplanMeier, members: Sequence[Member]) -> RawKaplanMeier:
    by = analysis.by
    if by is not None:
        _check_levels(by)
    times = [
        Time(TOTAL if by is None else level_of(cdm, by, member), *_followed(cdm, analysis, member))
        for member in members
    ]
    labels = (TOTAL,) if by is None else levels_of(by)
    filled = [label for label in labels if any(time.group == label for time in times)]
    test = None if by is None else _compared(filled, times)
    levels = () if by is None else tuple(labels)
    return RawKaplanMeier(analysis.outcome.name, tuple(curve(label, times) for label in filled), test, levels)


def _compared(labels: Sequence[str], times: Sequence[Time]) -> RawLogRank:
    """Compare the groups of persons who have a value, as R leaves out those who have none."""
    return log_rank(
        [label for label in labels if label != MISSING], [time for time in times if time.group != MISSING]
    )


def _followed(cdm: Cdm, analysis: KaplanMeier, member: Member) -> tuple[int, bool]:
    """Days to the outcome, if it falls before censoring or on its day; else the days to censoring.

    Censoring is at the end of the observation period that contains the index (of several, the latest),
    at the index where none does, and never after ``max_days``.
    """
    ends = [
        (end - member.index).days
        for row in cdm.rows_of("observation_period", member.person_id)
        if (start := day(row, "observation_period_start_date")) is not None
        and (end := day(row, "observation_period_end_date")) is not None
        and start <= member.index <= end
    ]
    last = max(ends, default=0)
    if analysis.max_days is not None:
        last = min(last, analysis.max_days)
    definition = analysis.outcome.definition
    outcomes = definition.outcomes if isinstance(definition, AnyOf) else (definition,)
    days = [found for outcome in outcomes for found in _outcome_days(cdm, outcome, member)]
    first = min(days, default=None)
    return (last, False) if first is None or first > last else (first, True)


def _outcome_days(cdm: Cdm, outcome: Death | Event, member: Member) -> list[int]:
    """Days from the index: a death on it counts as day 0, another event only after it."""
    domain = DOMAINS["death" if isinstance(outcome, Death) else outcome.domain]
    days = []
    for row in cdm.rows_of(domain.table, member.person_id):
        start = day(row, domain.start_date)
        if start is None or not (isinstance(outcome, Death) or is_of(cdm, row, domain, outcome.codes)):
            continue
        after = (start - member.index).days
        if after > 0 or (after == 0 and isinstance(outcome, Death)):
            days.append(after)
    return days
