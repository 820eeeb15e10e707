"""Compute figures of pooled patients in plain Python, straight from the hospitals' files."""

import csv
import gzip
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from demo.make_data import STYLES

COLON_ARMS = {"Obs": "observation", "Lev": "levamisole", "Lev+5FU": "levamisole_5fu"}
"""The colon trial's arms: their codes in the files, and the labels that the mappings give them."""


@dataclass(frozen=True)
class Followed:
    """A patient followed for ``days``, to the event or to the end of observation."""

    days: int
    died: bool
    group: str


@dataclass(frozen=True)
class LogRank:
    """The log-rank test stratified by site: sums over strata (Mantel 1966)."""

    observed: np.ndarray
    expected: np.ndarray
    variance: np.ndarray

    @property
    def chi_square(self) -> float:
        """The statistic, on one degree of freedom less than groups."""
        difference = (self.observed - self.expected)[:-1]
        return float(difference @ np.linalg.solve(self.variance[:-1, :-1], difference))


def log_rank(strata: Iterable[Sequence[Followed]], groups: Collection[str]) -> LogRank:
    """Sum observed, expected and hypergeometric variance of every event time of every stratum."""
    observed, expected = np.zeros(len(groups)), np.zeros(len(groups))
    variance = np.zeros((len(groups), len(groups)))
    for stratum in strata:
        for day in sorted({one.days for one in stratum if one.died}):
            at_risk = Counter(one.group for one in stratum if one.days >= day)
            died = Counter(one.group for one in stratum if one.days == day and one.died)
            risk = np.array([at_risk[group] for group in groups])
            dead = np.array([died[group] for group in groups])
            people, deaths = risk.sum(), dead.sum()
            share = risk / people
            observed += dead
            expected += deaths * share
            if people > 1:
                spread = deaths * (people - deaths) / (people - 1)
                variance += spread * (np.diag(share) - np.outer(share, share))
    return LogRank(observed, expected, variance)


def followed_in_demo(exports: Path, site: str, study: str) -> list[Followed]:
    """Read a site's exports of one study as a person would: group is the arm (colon) or the sex (lung)."""
    folder = exports / site / study
    patients = {row["mrn"]: row for row in reversed(_read(folder, "patient", site))}
    style = STYLES[site]
    if study == "colon":
        groups = {row["mrn"]: row["arm"] for row in _read(folder, "treatment", site)}
    else:
        sexes = {style.male: "male", style.female: "female"}
        groups = {number: sexes[row["sex"]] for number, row in patients.items()}
    found = []
    for row in _read(folder, "follow_up", site):
        days = _days(row["randomised"], row["last_seen"], style.date)
        if row["mrn"] in groups and days is not None:
            found.append(Followed(days, row["vital"] == "dead", groups[row["mrn"]]))
    return found


def _read(folder: Path, name: str, site: str) -> list[dict[str, str]]:
    style, plain = STYLES[site], folder / f"{name}.csv"
    content = (
        plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.csv.gz").read_bytes())
    )
    return list(csv.DictReader(content.decode(style.encoding).splitlines(), delimiter=style.delimiter))


def _days(start: str, end: str, form: str) -> int | None:
    """Return the days between two dates; nothing when one of them is not in the calendar."""
    try:
        return (datetime.strptime(end, form) - datetime.strptime(start, form)).days
    except ValueError:
        return None
