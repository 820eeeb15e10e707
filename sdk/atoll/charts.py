"""Draw results as Vega-Lite 5 specifications: plain values, so that no plotting library is needed here."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from atoll.sheets import interval
from atoll.views import shown, verdict
from atoll_schemas.cells import Pooled, PooledCell
from atoll_schemas.query import TOTAL
from atoll_schemas.results import (
    Curve,
    CurveStep,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedTable,
    MergedTable1,
    Result,
    StratifiedLogRank,
)

Spec = dict[str, Any]
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.20.0.json"
_PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
"""Okabe and Ito's colours, told apart by colour-blind readers too; black instead of yellow on white."""
_INK, _GREY, _RULE = "#1b2733", "#5b6b7b", "#e3e8ee"
_Z95 = 1.959964
_PANEL = 260


def spec_of(result: Result) -> Spec | None:
    """Return the chart of a result; ``None`` when no site answered or nothing may be shown."""
    payload = result.merged
    match payload:
        case MergedKaplanMeier():
            return _curves(payload, result)
        case MergedCount():
            rows = [{"label": step.name, **_bar(step.persons)} for step in payload.attrition]
            rows.append({"label": "cohort", **_bar(payload.persons)})
            return _framed(_bars(rows), "Persons after each rule", result)
        case MergedCrosstab():
            return _framed(_panels(list(_cells(payload.table))), _by("Persons", payload.table), result)
        case MergedTable1():
            rows = [row for summary in payload.summaries for row in _summary(summary)]
            if not rows:
                return None
            return _framed(_panels(rows), "Baseline characteristics", result)
        case None:
            return None


def _framed(spec: Spec, title: str, result: Result, *more: str) -> Spec:
    subtitle = [f"{_answered(result)} · dataset {result.dataset} · query {result.query_id}", *more]
    return {
        "$schema": _SCHEMA,
        "title": {
            "text": title,
            "subtitle": subtitle,
            "anchor": "start",
            "fontSize": 17,
            "subtitleFontSize": 12,
            "subtitleColor": _GREY,
            "subtitlePadding": 6,
            "offset": 14,
            "color": _INK,
        },
        "background": "white",
        "padding": 18,
        "config": {
            "font": "Helvetica Neue, Arial, sans-serif",
            "view": {"stroke": None},
            "axis": {
                "labelColor": _GREY,
                "titleColor": _INK,
                "titleFontWeight": "normal",
                "gridColor": _RULE,
                "domainColor": "#9aa7b4",
                "tickColor": "#9aa7b4",
                "labelFontSize": 11,
                "titleFontSize": 12,
            },
            "header": {"labelColor": _INK, "labelFontSize": 13, "labelFontWeight": "bold", "title": None},
            "legend": {"labelColor": _INK, "titleColor": _GREY, "labelFontSize": 12, "symbolStrokeWidth": 3},
        },
        **spec,
    }


def _answered(result: Result) -> str:
    """Return ``2 of 3 sites (without south)``."""
    silent = [site.site for site in result.sites if site.state != "answered"]
    return f"{result.headline} (without {', '.join(silent)})" if silent else result.headline


def _curves(payload: MergedKaplanMeier, result: Result) -> Spec | None:
    rows = [
        {"site": site.site, "group": _group(curve), **_step(step)}
        for site in payload.sites
        for curve in site.curves
        for step in _from_the_start(curve)
    ]
    if not rows:
        return None
    bare = [site.site for site in payload.sites if not any(curve.steps for curve in site.curves)]
    groups = list(dict.fromkeys(str(row["group"]) for row in rows))
    test = payload.log_rank
    more = [f"Log-rank stratified by site: {verdict(test)}"] if isinstance(test, StratifiedLogRank) else []
    more.append("Steps at 10 or more events; bands are 95 % intervals (log, Greenwood)")
    if bare:
        more.append(f"Too few events for a curve: {', '.join(bare)}")
    spec: Spec = {
        "data": {"values": rows},
        "facet": {"field": "site", "type": "nominal", "header": {"labelAnchor": "start"}},
        "columns": 3,
        "spacing": 24,
        "spec": {"width": _PANEL, "height": 240, "layer": [_band(groups), _line(groups)]},
    }
    return _framed(spec, f"Time to {payload.outcome.replace('_', ' ')}", result, *more)


def _group(curve: Curve) -> str:
    return "all" if curve.group == TOTAL else curve.group


def _from_the_start(curve: Curve) -> tuple[CurveStep, ...]:
    """Return the shown steps after day 0, at which everybody is event-free by definition."""
    if not curve.steps or curve.steps[0].day == 0:
        return curve.steps
    start = CurveStep(day=0, survival=1.0, std_err=0.0, at_risk=curve.persons)
    return (start, *curve.steps)


def _step(step: CurveStep) -> dict[str, Any]:
    """Return a step with its 95 % interval on the log scale, as R's survfit gives by default."""
    spread = math.exp(_Z95 * step.std_err / step.survival) if step.survival > 0 else 1.0
    return {
        "day": step.day,
        "survival": step.survival,
        "lower": step.survival / spread,
        "upper": min(1.0, step.survival * spread),
        "at_risk": shown(step.at_risk),
    }


def _colour(groups: Sequence[str]) -> Spec:
    legend = (
        {"orient": "top", "title": None, "symbolType": "stroke", "symbolOpacity": 1}
        if len(groups) > 1
        else None
    )
    return {
        "field": "group",
        "type": "nominal",
        "sort": list(groups),
        "scale": {"domain": list(groups), "range": _PALETTE},
        "legend": legend,
    }


def _days() -> Spec:
    return {
        "field": "day",
        "type": "quantitative",
        "title": "Days since index",
        "scale": {"nice": True},
        "axis": {"tickCount": 5, "grid": False, "format": ",d"},
    }


def _line(groups: Sequence[str]) -> Spec:
    return {
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.2, "clip": True},
        "encoding": {
            "x": _days(),
            "y": {
                "field": "survival",
                "type": "quantitative",
                "title": "Event-free",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "tickCount": 5},
            },
            "color": _colour(groups),
            "tooltip": [
                {"field": "site", "type": "nominal"},
                {"field": "group", "type": "nominal"},
                {"field": "day", "type": "quantitative"},
                {"field": "survival", "type": "quantitative", "format": ".3f"},
                {"field": "at_risk", "type": "nominal", "title": "at risk"},
            ],
        },
    }


def _band(groups: Sequence[str]) -> Spec:
    return {
        "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.13, "clip": True},
        "encoding": {
            "x": _days(),
            "y": {"field": "lower", "type": "quantitative", "title": "Event-free"},
            "y2": {"field": "upper"},
            "color": _colour(groups),
        },
    }


def _bar(persons: PooledCell) -> dict[str, Any]:
    """Return a bar: withheld persons have no length, only the word."""
    if isinstance(persons, Pooled):
        return {"persons": persons.value, "text": shown(persons)}
    return {"persons": None, "place": 0, "text": shown(persons)}


def _by(title: str, table: MergedTable) -> str:
    return f"{title} by {' and '.join(dimension.name for dimension in table.dimensions)}"


def _cells(table: MergedTable) -> Iterator[dict[str, Any]]:
    """Yield inner cells: bars by the last dimension, in panels of the ones before it."""
    for part in table.cells:
        if TOTAL not in part.levels:
            *panel, label = part.levels
            yield {"panel": " · ".join(panel), "label": label, **_bar(part.persons)}


def _summary(summary: Any) -> Iterator[dict[str, Any]]:
    if isinstance(summary, MergedNumber):
        unit = f" ({summary.unit})" if summary.unit else ""
        for group in summary.groups:
            # One bin that holds everybody says nothing of a distribution.
            for part in group.bins if len(group.bins) > 1 else ():
                label = interval(part.low, part.high)
                yield {
                    "panel": _panel(summary.variable + unit, group.group),
                    "label": label,
                    **_bar(part.persons),
                }
        return
    for part in summary.table.cells:
        level, *group = part.levels
        if level != TOTAL:
            yield {
                "panel": _panel(summary.variable, group[0] if group else TOTAL),
                "label": level,
                **_bar(part.persons),
            }


def _panel(variable: str, group: str) -> str:
    return variable if group == TOTAL else f"{variable} · {group}"


def _panels(rows: list[dict[str, Any]]) -> Spec:
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    inner = _bars(rows)
    return {
        "data": inner.pop("data"),
        "facet": {"field": "panel", "type": "nominal", "sort": panels, "header": {"labelAnchor": "start"}},
        "columns": 3 if len(panels) % 3 == 0 else 2,
        "spacing": 22,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {"width": _PANEL, **inner},
    }


def _bars(rows: list[dict[str, Any]]) -> Spec:
    order = list(dict.fromkeys(row["label"] for row in rows))
    across = {"field": "label", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 220}}
    longest = max((row["persons"] or 0 for row in rows), default=0)
    persons = {
        "field": "persons",
        "type": "quantitative",
        "title": "Persons (rounded)",
        "scale": {"domain": [0, max(1, longest * 1.18)], "nice": False},
        "axis": {"tickCount": 4, "format": ",d"},
    }
    label = {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": _INK}
    return {
        "data": {"values": rows},
        "height": {"step": 24},
        "width": 420,
        "layer": [
            {
                "mark": {"type": "bar", "color": _PALETTE[0], "height": 15},
                "encoding": {"x": persons, "y": across},
            },
            {
                "mark": label,
                "transform": [{"filter": "datum.persons !== null"}],
                "encoding": {"x": persons, "y": across, "text": {"field": "text", "type": "nominal"}},
            },
            {
                "mark": {**label, "fontStyle": "italic", "color": _GREY},
                "transform": [{"filter": "datum.persons === null"}],
                "encoding": {
                    "x": {"field": "place", "type": "quantitative"},
                    "y": across,
                    "text": {"field": "text", "type": "nominal"},
                },
            },
        ],
    }
