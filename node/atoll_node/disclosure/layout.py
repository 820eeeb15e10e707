"""Lay the counts of each kind of answer out on a sheet."""

from atoll_node.disclosure.attrition import step_key
from atoll_node.disclosure.numbers import Span, binned_groups, spans
from atoll_node.disclosure.sheet import BOOKKEEPING, COHORT, Contradiction, Key, Line, Sheet, add_table
from atoll_node.raw import (
    RawAggregate,
    RawCategory,
    RawCount,
    RawCrosstab,
    RawKaplanMeier,
    RawNumber,
    RawTable1,
)
from atoll_node.settings import GateSettings
from atoll_schemas.query import (
    TOTAL,
    KaplanMeier,
    Method,
    Query,
    Table1,
)

_METHODS: dict[type, Method] = {
    RawCount: "count",
    RawTable1: "table1",
    RawCrosstab: "crosstab",
    RawKaplanMeier: "kaplan_meier",
}


def laid_out(raw: RawAggregate, query: Query, settings: GateSettings) -> Sheet:
    """Return every count of the answer. Raises ``Contradiction`` when figures disagree."""
    if _METHODS[type(raw.analysis)] != query.analysis.method:
        raise Contradiction
    analysis = raw.analysis
    if not isinstance(analysis, RawKaplanMeier) and analysis.persons != len(raw.members):
        raise Contradiction
    sheet = Sheet()
    match analysis:
        case RawCount():
            _count(sheet, analysis)
        case RawTable1():
            _table1(sheet, analysis, query, settings)
        case RawCrosstab():
            sheet.add(COHORT, analysis.persons)
            add_table(sheet, analysis.table, analysis.persons)
        case RawKaplanMeier():
            _curves(sheet, analysis, query)
    return sheet


def _count(sheet: Sheet, analysis: RawCount) -> None:
    sheet.add(COHORT, analysis.persons)
    if not analysis.attrition or analysis.attrition[-1].persons != analysis.persons:
        raise Contradiction
    for index, step in enumerate(analysis.attrition):
        sheet.add(step_key(index, len(analysis.attrition)), step.persons)
    if analysis.by is not None:
        add_table(sheet, analysis.by, analysis.persons)


def _table1(sheet: Sheet, analysis: RawTable1, query: Query, settings: GateSettings) -> None:
    sheet.add(COHORT, analysis.persons)
    if analysis.groups is not None:
        add_table(sheet, analysis.groups, analysis.persons)
    for summary in analysis.summaries:
        if isinstance(summary, RawCategory):
            add_table(sheet, summary.table, analysis.persons)
        else:
            _number(sheet, summary, group_dimension(query), settings)


def group_dimension(query: Query) -> str:
    """Return the name of the variable that makes the groups, or nothing."""
    by = query.analysis.by if isinstance(query.analysis, Table1 | KaplanMeier) else None
    return by.name if by is not None else ""


def group_key(by: str, group: str) -> Key:
    """Name a group's count."""
    return COHORT if group == TOTAL else ((by, group),)


def missing_key(variable: str, by: str, group: str) -> Key:
    """Name the count of a group's persons without a number."""
    return ((f" missing {variable}", ""), *group_key(by, group))


def bin_key(variable: str, by: str, group: str, span: Span) -> Key:
    """Name the count of a group's persons in a run of bins."""
    return ((f" bin {variable}", f"{span.first:03}-{span.last:03}"), *group_key(by, group))


def _number(sheet: Sheet, number: RawNumber, by: str, settings: GateSettings) -> None:
    name, minimum = number.variable, settings.minimum_persons
    runs, binned = spans(number, minimum), binned_groups(number, minimum)
    for group in number.groups:
        sheet.add(group_key(by, group.group), group.persons)
        sheet.add(missing_key(name, by, group.group), group.persons - group.n, soft=True)
        filled: tuple[Key, ...] = (((f" filled {name}", ""), *group_key(by, group.group)),)
        if group.group in binned:
            filled = tuple(bin_key(name, by, group.group, run) for run in runs)
            for run, key in zip(runs, filled, strict=True):
                sheet.add(key, run.persons(group.bins))
        missing = missing_key(name, by, group.group)
        sheet.lines.append(Line(group_key(by, group.group), (missing, *filled)))
    groups = [group.group for group in number.groups if group.group != TOTAL]
    if groups:
        parts = tuple(missing_key(name, by, group) for group in groups)
        sheet.lines.append(Line(missing_key(name, by, TOTAL), parts))
    shown = [group for group in binned if group != TOTAL]
    for run in runs if shown else ():
        parts = tuple(bin_key(name, by, group, run) for group in shown)
        sheet.lines.append(
            Line(bin_key(name, by, TOTAL, run), (*parts, ((f" others {name}", f"{run.first}"),)))
        )


def curve_groups(analysis: RawKaplanMeier) -> tuple[str, ...]:
    """Return every group that can have a curve, also those in which nobody is: absence would tell 0."""
    return tuple(dict.fromkeys([*analysis.levels, *(curve.group for curve in analysis.curves)])) or (TOTAL,)


def _curves(sheet: Sheet, analysis: RawKaplanMeier, query: Query) -> None:
    by = group_dimension(query)
    persons = {curve.group: curve.persons for curve in analysis.curves}
    sheet.add(COHORT, sum(persons.values()))
    if not by:
        return
    groups = curve_groups(analysis)
    keys = tuple(group_key(by, group) for group in groups)
    for group, key in zip(groups, keys, strict=True):
        sheet.add(key, persons.get(group, 0), soft=group in BOOKKEEPING)
    sheet.lines.append(Line(COHORT, keys))
    sheet.margins[by] = keys
