"""Make life tables and the log-rank sums of one site from counts per group and day."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll_node.raw import RawCurve, RawLogRank

Counts = NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class DayCounts:
    """Persons of one group who leave on each day: days ascending, events and censored per day."""

    group: str
    days: Counts
    events: Counts
    censored: Counts


def life_table(counts: DayCounts) -> RawCurve:
    """Return the group's life table; at risk is counted just before each day."""
    leaving = counts.events + counts.censored
    at_risk = leaving[::-1].cumsum()[::-1]
    return RawCurve(
        group=counts.group,
        persons=int(leaving.sum()),
        events=int(counts.events.sum()),
        days=_integers(counts.days),
        at_risk=_integers(at_risk),
        events_at=_integers(counts.events),
        censored_at=_integers(counts.censored),
    )


def log_rank(groups: Sequence[DayCounts]) -> RawLogRank:
    """Return observed, expected and the covariance of their difference (Mantel 1966, Peto 1972).

    The variance is hypergeometric, as in R's ``survival::survdiff`` with ``rho = 0``: at each event day
    ``V[j, k] = d (n - d) / (n - 1) * (n_j / n) * ([j = k] - n_k / n)``.
    """
    days = _event_days(groups)
    at_risk = np.array([_at_risk(group, days) for group in groups], dtype=np.float64)
    events = np.array([_events(group, days) for group in groups], dtype=np.float64)
    at_risk = at_risk.reshape(len(groups), len(days))
    events = events.reshape(len(groups), len(days))
    n, d = at_risk.sum(axis=0), events.sum(axis=0)
    share = at_risk / n
    factor = np.where(n > 1, d * (n - d) / np.maximum(n - 1, 1), 0.0)
    covariance = np.diag((share * factor).sum(axis=1)) - (share * factor) @ share.T
    return RawLogRank(
        groups=tuple(group.group for group in groups),
        observed=tuple(float(value) for value in events.sum(axis=1)),
        expected=tuple(float(value) for value in (share * d).sum(axis=1)),
        variance=tuple(tuple(float(value) for value in row) for row in covariance),
    )


def _event_days(groups: Sequence[DayCounts]) -> Counts:
    found = [group.days[group.events > 0] for group in groups]
    return np.unique(np.concatenate(found)) if found else np.array([], dtype=np.int64)


def _at_risk(group: DayCounts, days: Counts) -> Counts:
    leaving = group.events + group.censored
    remaining = np.concatenate([leaving[::-1].cumsum()[::-1], np.array([0], dtype=np.int64)])
    return remaining[np.searchsorted(group.days, days, side="left")]


def _events(group: DayCounts, days: Counts) -> Counts:
    place = np.searchsorted(group.days, days, side="left")
    padded_days = np.concatenate([group.days, np.array([-1], dtype=np.int64)])
    padded = np.concatenate([group.events, np.array([0], dtype=np.int64)])
    return np.where(padded_days[place] == days, padded[place], 0)


def _integers(values: Counts) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
