"""Ask how far linear reasoning can bound a number: one adapter over the HiGHS solver."""

from collections.abc import Mapping, Sequence

import highspy
import numpy as np
from highspy._core import _Highs
from numpy.typing import NDArray

Vector = NDArray[np.float64]


_OPTIONS = {"output_flag": False, "threads": 1, "simplex_strategy": 4}
"""One thread, and the primal simplex method: only the objective changes from one search to the next."""
NOISE = 1e-7
"""Reduced costs below are rounding errors of the solver."""


class SolverFailed(Exception):
    """The solver gave no optimum; the gate refuses."""


class Polytope:
    """All ways in which non-negative numbers can satisfy what a reader knows.

    Columns are numbers between bounds, rows are sums that are 0. The solver runs on one thread, so that the
    same question has the same answer.
    """

    def __init__(
        self, bounds: Sequence[tuple[float, float]], rows: Sequence[Mapping[int, float]], seconds: float = 60
    ) -> None:
        # The class below ``highspy.Highs``: that wrapper prints a banner to the node's terminal.
        self._solver = _Highs()
        for option, value in _OPTIONS.items():
            self._solver.setOptionValue(option, value)
        self._solver.setOptionValue("time_limit", float(seconds))
        self._columns = len(bounds)
        low, high = (np.array(side, dtype=np.float64) for side in zip(*bounds, strict=True))
        self._solver.addVars(self._columns, low, high)
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)[:-1]
        places = np.array([column for row in rows for column in row], dtype=np.int32)
        weights = np.array([weight for row in rows for weight in row.values()], dtype=np.float64)
        zeros = np.zeros(len(rows))
        self._solver.addRows(len(rows), zeros, zeros, len(places), starts, places, weights)
        self._every = np.arange(self._columns, dtype=np.int32)

    def widen(self, column: int, low: float, high: float) -> None:
        """Give one number other bounds."""
        self._solver.changeColBounds(column, low, high)

    def farthest(self, weights: Mapping[int, float]) -> Vector:
        """Return a point of the polytope at which the weighted sum is largest."""
        costs = np.zeros(self._columns)
        for column, weight in weights.items():
            costs[column] = -weight
        self._solver.changeColsCost(self._columns, self._every, costs)
        self._solver.run()
        if self._solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise SolverFailed
        return np.asarray(self._solver.getSolution().col_value, dtype=np.float64)

    def binding(self) -> frozenset[int]:
        """Return the columns whose bounds stopped the last search: those with a reduced cost."""
        costs = np.asarray(self._solver.getSolution().col_dual, dtype=np.float64)
        return frozenset(map(int, np.flatnonzero(np.abs(costs) > NOISE)))
