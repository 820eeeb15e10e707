"""Hide further counts until no withheld one can be worked out from those that are shown.

Complementary suppression (Hundepool et al., Statistical Disclosure Control, 2012, section 4.4): a reader
knows the sums, that counts are not negative, the rounding, and that a shown count is at least the minimum.
After :func:`protect` no withheld count can be bounded so to fewer than ``minimum`` possible values.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from atoll_node.disclosure.linear import Polytope, Vector
from atoll_node.disclosure.rounding import reach
from atoll_node.disclosure.sheet import COHORT, Held, Key, Line, Sheet
from atoll_node.settings import GateSettings

NOISE = 1e-6
COARSEST = 8
"""A neighbour of a bookkeeping level is rounded at most to this multiple before it is withheld."""
LARGEST = 20_000
"""An answer with more counts that has something to hide gives its inner cells up unsolved."""


class Unprotectable(Exception):
    """Even with every free count withheld, one can be worked out; nothing leaves."""


def protect(
    sheet: Sheet, held: Held, lines: Sequence[Line], free: Iterable[Key], settings: GateSettings
) -> Held:
    """Withhold or coarsen some of the ``free`` counts of ``lines`` until every withheld one is safe.

    Counts that are not free were decided before. Each round hides or coarsens at least one count, so it
    ends. Raises ``Unprotectable``.
    """
    known = {key for line in lines for key in (line.total, *line.parts)} & sheet.figures.keys()
    if known.isdisjoint(held.counts):
        return held
    task = _Task(sheet, held, list(lines), set(free) & known, settings)
    if len(known) > LARGEST:
        return held.holding(task.free)
    return task.solved()


@dataclass
class _Task:
    sheet: Sheet
    held: Held
    lines: list[Line]
    free: set[Key]
    settings: GateSettings
    columns: dict[Key, int] = field(default_factory=dict)

    def solved(self) -> Held:
        for line in self.lines:
            for key in (line.total, *line.parts):
                self.columns.setdefault(key, len(self.columns))
        self.near = _neighbours(self.lines, self.sheet)
        self.polytope = Polytope([self._bounds(key) for key in self.columns], [*map(self._row, self.lines)])
        self._forget()
        while exposed := self._exposed():
            if not self._hide_for(exposed):
                raise Unprotectable
        return self.held

    def _forget(self) -> None:
        self.low: Vector = np.full(len(self.columns), np.inf)
        self.high: Vector = np.full(len(self.columns), -np.inf)

    def _row(self, line: Line) -> dict[int, float]:
        row = {self.columns[line.total]: -1.0}
        for part in line.parts:
            row[self.columns[part]] = row.get(self.columns[part], 0.0) + 1.0
        return row

    def _bounds(self, key: Key) -> tuple[float, float]:
        """What a reader knows of one count. The cohort's size is taken as known exactly: the safe side."""
        persons = self.sheet.figures[COHORT]
        if key not in self.sheet.figures or key in self.held.counts:
            return 0, persons
        if key == COHORT:
            return persons, persons
        base = self.held.bases.get(key, self.settings.round_to)
        return reach(self.sheet.figures[key], base, self.settings.minimum_persons)

    def _exposed(self) -> list[Key]:
        """Return the withheld counts that a reader can bound to fewer values than the minimum."""
        withheld = [key for key in self.columns if key in self.held.counts]
        for sign in (1.0, -1.0):
            if narrow := [key for key in withheld if self._narrow(key)]:
                self._look({self.columns[key]: sign for key in narrow})
        exposed = []
        for key in withheld:
            for sign in (1.0, -1.0):
                if self._narrow(key):
                    self._look({self.columns[key]: sign})
            if self._narrow(key):
                exposed.append(key)
        return exposed

    def _look(self, weights: dict[int, float]) -> None:
        point = self.polytope.farthest(weights)
        self.low = np.minimum(self.low, point)
        self.high = np.maximum(self.high, point)

    def _narrow(self, key: Key) -> bool:
        low, high = float(self.low[self.columns[key]]), float(self.high[self.columns[key]])
        if low > high:
            return True
        return math.floor(high + NOISE) - math.ceil(low - NOISE) + 1 < self.settings.minimum_persons

    def _hide_for(self, exposed: list[Key]) -> bool:
        """Hide the smallest count beside each exposed one; without any, hide all that is left."""
        moved = False
        for key in exposed:
            beside = [near for near in self.near[key] if self._movable(near)]
            if key in self.sheet.soft and (coarse := [near for near in beside if self._coarser(near)]):
                self._coarsen(self._smallest(coarse))
                moved = True
            elif beside:
                self._withhold(self._smallest(beside))
                moved = True
        rest = [key for key in self.free if self._movable(key)]
        if not moved:
            for key in rest:
                self._withhold(key)
        return moved or bool(rest)

    def _movable(self, key: Key) -> bool:
        return key in self.free and key not in self.held.counts

    def _smallest(self, keys: list[Key]) -> Key:
        return min(keys, key=lambda key: (self.held.bases.get(key, 0), self.sheet.figures[key], key))

    def _coarser(self, key: Key) -> bool:
        base = 2 * self.held.bases.get(key, self.settings.round_to)
        return base <= min(COARSEST * self.settings.round_to, self.sheet.figures[key])

    def _coarsen(self, key: Key) -> None:
        base = 2 * self.held.bases.get(key, self.settings.round_to)
        self.held = replace(self.held, bases={**self.held.bases, key: base})
        self.polytope.widen(self.columns[key], *self._bounds(key))
        # A coarser interval need not contain the finer one, so earlier points prove nothing any more.
        self._forget()

    def _withhold(self, key: Key) -> None:
        self.held = self.held.holding([key])
        self.polytope.widen(self.columns[key], *self._bounds(key))


def _neighbours(lines: Iterable[Line], sheet: Sheet) -> dict[Key, tuple[Key, ...]]:
    """Return, for each count, the counts that stand in a sum with it."""
    near: dict[Key, dict[Key, None]] = {}
    for line in lines:
        members = (line.total, *line.parts)
        for key in members:
            near.setdefault(key, {}).update(dict.fromkeys(members))
    return {
        key: tuple(other for other in others if other != key and other in sheet.figures)
        for key, others in near.items()
    }
