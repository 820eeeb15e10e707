"""Put numeric summaries of several sites together: exact mean and SD, common bins, quantiles."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from atoll_hub.queries.merge_cells import agreed, pooled, withheld_by
from atoll_hub.queries.merge_refusal import MergeRefused
from atoll_schemas.cells import Cell, Counted, Figure, Measured, Pooled, Withheld, WithholdReason
from atoll_schemas.results import (
    Bin,
    MergedBin,
    MergedNumber,
    MergedNumberGroup,
    Moments,
    NumberGroup,
    NumberSummary,
    Quantile,
)

PROBABILITIES = (0.25, 0.5, 0.75)
FEWEST_PER_SIDE = 10
"""Persons that must lie on each side of a quantile; a site's stricter minimum replaces it."""

Edge = float
"""An end of a bin; an open end is an infinity."""


def merged_number(
    summaries: Mapping[str, NumberSummary], declared: Sequence[float], fewest: int = FEWEST_PER_SIDE
) -> MergedNumber:
    """Merge one numeric variable. ``declared`` are the edges that the query states for it."""
    groups = agreed(
        "merge.groups",
        {site: tuple(group.group for group in summary.groups) for site, summary in summaries.items()},
    )
    first = next(iter(summaries.values()))
    return MergedNumber(
        variable=first.variable,
        unit=agreed("merge.units", {site: summary.unit for site, summary in summaries.items()}),
        groups=tuple(
            _merged_group(
                {site: summary.groups[index] for site, summary in summaries.items()}, declared, fewest
            )
            for index, _ in enumerate(groups)
        ),
    )


def _merged_group(
    groups: Mapping[str, NumberGroup], declared: Sequence[float], fewest: int
) -> MergedNumberGroup:
    given = {site: group.moments for site, group in groups.items() if isinstance(group.moments, Moments)}
    held = [group.moments for group in groups.values() if isinstance(group.moments, Withheld)]
    mean, sd = mean_and_sd(given, held)
    bins = common_bins({site: group.bins for site, group in groups.items()}, declared)
    return MergedNumberGroup(
        group=next(iter(groups.values())).group,
        persons=pooled(group.persons for group in groups.values()),
        missing=pooled(group.missing for group in groups.values()),
        mean=mean,
        sd=sd,
        sites=len(given),
        bins=bins,
        quantiles=quantiles(bins, fewest),
    )


def mean_and_sd(given: Mapping[str, Moments], held: Sequence[Withheld]) -> tuple[Figure, Figure]:
    """Return mean and SD (n - 1) over the sites that gave moments, as if their persons were in one table."""
    if not given:
        return withheld_by(held), withheld_by(held)
    whole = _combined(given)
    if whole.n < 2:
        return Measured(value=whole.mean), Withheld(reason=WithholdReason.NOT_AVAILABLE)
    return Measured(value=whole.mean), Measured(value=math.sqrt(whole.m2 / (whole.n - 1)))


def _combined(given: Mapping[str, Moments]) -> Moments:
    """Combine sums of squares (Chan, Golub and LeVeque 1979), written for many parts at once.

    Sums are exact (``math.fsum``) and means are taken from the least of them, so that neither the order
    of the sites nor a large common offset changes the result.
    """
    parts = tuple(given.values())
    n = sum(part.n for part in parts)
    origin = min(part.mean for part in parts)
    try:
        mean = origin + math.fsum(part.n * (part.mean - origin) for part in parts) / n
        m2 = math.fsum([*(part.m2 for part in parts), *(part.n * (part.mean - mean) ** 2 for part in parts)])
    except OverflowError as error:
        raise MergeRefused("merge.not_finite", given) from error
    if not (math.isfinite(mean) and math.isfinite(m2)):
        raise MergeRefused("merge.not_finite", given)
    return Moments(n=n, mean=mean, m2=m2)


def common_bins(bins: Mapping[str, tuple[Bin, ...]], declared: Sequence[float]) -> tuple[MergedBin, ...]:
    """Sum bins over the edges that all sites with bins kept; a site without bins withholds each of them."""
    giving = {site: given for site, given in bins.items() if given}
    if not giving:
        return ()
    for site, given in giving.items():
        _check(site, given, declared)
    agreed("merge.edges", {site: (given[0].low, given[-1].high) for site, given in giving.items()})
    shared = frozenset.intersection(*(_edges(given) for given in giving.values()))
    ordered = sorted(shared)
    silent = [Withheld()] * (len(bins) - len(giving))
    return tuple(
        MergedBin(
            low=_end(low),
            high=_end(high),
            persons=pooled([*(_within(given, low, high) for given in giving.values()), *silent]),
        )
        for low, high in pairwise(ordered)
    )


def _check(site: str, bins: tuple[Bin, ...], declared: Sequence[float]) -> None:
    """Bins must touch each other, ascend, and end only where the query declares an edge."""
    touching = all(a.high is not None and a.high == b.low for a, b in pairwise(bins))
    ascending = all(_low(part) < _high(part) for part in bins)
    finite = {edge for edge in _edges(bins) if math.isfinite(edge)}
    if not (touching and ascending and finite <= set(declared)):
        raise MergeRefused("merge.edges", [site])


def _low(part: Bin | MergedBin) -> Edge:
    return -math.inf if part.low is None else part.low


def _high(part: Bin | MergedBin) -> Edge:
    return math.inf if part.high is None else part.high


def _end(edge: Edge) -> float | None:
    return edge if math.isfinite(edge) else None


def _edges(bins: tuple[Bin, ...]) -> frozenset[Edge]:
    return frozenset(edge for part in bins for edge in (_low(part), _high(part)))


def _within(bins: tuple[Bin, ...], low: Edge, high: Edge) -> Cell:
    """Return one site's persons in [low, high); a withheld part withholds the whole."""
    parts = [part.persons for part in bins if low <= _low(part) and _high(part) <= high]
    counted = [part for part in parts if isinstance(part, Counted)]
    if len(counted) < len(parts):
        return withheld_by([part for part in parts if isinstance(part, Withheld)])
    return Counted(
        value=sum(part.value for part in counted), half_width=sum(part.half_width for part in counted)
    )


def quantiles(bins: tuple[MergedBin, ...], fewest: int = FEWEST_PER_SIDE) -> tuple[Quantile, ...]:
    """Read the quartiles from complete bins. With a withheld bin, or too few persons, there are none."""
    counts = [part.persons for part in bins if isinstance(part.persons, Pooled)]
    if not bins or len(counts) < len(bins) or any(count.withheld for count in counts):
        return ()
    found = (_quantile(bins, counts, probability, fewest) for probability in PROBABILITIES)
    return tuple(quantile for quantile in found if quantile is not None)


def _quantile(
    bins: tuple[MergedBin, ...], counts: Sequence[Pooled], probability: float, fewest: int
) -> Quantile | None:
    total = sum(count.value for count in counts)
    rank = probability * total
    if min(rank, total - rank) < fewest:
        return None
    upper = list(accumulate(count.value for count in counts))
    at = next(index for index, persons in enumerate(upper) if persons >= rank)
    start, end, inside = _low(bins[at]), _high(bins[at]), counts[at].value
    low, high = _reach(bins, counts, probability)
    if not all(map(math.isfinite, (low, high, start, end))):
        return None
    value = start + (end - start) * (rank - upper[at] + inside) / inside
    return Quantile(probability=probability, value=value, half_width=max(value - low, high - value))


def _reach(bins: tuple[MergedBin, ...], counts: Sequence[Pooled], probability: float) -> tuple[Edge, Edge]:
    """Return the edges between which the true quantile lies for every count that the rounding allows."""
    low, high = -math.inf, math.inf
    for index, part in enumerate(bins):
        under, over = counts[: index + 1], counts[index + 1 :]
        if _share(under, over) < probability:
            low = _high(part)
        if math.isinf(high) and _share(under, over, -1) >= probability:
            high = _high(part)
    first_bin = bins[0]
    return (max(low, _low(first_bin)), high)


def _share(under: Sequence[Pooled], over: Sequence[Pooled], sign: int = 1) -> float:
    """Return the largest (``sign`` 1) or smallest (-1) possible share of persons in ``under``."""
    most = sum(max(0, count.value + sign * count.half_width) for count in under)
    rest = sum(max(0, count.value - sign * count.half_width) for count in over)
    return most / (most + rest) if most + rest else float(sign > 0)
