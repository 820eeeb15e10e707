"""Make cleared results of sites by hand, as a gate would let them go."""

from collections.abc import Sequence
from datetime import UTC, datetime

from atoll_schemas.canonical import digest_of
from atoll_schemas.cells import Cell, Counted, Withheld
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Analysis, Query, Tighten
from atoll_schemas.results import (
    ClearedResult,
    CountTable,
    Dimension,
    Gate,
    LogRank,
    Moments,
    SitePayload,
    TableCell,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ANY_CONDITION = {
    "ConceptSets": [
        {
            "id": 0,
            "name": "colon cancer",
            "expression": {"items": [{"concept": {"CONCEPT_ID": 4180790}, "includeDescendants": True}]},
        }
    ],
    "PrimaryCriteria": {
        "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
    "QualifiedLimit": {"Type": "First"},
    "ExpressionLimit": {"Type": "First"},
    "InclusionRules": [],
    "CensoringCriteria": [],
    "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
    "CensorWindow": {},
}


def question(analysis: Analysis, *, tighten: Tighten | None = None) -> Query:
    """Return a query of project P-001 to the dataset ``colon``."""
    cohort = CohortExpression.from_wire(ANY_CONDITION)
    return Query(project="P-001", dataset="colon", cohort=cohort, analysis=analysis, tighten=tighten)


def cleared(site: str, query: Query, payload: SitePayload, *, minimum: int = 10) -> ClearedResult:
    """Return the cleared result of ``site`` for ``query``."""
    return ClearedResult(
        site=site,
        query_digest=query.digest(),
        release=f"colon-{site}-1",
        release_digest=digest_of(site.encode()),
        payload=payload,
        gate=Gate(
            minimum_persons=minimum, round_to=5, minimum_events=10, rules=("minimum",), withheld_cells=0
        ),
        engine_milliseconds=7,
    )


def cell(persons: int | None) -> Cell:
    """Return a counted cell, or a withheld one for ``None``."""
    return Withheld() if persons is None else Counted(value=persons)


def table(rows: dict[tuple[str, ...], int | None], **dimensions: Sequence[str]) -> CountTable:
    """Return a table of the named dimensions with these cells."""
    return CountTable(
        dimensions=tuple(Dimension(name=name, levels=tuple(levels)) for name, levels in dimensions.items()),
        cells=tuple(TableCell(levels=levels, persons=cell(persons)) for levels, persons in rows.items()),
    )


def moments_of(values: Sequence[float]) -> Moments:
    """Return n, mean and sum of squared deviations by their definitions."""
    mean = sum(values) / len(values)
    return Moments(n=len(values), mean=mean, m2=sum((value - mean) ** 2 for value in values))


def log_rank_of(groups: Sequence[str], rows: Sequence[tuple[float, bool, str]]) -> LogRank:
    """Return O, E and the hypergeometric covariance (Mantel 1966) of one site's (time, event, group) rows."""
    size = range(len(groups))
    observed, expected = [0.0] * len(groups), [0.0] * len(groups)
    variance = [[0.0] * len(groups) for _ in size]
    for time in sorted({time for time, event, _ in rows if event}):
        at_risk = [sum(1 for t, _, g in rows if t >= time and g == group) for group in groups]
        died = [sum(1 for t, e, g in rows if t == time and e and g == group) for group in groups]
        n, d = sum(at_risk), sum(died)
        factor = d * (n - d) / (n - 1) if n > 1 else 0.0
        for i in size:
            observed[i] += died[i]
            expected[i] += d * at_risk[i] / n
            for j in size:
                variance[i][j] += factor * at_risk[i] / n * ((i == j) - at_risk[j] / n)
    return LogRank(
        groups=tuple(groups),
        observed=tuple(observed),
        expected=tuple(expected),
        variance=tuple(tuple(row) for row in variance),
    )
