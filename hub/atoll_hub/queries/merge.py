"""Merge the cleared results of several sites into one answer, or refuse: nothing is pooled silently."""

from collections.abc import Mapping
from typing import TypeVar

from atoll_hub.queries.merge_cells import agreed, merged_steps, merged_table, pooled, present_everywhere
from atoll_hub.queries.merge_numbers import FEWEST_PER_SIDE, merged_number
from atoll_hub.queries.merge_refusal import MergeRefused
from atoll_hub.queries.merge_survival import stratified_log_rank
from atoll_schemas.query import Query, Table1
from atoll_schemas.results import (
    CategorySummary,
    ClearedResult,
    MergedCategory,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedPayload,
    MergedTable1,
    NumberSummary,
    SiteCount,
    SiteCrosstab,
    SiteCurves,
    SiteKaplanMeier,
    SitePayload,
    SiteTable1,
    Summary,
)

__all__ = ["MergeRefused", "merge"]

P = TypeVar("P", SiteCount, SiteTable1, SiteCrosstab, SiteKaplanMeier)


def merge(query: Query, cleared: Mapping[str, ClearedResult]) -> MergedPayload | None:
    """Return what the sites' results say together; ``None`` when there is no result.

    The order of the sites does not matter. Raises :class:`MergeRefused` when results do not belong
    together: another query, method, outcome, dimension, level, group, unit or edge.
    """
    if not cleared:
        return None
    results = {site: cleared[site] for site in sorted(cleared)}
    _check_identity(query, results)
    payloads = {site: result.payload for site, result in results.items()}
    match query.analysis.method:
        case "count":
            return _count(_of(SiteCount, payloads))
        case "table1":
            fewest = max(FEWEST_PER_SIDE, *(result.gate.minimum_persons for result in results.values()))
            return _table1(query, _of(SiteTable1, payloads), fewest)
        case "crosstab":
            return _crosstab(_of(SiteCrosstab, payloads))
        case "kaplan_meier":
            return _kaplan_meier(query.analysis.outcome.name, _of(SiteKaplanMeier, payloads))


def _check_identity(query: Query, results: Mapping[str, ClearedResult]) -> None:
    digest = query.digest()
    checks = {
        "merge.site": [site for site, result in results.items() if result.site != site],
        "merge.digest": [site for site, result in results.items() if result.query_digest != digest],
    }
    for code, sites in checks.items():
        if sites:
            raise MergeRefused(code, sites)


def _of(kind: type[P], payloads: Mapping[str, SitePayload]) -> dict[str, P]:
    """Return the payloads as the kind that the query's method asks for."""
    fitting: dict[str, P] = {site: payload for site, payload in payloads.items() if isinstance(payload, kind)}
    if len(fitting) < len(payloads):
        raise MergeRefused("merge.method", payloads.keys() - fitting.keys())
    return fitting


def _count(answers: Mapping[str, SiteCount]) -> MergedCount:
    tables = present_everywhere("merge.dimensions", {site: answer.by for site, answer in answers.items()})
    return MergedCount(
        persons=pooled(answer.persons for answer in answers.values()),
        attrition=merged_steps({site: answer.attrition for site, answer in answers.items()}),
        by=merged_table(tables) if tables else None,
    )


def _crosstab(answers: Mapping[str, SiteCrosstab]) -> MergedCrosstab:
    return MergedCrosstab(
        persons=pooled(answer.persons for answer in answers.values()),
        table=merged_table({site: answer.table for site, answer in answers.items()}),
    )


def _table1(query: Query, answers: Mapping[str, SiteTable1], fewest: int) -> MergedTable1:
    groups = present_everywhere("merge.groups", {site: answer.groups for site, answer in answers.items()})
    rows = agreed(
        "merge.variables",
        {
            site: tuple((summary.kind, summary.variable) for summary in answer.summaries)
            for site, answer in answers.items()
        },
    )
    edges = _declared_edges(query)
    return MergedTable1(
        persons=pooled(answer.persons for answer in answers.values()),
        groups=merged_table(groups) if groups else None,
        summaries=tuple(
            _summary({site: answer.summaries[index] for site, answer in answers.items()}, edges, fewest)
            for index, _ in enumerate(rows)
        ),
    )


def _declared_edges(query: Query) -> dict[str, tuple[float, ...]]:
    if not isinstance(query.analysis, Table1):
        return {}
    return {variable.name: variable.edges for variable in query.analysis.variables}


def _summary(
    rows: Mapping[str, Summary], edges: Mapping[str, tuple[float, ...]], fewest: int
) -> MergedNumber | MergedCategory:
    numbers = {site: row for site, row in rows.items() if isinstance(row, NumberSummary)}
    if numbers:
        variable = next(iter(numbers.values())).variable
        return merged_number(numbers, edges.get(variable, ()), fewest)
    tables = {site: row.table for site, row in rows.items() if isinstance(row, CategorySummary)}
    return MergedCategory(variable=next(iter(rows.values())).variable, table=merged_table(tables))


def _kaplan_meier(outcome: str, answers: Mapping[str, SiteKaplanMeier]) -> MergedKaplanMeier:
    strays = [site for site, answer in answers.items() if answer.outcome != outcome]
    if strays:
        raise MergeRefused("merge.outcome", strays)
    return MergedKaplanMeier(
        outcome=outcome,
        sites=tuple(SiteCurves(site=site, curves=answer.curves) for site, answer in answers.items()),
        log_rank=stratified_log_rank({site: answer.log_rank for site, answer in answers.items()}),
    )
