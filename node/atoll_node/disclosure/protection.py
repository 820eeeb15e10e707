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
WORTHWHILE = 0.95
FACTOR = 3
"""A count is rounded more coarsely to this multiple. Odd, so that the coarser interval holds the finer."""
COARSEST = 9
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
        self.names = list(self.columns)
        self.polytope = Polytope([self._bounds(key) for key in self.columns], [*map(self._row, self.lines)])
        self.low: Vector = np.full(len(self.columns), np.inf)
        self.high: Vector = np.full(len(self.columns), -np.inf)
        while exposed := self._exposed():
            if not self._hide_for(exposed):
                raise Unprotectable
        return self.held

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

    def _exposed(self) -> dict[Key, frozenset[int]]:
        """Return the withheld counts that a reader can bound too narrowly, and which counts bound them."""
        withheld = [key for key in self.columns if key in self.held.counts]
        self._look_together(withheld)
        exposed = {}
        for key in withheld:
            binding: frozenset[int] = frozenset()
            for sign in (1.0, -1.0):
                if self._narrow(key):
                    self._look({self.columns[key]: sign})
                    binding |= self.polytope.binding()
            if self._narrow(key):
                exposed[key] = binding
        return exposed

    def _look_together(self, withheld: list[Key]) -> None:
        """Prove many counts free at once: push all doubtful ones up, then down, as long as that pays."""
        doubtful = [key for key in withheld if self._narrow(key)]
        before = 2 * len(doubtful) + 1
        while doubtful and len(doubtful) < before * WORTHWHILE:
            before = len(doubtful)
            for sign in (1.0, -1.0):
                self._look({self.columns[key]: sign for key in doubtful})
            doubtful = [key for key in doubtful if self._narrow(key)]

    def _look(self, weights: dict[int, float]) -> None:
        point = self.polytope.farthest(weights)
        self.low = np.minimum(self.low, point)
        self.high = np.maximum(self.high, point)

    def _narrow(self, key: Key) -> bool:
        low, high = float(self.low[self.columns[key]]), float(self.high[self.columns[key]])
        if low > high:
            return True
        return math.floor(high + NOISE) - math.ceil(low - NOISE) + 1 < self.settings.minimum_persons

    def _hide_for(self, exposed: dict[Key, frozenset[int]]) -> bool:
        """Hide or coarsen the smallest count that bounds an exposed one; without any, hide all the rest.

        A count whose bounds another one's turn has moved already is looked at anew before more is hidden.
        """
        moved: set[Key] = set()
        for key, binding in exposed.items():
            bounding = self._named(binding)
            beside = [near for near in bounding if self._movable(near)]
            if moved.isdisjoint(bounding) and beside:
                moved.add(self._moved(key, beside))
        rest = [] if moved else [key for key in self.free if self._movable(key)]
        for key in rest:
            self._withhold(key)
        return bool(moved or rest)

    def _named(self, columns: frozenset[int]) -> list[Key]:
        return [self.names[column] for column in sorted(columns)]

    def _moved(self, exposed: Key, beside: list[Key]) -> Key:
        """Round more coarsely beside a bookkeeping level, as long as that can help; else withhold."""
        coarse = [key for key in beside if self._coarser(key)] if exposed in self.sheet.soft else []
        chosen = self._smallest(coarse or beside)
        if coarse:
            self._coarsen(chosen)
        else:
            self._withhold(chosen)
        return chosen

    def _movable(self, key: Key) -> bool:
        return key in self.free and key not in self.held.counts

    def _smallest(self, keys: list[Key]) -> Key:
        return min(keys, key=lambda key: (self.held.bases.get(key, 0), self.sheet.figures[key], key))

    def _coarser(self, key: Key) -> bool:
        base = FACTOR * self.held.bases.get(key, self.settings.round_to)
        return base <= min(COARSEST * self.settings.round_to, self.sheet.figures[key])

    def _coarsen(self, key: Key) -> None:
        base = FACTOR * self.held.bases.get(key, self.settings.round_to)
        self.held = replace(self.held, bases={**self.held.bases, key: base})
        self.polytope.widen(self.columns[key], *self._bounds(key))

    def _withhold(self, key: Key) -> None:
        self.held = self.held.holding([key])
        self.polytope.widen(self.columns[key], *self._bounds(key))
