"""Put survival answers side by side and add up the log-rank test over sites, as R's strata(site)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atoll_hub.queries.merge_cells import withheld_by
from atoll_hub.queries.merge_refusal import MergeRefused
from atoll_schemas.cells import Withheld, WithholdReason
from atoll_schemas.results import LogRank, StratifiedLogRank

Vector = NDArray[np.float64]
_NEGLIGIBLE = 1e-10
"""An eigenvalue below this share of the largest counts as zero."""


def stratified_log_rank(
    answers: Mapping[str, LogRank | Withheld | None],
) -> StratifiedLogRank | Withheld | None:
    """Add O, E and V over the sites and test (Mantel 1966; Peto and Peto 1972).

    Groups are matched by label; a site without a group adds nothing to it. ``None`` when no site was asked
    for a test; withheld when no site gives its figures or fewer than two groups have an expected event.
    """
    given = {site: answer for site, answer in answers.items() if isinstance(answer, LogRank)}
    held = [answer for answer in answers.values() if isinstance(answer, Withheld)]
    if not given:
        return withheld_by(held) if held else None
    for site, answer in given.items():
        _check(site, answer)
    groups = tuple(dict.fromkeys(group for answer in given.values() for group in answer.groups))
    observed, expected, variance = _sums(groups, given)
    chi_square, degrees = chi_square_of(observed, expected, variance)
    if degrees < 1:
        return Withheld(reason=WithholdReason.NOT_AVAILABLE)
    return StratifiedLogRank(
        groups=groups,
        observed=tuple(observed),
        expected=tuple(expected),
        variance=tuple(tuple(row) for row in variance),
        chi_square=chi_square,
        degrees_of_freedom=degrees,
        p=upper_tail(chi_square, degrees),
        sites=tuple(given),
    )


def _check(site: str, answer: LogRank) -> None:
    size = len(answer.groups)
    shapes = {len(answer.observed), len(answer.expected), len(answer.variance)}
    shapes |= {len(row) for row in answer.variance}
    if shapes - {size} or len(set(answer.groups)) < size:
        raise MergeRefused("merge.log_rank", [site])


def _sums(
    groups: tuple[str, ...], given: Mapping[str, LogRank]
) -> tuple[list[float], list[float], list[list[float]]]:
    """Add the sites' figures exactly (``math.fsum``), so that the order of the sites changes no bit."""
    places = {site: {group: at for at, group in enumerate(answer.groups)} for site, answer in given.items()}

    def total(figure: str, group: str) -> float:
        return math.fsum(
            getattr(answer, figure)[places[site][group]]
            for site, answer in given.items()
            if group in places[site]
        )

    def covariance(row: str, column: str) -> float:
        return math.fsum(
            answer.variance[places[site][row]][places[site][column]]
            for site, answer in given.items()
            if row in places[site] and column in places[site]
        )

    return (
        [total("observed", group) for group in groups],
        [total("expected", group) for group in groups],
        [[covariance(row, column) for column in groups] for row in groups],
    )


def chi_square_of(
    observed: Sequence[float], expected: Sequence[float], variance: Sequence[Sequence[float]]
) -> tuple[float, int]:
    """Return the quadratic form of O - E and its degrees of freedom.

    Groups without an expected event are left out and one group is dropped, as R's ``survdiff`` does. When
    the rest is singular (groups that no site ever compares), a generalised inverse and its rank are used.
    """
    kept = [index for index, value in enumerate(expected) if value > 0][1:]
    if not kept:
        return 0.0, 0
    excess: Vector = np.array([observed[index] - expected[index] for index in kept])
    covariance: Vector = np.array([[variance[row][column] for column in kept] for row in kept])
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    usable = values > _NEGLIGIBLE * max(float(values.max()), 0.0)
    projected = vectors[:, usable].T @ excess
    return float(np.sum(projected**2 / values[usable])), int(usable.sum())


def upper_tail(chi_square: float, degrees: int) -> float:
    """Return P(X > chi_square) of the chi-square law (Abramowitz and Stegun 26.4.4 and 26.4.5)."""
    half = chi_square / 2
    if degrees % 2 == 0:
        # 26.4.5: exp(-x/2) times the first terms of the series of exp(x/2).
        return min(1.0, math.fsum(_power(half, term, math.lgamma(term + 1)) for term in range(degrees // 2)))
    # 26.4.4: the normal tail plus a finite sum over odd powers of the root, written with gamma functions.
    odd = (_power(half, term - 0.5, math.lgamma(term + 0.5)) for term in range(1, (degrees + 1) // 2))
    return min(1.0, math.fsum([math.erfc(math.sqrt(half)), *odd]))


def _power(half: float, exponent: float, log_gamma: float) -> float:
    """Return exp(-half) * half**exponent / gamma, without overflow on the way."""
    if half == 0:
        return 1.0 if exponent == 0 else 0.0
    return math.exp(exponent * math.log(half) - half - log_gamma)
