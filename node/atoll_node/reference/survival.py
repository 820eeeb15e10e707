"""Compute life tables and the log-rank sums from times, as a textbook does by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from atoll_node.raw import RawCurve, RawLogRank


@dataclass(frozen=True)
class Time:
    """How long a person of a group was followed, and whether that ended with the event."""

    group: str
    days: int
    event: bool


def curve(group: str, times: Sequence[Time]) -> RawCurve:
    """Return the life table of the group's times."""
    own = [time for time in times if time.group == group]
    days = sorted({time.days for time in own})
    return RawCurve(
        group=group,
        persons=len(own),
        events=sum(time.event for time in own),
        days=tuple(days),
        at_risk=tuple(sum(time.days >= day for time in own) for day in days),
        events_at=tuple(sum(time.days == day and time.event for time in own) for day in days),
        censored_at=tuple(sum(time.days == day and not time.event for time in own) for day in days),
    )


def survival_at(table: RawCurve, day: int) -> float:
    """Return the Kaplan-Meier estimate at the end of a day: the product of 1 - d / n (Kaplan, Meier 1958)."""
    product = Fraction(1)
    for moment, at_risk, events in zip(table.days, table.at_risk, table.events_at, strict=True):
        if moment <= day:
            product *= 1 - Fraction(events, at_risk)
    return float(product)


def log_rank(groups: Sequence[str], times: Sequence[Time]) -> RawLogRank:
    """Return O, E and the covariance of O - E per group, in fractions until the end.

    At each day with ``d`` events among ``n`` at risk, group ``j`` with ``n_j`` at risk expects
    ``d n_j / n``, and the hypergeometric covariance with group ``k`` is
    ``d (n - d) / (n - 1) * n_j / n * ([j = k] - n_k / n)`` (Mantel 1966; R's ``survdiff``, ``rho = 0``).
    """
    expected = [Fraction(0) for _ in groups]
    covariance = [[Fraction(0) for _ in groups] for _ in groups]
    for day in sorted({time.days for time in times if time.event}):
        at_risk = [sum(time.group == group and time.days >= day for time in times) for group in groups]
        n, d = sum(at_risk), sum(time.days == day and time.event for time in times)
        shares = [Fraction(count, n) for count in at_risk]
        spread = Fraction(d * (n - d), n - 1) if n > 1 else Fraction(0)
        for j, share in enumerate(shares):
            expected[j] += d * share
            for k, other in enumerate(shares):
                covariance[j][k] += spread * share * ((j == k) - other)
    return RawLogRank(
        groups=tuple(groups),
        observed=tuple(float(sum(time.event for time in times if time.group == group)) for group in groups),
        expected=tuple(float(value) for value in expected),
        variance=tuple(tuple(float(value) for value in row) for row in covariance),
    )
