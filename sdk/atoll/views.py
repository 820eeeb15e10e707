"""Lay a result out for the eye: small tables of text that terminal, pipe and notebook share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from atoll_schemas.cells import Counted, Measured, Pooled, Withheld
from atoll_schemas.query import MISSING, OTHER, TOTAL
from atoll_schemas.results import (
    Curve,
    MergedCategory,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedNumberGroup,
    MergedPayload,
    MergedTable,
    MergedTable1,
    Result,
    SiteOutcome,
    StratifiedLogRank,
)

WITHHELD = "withheld"
NOT_SHOWN = "not shown"
NO_MEDIAN = "not reached or withheld"
_ALL = "all"
_FOLDABLE = frozenset({OTHER, MISSING})
_SILENT = frozenset({WITHHELD, NOT_SHOWN, ""})


@dataclass(frozen=True)
class View:
    """One table to look at. The first column is text, the others are figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def shown(cell: Pooled | Counted | Withheld | Measured) -> str:
    """Return ``1,250``, ``≥ 120`` when sites withheld their share, or ``withheld``."""
    if isinstance(cell, Withheld):
        return WITHHELD
    if isinstance(cell, Measured):
        return number(cell.value)
    floor = "≥ " if isinstance(cell, Pooled) and cell.withheld else ""
    return f"{floor}{cell.value:,}"


def number(value: float) -> str:
    """Return a figure with as many digits as a table needs."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def views(result: Result) -> tuple[View, ...]:
    """Return what there is to see of a result: its figures, then how each site fared."""
    figures = _figures(result.merged) if result.merged is not None else ()
    return (*figures, sites_view(result.sites))


def _figures(payload: MergedPayload) -> tuple[View, ...]:
    match payload:
        case MergedCount():
            return _count(payload)
        case MergedTable1():
            return (_table1(payload),)
        case MergedCrosstab():
            return (_table(payload.table, "Persons"),)
        case MergedKaplanMeier():
            return _kaplan_meier(payload)


def _notes(cells: Sequence[Pooled | Counted | Withheld]) -> tuple[str, ...]:
    """Return what a reader must know of these cells to read them rightly."""
    notes = []
    widest = max((cell.half_width for cell in cells if not isinstance(cell, Withheld)), default=0)
    if widest:
        notes.append(f"Persons are rounded; true counts lie within ±{widest}.")
    if any(isinstance(cell, Pooled) and cell.withheld for cell in cells):
        notes.append("≥: some sites withhold their share, so the figure is a floor, not a total.")
    if any(isinstance(cell, Withheld) for cell in cells):
        notes.append("withheld: too few persons to be shown, or hidden to protect such a number.")
    return tuple(notes)


def _count(payload: MergedCount) -> tuple[View, ...]:
    rows = [(step.name, shown(step.persons)) for step in payload.attrition]
    rows.append(("cohort", shown(payload.persons)))
    cells = [*(step.persons for step in payload.attrition), payload.persons]
    main = View("Attrition", ("step", "persons"), tuple(rows), _notes(cells))
    return (main,) if payload.by is None else (main, _table(payload.by, "Persons"))


def _level(level: str) -> str:
    return _ALL if level == TOTAL else level


def _table(table: MergedTable, title: str) -> View:
    names = tuple(dimension.name for dimension in table.dimensions)
    notes = _notes([part.persons for part in table.cells])
    if len(names) != 2:
        rows = tuple((*map(_level, part.levels), shown(part.persons)) for part in table.cells)
        return View(f"{title} by {' and '.join(names)}", (*names, "persons"), rows, notes)
    cells = {part.levels: shown(part.persons) for part in table.cells}
    across = [*table.dimensions[1].levels, TOTAL]
    grid = tuple(
        (_level(row), *(cells.get((row, column), "") for column in across))
        for row in [*table.dimensions[0].levels, TOTAL]
        if any((row, column) in cells for column in across)
    )
    header = (f"{names[0]} \\ {names[1]}", *map(_level, across))
    return _folded(View(f"{title} by {' and '.join(names)}", header, grid, notes))


def _folded(view: View) -> View:
    """Leave out columns of ``other`` and ``missing`` that show nothing; a note names them instead."""
    silent = [
        index
        for index, name in enumerate(view.header)
        if index and name in _FOLDABLE and all(row[index] in _SILENT for row in view.rows)
    ]
    if not silent:
        return view
    kept = [index for index in range(len(view.header)) if index not in silent]
    levels = ", ".join(view.header[index] for index in silent)
    note = f"level{'s' if len(silent) > 1 else ''} {levels}: withheld everywhere."
    return View(
        view.title,
        tuple(view.header[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in view.rows),
        (*view.notes, note),
    )


def _table1(payload: MergedTable1) -> View:
    groups = _groups(payload)
    rows: list[tuple[str, ...]] = []
    cells: list[Pooled | Counted | Withheld] = [payload.persons]
    for summary in payload.summaries:
        if isinstance(summary, MergedNumber):
            rows.extend(_number_rows(summary, groups))
            cells.extend(group.persons for group in summary.groups)
        else:
            rows.extend(_category_rows(summary, groups))
            cells.extend(part.persons for part in summary.table.cells)
    header = ("variable", *(f"{_level(group)}" for group in groups))
    first = ("persons", *(_group_persons(payload, group) for group in groups))
    view = _folded(View("Baseline characteristics", header, (first, *rows), _notes(cells)))
    if any(NOT_SHOWN in text for row in view.rows for text in row):
        note = f"{NOT_SHOWN}: too few persons on one side of the median or quartile."
        return replace(view, notes=(*view.notes, note))
    return view


def _groups(payload: MergedTable1) -> tuple[str, ...]:
    if payload.groups is None:
        return (TOTAL,)
    return tuple(dict.fromkeys([*payload.groups.dimensions[0].levels, TOTAL]))


def _group_persons(payload: MergedTable1, group: str) -> str:
    if group == TOTAL or payload.groups is None:
        return shown(payload.persons)
    return next((shown(part.persons) for part in payload.groups.cells if part.levels == (group,)), "")


def _category_rows(summary: MergedCategory, groups: tuple[str, ...]) -> list[tuple[str, ...]]:
    grouped = len(summary.table.dimensions) > 1
    cells = {part.levels: shown(part.persons) for part in summary.table.cells}
    return [
        (
            f"{summary.variable}: {level}",
            *(cells.get((level, group) if grouped else (level,), "") for group in groups),
        )
        for level in summary.table.dimensions[0].levels
    ]


def _number_rows(summary: MergedNumber, groups: tuple[str, ...]) -> list[tuple[str, ...]]:
    by_group = {group.group: group for group in summary.groups}
    found = [by_group.get(group) for group in groups]
    unit = f" ({summary.unit})" if summary.unit else ""
    rows = [(f"{summary.variable}{unit}: mean (SD)", *(_mean(group) for group in found))]
    if any(group is not None and group.quantiles for group in found):
        rows.append(
            (f"{summary.variable}{unit}: median [quartiles]", *(_quartiles(group) for group in found))
        )
    return rows


def _mean(group: MergedNumberGroup | None) -> str:
    if group is None:
        return ""
    return WITHHELD if isinstance(group.mean, Withheld) else f"{shown(group.mean)} ({shown(group.sd)})"


def _quartiles(group: MergedNumberGroup | None) -> str:
    """Return ``61 ±5 [54 to 68]``; what too few persons stand behind is ``not shown``."""
    if group is None:
        return ""
    found = {quantile.probability: quantile for quantile in group.quantiles}
    ends = [number(found[p].value) if p in found else NOT_SHOWN for p in (0.25, 0.75)]
    median = found.get(0.5)
    middle = f"{number(median.value)} ±{number(median.half_width)}" if median else NOT_SHOWN
    if not found.keys() & {0.25, 0.75}:
        return middle if median is None else f"{middle} [{NOT_SHOWN}]"
    return f"{middle} [{' to '.join(ends)}]"


def _kaplan_meier(payload: MergedKaplanMeier) -> tuple[View, ...]:
    rows = [
        (site.site, _level(curve.group), shown(curve.persons), shown(curve.events), _median(curve))
        for site in payload.sites
        for curve in site.curves
    ]
    cells = [
        cell for site in payload.sites for curve in site.curves for cell in (curve.persons, curve.events)
    ]
    curves = View(
        f"Time to {payload.outcome}, site by site",
        ("site", "group", "persons", "events", "median days"),
        tuple(rows),
        _notes(cells),
    )
    test = payload.log_rank
    return (curves, _log_rank(test)) if isinstance(test, StratifiedLogRank) else (curves,)


def _median(curve: Curve) -> str:
    return NO_MEDIAN if isinstance(curve.median, Withheld) else f"{curve.median.value:,.0f}"


def _log_rank(test: StratifiedLogRank) -> View:
    rows = tuple(
        (_level(group), f"{observed:g}", f"{expected:.1f}")
        for group, observed, expected in zip(test.groups, test.observed, test.expected, strict=True)
    )
    return View(
        "Log-rank test, stratified by site", ("group", "observed", "expected"), rows, (verdict(test),)
    )


def verdict(test: StratifiedLogRank) -> str:
    """Return ``χ² = 10.1 on 1 degree of freedom, p = 0.0015; north, south``."""
    degrees = f"{test.degrees_of_freedom} degree{'s' if test.degrees_of_freedom > 1 else ''} of freedom"
    return f"χ² = {test.chi_square:.4g} on {degrees}, p {p_value(test.p)}; {', '.join(test.sites)}"


def p_value(p: float) -> str:
    """Return ``= 0.0015`` or ``< 0.0001``."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def sites_view(sites: Sequence[SiteOutcome]) -> View:
    """Return how each site fared."""
    rows = tuple(
        (site.site, site.state.replace("_", " "), site.release or "–", _took(site), _why(site))
        for site in sites
    )
    return View("Sites", ("site", "state", "release", "seconds", "cause"), rows)


def _took(site: SiteOutcome) -> str:
    return "–" if site.milliseconds is None else f"{site.milliseconds / 1000:.2f}"


def _why(site: SiteOutcome) -> str:
    return "" if site.problem is None else site.problem.detail or site.problem.title
