"""Lay a result out as one tidy sheet: what CSV files and data frames hold. A withheld number has no value."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from atoll_schemas.cells import Counted, Measured, Pooled, Withheld
from atoll_schemas.results import (
    MergedCategory,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedNumberGroup,
    MergedPayload,
    MergedTable,
    MergedTable1,
)

Kind = Literal["text", "integer", "number"]
Value = str | int | float | None
Row = dict[str, Value]
_INTEGERS = frozenset({"persons", "half_width_persons", "sites", "withheld_sites", "day", "at_risk"})
_NUMBERS = frozenset({"value", "half_width", "survival", "std_err"})
CELL_COLUMNS = ("persons", "status", "reason", "half_width_persons", "sites", "withheld_sites")


@dataclass(frozen=True)
class Sheet:
    """Named columns and their rows; ``None`` stands for absent and is explained by ``status``."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def kind(self, column: str) -> Kind:
        """Return what a column holds."""
        if column in _INTEGERS:
            return "integer"
        return "number" if column in _NUMBERS else "text"

    def values(self, column: str) -> list[Value]:
        """Return one column."""
        return [row.get(column) for row in self.rows]


def sheet_of(payload: MergedPayload) -> Sheet:
    """Return the sheet of any merged answer."""
    rows: Iterable[Row]
    match payload:
        case MergedCount():
            columns, rows = _count(payload)
        case MergedTable1():
            columns, rows = _table1(payload)
        case MergedCrosstab():
            columns, rows = _crosstab(payload)
        case MergedKaplanMeier():
            columns, rows = _kaplan_meier(payload)
    return Sheet(columns, tuple(rows))


def cell(persons: Pooled | Counted | Withheld) -> Row:
    """Return a count as columns; ``at least`` means that some sites withheld their share."""
    if isinstance(persons, Withheld):
        return {"status": "withheld", "reason": persons.reason.value}
    if isinstance(persons, Counted):
        return {"persons": persons.value, "status": "total", "half_width_persons": persons.half_width}
    return {
        "persons": persons.value,
        "status": "at least" if persons.withheld else "total",
        "half_width_persons": persons.half_width,
        "sites": persons.sites,
        "withheld_sites": persons.withheld,
    }


def figure(value: Measured | Withheld) -> Row:
    """Return a figure that is no count as columns."""
    if isinstance(value, Withheld):
        return {"status": "withheld", "reason": value.reason.value}
    return {"value": value.value, "status": "total"}


def _table_rows(table: MergedTable) -> Iterator[Row]:
    names = [dimension.name for dimension in table.dimensions]
    for part in table.cells:
        yield {**dict(zip(names, part.levels, strict=True)), **cell(part.persons)}


def _count(payload: MergedCount) -> tuple[tuple[str, ...], list[Row]]:
    rows: list[Row] = [
        {"section": "attrition", "step": step.name, **cell(step.persons)} for step in payload.attrition
    ]
    rows.append({"section": "cohort", "step": "persons", **cell(payload.persons)})
    names: tuple[str, ...] = ()
    if payload.by is not None:
        names = tuple(dimension.name for dimension in payload.by.dimensions)
        rows.extend({"section": "by", **row} for row in _table_rows(payload.by))
    return ("section", "step", *names, *CELL_COLUMNS), rows


def _crosstab(payload: MergedCrosstab) -> tuple[tuple[str, ...], list[Row]]:
    names = tuple(dimension.name for dimension in payload.table.dimensions)
    return (*names, *CELL_COLUMNS), list(_table_rows(payload.table))


def _table1(payload: MergedTable1) -> tuple[tuple[str, ...], list[Row]]:
    rows: list[Row] = []
    for summary in payload.summaries:
        if isinstance(summary, MergedCategory):
            rows.extend(_category(summary))
        else:
            rows.extend(row for group in summary.groups for row in _number(summary, group))
    columns = ("variable", "unit", "group", "level", "statistic", "value", "half_width", *CELL_COLUMNS)
    return columns, rows


def _category(summary: MergedCategory) -> Iterator[Row]:
    for part in summary.table.cells:
        level, *group = part.levels
        yield {
            "variable": summary.variable,
            "group": group[0] if group else "*",
            "level": level,
            "statistic": "persons",
            **cell(part.persons),
        }


def _number(summary: MergedNumber, group: MergedNumberGroup) -> Iterator[Row]:
    same: Row = {"variable": summary.variable, "unit": summary.unit, "group": group.group}
    yield {**same, "statistic": "persons", **cell(group.persons)}
    yield {**same, "statistic": "missing", **cell(group.missing)}
    yield {**same, "statistic": "mean", **figure(group.mean), "sites": group.sites}
    yield {**same, "statistic": "sd", **figure(group.sd), "sites": group.sites}
    for quantile in group.quantiles:
        name = f"q{round(quantile.probability * 100)}"
        found: Row = {"value": quantile.value, "half_width": quantile.half_width, "status": "total"}
        yield {**same, "statistic": name, **found}
    for part in group.bins:
        yield {**same, "statistic": "bin", "level": interval(part.low, part.high), **cell(part.persons)}


def _kaplan_meier(payload: MergedKaplanMeier) -> tuple[tuple[str, ...], list[Row]]:
    rows: list[Row] = []
    for site in payload.sites:
        for curve in site.curves:
            for step in curve.steps:
                at_risk = cell(step.at_risk)
                rows.append(
                    {
                        "site": site.site,
                        "group": curve.group,
                        "day": step.day,
                        "survival": step.survival,
                        "std_err": step.std_err,
                        "at_risk": at_risk.get("persons"),
                        "at_risk_status": at_risk["status"],
                    }
                )
    return ("site", "group", "day", "survival", "std_err", "at_risk", "at_risk_status"), rows


def interval(low: float | None, high: float | None) -> str:
    """Return ``[40, 50)``, ``< 40`` or ``>= 80``, as the sites label bins."""
    if low is None and high is None:
        return "all"
    if low is None:
        return f"< {high:g}"
    return f">= {low:g}" if high is None else f"[{low:g}, {high:g})"
