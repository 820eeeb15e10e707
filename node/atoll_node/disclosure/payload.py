"""Write a site's answer from its raw figures and the decisions on them. Nothing else makes these types."""

from atoll_node.disclosure import survival
from atoll_node.disclosure.attrition import step_key
from atoll_node.disclosure.layout import (
    bin_key,
    curve_groups,
    group_dimension,
    group_key,
    missing_key,
)
from atoll_node.disclosure.numbers import binned_groups, spans
from atoll_node.disclosure.rounding import counted
from atoll_node.disclosure.rules import Case
from atoll_node.disclosure.sheet import COHORT, Held, table_out
from atoll_node.raw import (
    RawCategory,
    RawCount,
    RawCrosstab,
    RawCurve,
    RawKaplanMeier,
    RawNumber,
    RawNumberGroup,
    RawTable1,
)
from atoll_schemas.cells import Cell, Measured, Withheld, WithholdReason
from atoll_schemas.results import (
    AttritionStep,
    Bin,
    CategorySummary,
    Curve,
    CurveStep,
    LogRank,
    Moments,
    NumberGroup,
    NumberSummary,
    SiteCount,
    SiteCrosstab,
    SiteKaplanMeier,
    SitePayload,
    SiteTable1,
    Summary,
)

DECIMALS = 4
"""Of a survival probability and its standard error."""


def written(case: Case, held: Held) -> SitePayload:
    """Return the answer as it leaves."""
    analysis = case.raw.analysis
    match analysis:
        case RawCount():
            return _count(case, held, analysis)
        case RawTable1():
            return _table1(case, held, analysis)
        case RawCrosstab():
            table = table_out(case.sheet, held, analysis.table.dimensions, case.settings.round_to)
            return SiteCrosstab(persons=_cohort(case, held), table=table)
        case RawKaplanMeier():
            return _kaplan_meier(case, held, analysis)


def _cohort(case: Case, held: Held) -> Cell:
    return held.cell(case.sheet, COHORT, case.settings.round_to)


def _count(case: Case, held: Held, analysis: RawCount) -> SiteCount:
    base, steps = case.settings.round_to, analysis.attrition
    return SiteCount(
        persons=_cohort(case, held),
        attrition=tuple(
            AttritionStep(name=step.name, persons=held.cell(case.sheet, step_key(index, len(steps)), base))
            for index, step in enumerate(steps)
        ),
        by=None if analysis.by is None else table_out(case.sheet, held, analysis.by.dimensions, base),
    )


def _table1(case: Case, held: Held, analysis: RawTable1) -> SiteTable1:
    base = case.settings.round_to
    groups = analysis.groups
    return SiteTable1(
        persons=_cohort(case, held),
        groups=None if groups is None else table_out(case.sheet, held, groups.dimensions, base),
        summaries=tuple(_summary(case, held, summary) for summary in analysis.summaries),
    )


def _summary(case: Case, held: Held, summary: RawNumber | RawCategory) -> Summary:
    if isinstance(summary, RawCategory):
        table = table_out(case.sheet, held, summary.table.dimensions, case.settings.round_to)
        return CategorySummary(variable=summary.variable, table=table)
    groups = tuple(_number_group(case, held, summary, group) for group in summary.groups)
    return NumberSummary(variable=summary.variable, unit=summary.unit, groups=groups)


def _number_group(case: Case, held: Held, number: RawNumber, group: RawNumberGroup) -> NumberGroup:
    base, by = case.settings.round_to, group_dimension(case.query)
    persons = held.cell(case.sheet, group_key(by, group.group), base)
    return NumberGroup(
        group=group.group,
        persons=persons,
        missing=held.cell(case.sheet, missing_key(number.variable, by, group.group), base),
        moments=_moments(held, number, group),
        bins=() if isinstance(persons, Withheld) else _bins(case, held, number, group),
    )


def _moments(held: Held, number: RawNumber, group: RawNumberGroup) -> Moments | Withheld:
    reason = held.moments.get((number.variable, group.group))
    if held.everything:
        reason = WithholdReason.PROTECTED
    if reason is not None:
        return Withheld(reason=reason)
    return Moments(n=group.n, mean=group.mean, m2=group.m2)


def _bins(case: Case, held: Held, number: RawNumber, group: RawNumberGroup) -> tuple[Bin, ...]:
    minimum, by = case.settings.minimum_persons, group_dimension(case.query)
    if group.group not in binned_groups(number, minimum):
        return ()
    return tuple(
        Bin(
            low=run.low,
            high=run.high,
            persons=held.cell(
                case.sheet, bin_key(number.variable, by, group.group, run), case.settings.round_to
            ),
        )
        for run in spans(number, minimum)
    )


def _kaplan_meier(case: Case, held: Held, analysis: RawKaplanMeier) -> SiteKaplanMeier:
    curves = {curve.group: curve for curve in analysis.curves}
    groups = curve_groups(analysis)
    return SiteKaplanMeier(
        outcome=analysis.outcome,
        curves=tuple(_curve(case, held, group, curves.get(group)) for group in groups),
        log_rank=_log_rank(held, analysis) if group_dimension(case.query) else None,
    )


def _curve(case: Case, held: Held, group: str, raw: RawCurve | None) -> Curve:
    key = group_key(group_dimension(case.query), group)
    persons = held.cell(case.sheet, key, case.settings.round_to)
    if raw is None or isinstance(persons, Withheld):
        return Curve(group=group, persons=Withheld(), events=Withheld(), steps=(), median=Withheld())
    too_few = Withheld(reason=WithholdReason.TOO_FEW_EVENTS)
    if group in held.curves:
        return Curve(group=group, persons=persons, events=Withheld(), steps=(), median=too_few)
    shown = survival.steps(raw, case.settings, getattr(case.query.analysis, "max_days", None))
    day = survival.median(shown)
    return Curve(
        group=group,
        persons=persons,
        events=counted(raw.events, case.settings.round_to),
        steps=_steps(case, raw, shown),
        median=too_few if day is None else Measured(value=day),
    )


def _steps(case: Case, raw: RawCurve, shown: tuple[survival.Step, ...]) -> tuple[CurveStep, ...]:
    hidden = survival.hidden_at_risk(raw, shown, case.settings)
    return tuple(
        CurveStep(
            day=step.day,
            survival=round(step.survival, DECIMALS),
            std_err=round(step.std_err, DECIMALS),
            at_risk=Withheld() if place in hidden else counted(step.at_risk, case.settings.round_to),
        )
        for place, step in enumerate(shown)
    )


def _log_rank(held: Held, analysis: RawKaplanMeier) -> LogRank | Withheld:
    test = analysis.log_rank
    if test is None or held.log_rank is not None:
        return Withheld(reason=held.log_rank or WithholdReason.TOO_FEW_EVENTS)
    return LogRank(groups=test.groups, observed=test.observed, expected=test.expected, variance=test.variance)
