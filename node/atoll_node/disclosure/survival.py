"""Step a Kaplan-Meier curve so coarsely that no step is a single person's event."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from atoll_node.disclosure.attrition import too_close
from atoll_node.raw import RawCurve, Unserialisable
from atoll_node.settings import GateSettings

DAY_GRID = 7
"""Steps lie on multiples of this many days, so that no step tells the day of one person's event."""


@dataclass(frozen=True, repr=False)
class Step(Unserialisable):
    """The curve at a grid day: at risk just before it, survival and Greenwood's standard error after it."""

    day: int
    at_risk: int
    survival: float
    std_err: float
    events: int


def steps(curve: RawCurve, settings: GateSettings, max_days: int | None = None) -> tuple[Step, ...]:
    """Return the shown steps: at least the minimum of events between two, and of persons still at risk.

    None lies after ``max_days``: there it would tell of a part of a week, and so of a single day.
    """
    shown: list[Step] = []
    counted = 0
    for point in _on_grid(curve):
        if max_days is not None and point.day > max_days:
            break
        if point.events - counted >= settings.minimum_events and point.at_risk >= settings.minimum_persons:
            shown.append(point)
            counted = point.events
    return tuple(shown)


def hidden_at_risk(curve: RawCurve, shown: tuple[Step, ...], settings: GateSettings) -> frozenset[int]:
    """Return the places of steps whose number at risk stays: too close to another shown one."""
    numbers = [curve.persons, *(step.at_risk for step in shown)]
    order = [*numbers[1:], numbers[0]]
    return frozenset(too_close(order, settings.minimum_persons)) - {len(shown)}


def median(shown: tuple[Step, ...]) -> int | None:
    """Return the first shown day with survival of at most 0.5 (Brookmeyer and Crowley 1982)."""
    return next((step.day for step in shown if step.survival <= 0.5), None)


def _on_grid(curve: RawCurve) -> Iterator[Step]:
    """Evaluate the curve on grid days after a change (Kaplan and Meier 1958; Greenwood 1926)."""
    survival, variance, events = 1.0, 0.0, 0
    rows = list(zip(curve.days, curve.at_risk, curve.events_at, curve.censored_at, strict=True))
    for place, (day, at_risk, died, _) in enumerate(rows):
        events += died
        if died:
            survival *= 1 - died / at_risk
            variance += died / (at_risk * (at_risk - died)) if at_risk > died else 0.0
        grid = math.ceil(day / DAY_GRID) * DAY_GRID
        following = rows[place + 1] if place + 1 < len(rows) else None
        if following is None or following[0] > grid:
            yield Step(grid, _before(rows, place, grid), survival, survival * math.sqrt(variance), events)


def _before(rows: list[tuple[int, int, int, int]], place: int, grid: int) -> int:
    """Return the persons at risk just before the grid day, once its last change lies at ``place``."""
    day, at_risk, died, censored = rows[place]
    return at_risk if day == grid else at_risk - died - censored
