"""Hold what either emission finds of a cohort before anything is measured: persons, steps, and values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atoll_node.raw import PersonSet, Unserialisable

Level = NDArray[np.int64]


@dataclass(frozen=True, repr=False, eq=False)
class Members(Unserialisable):
    """The persons of a cohort, and the persons after each step of its attrition, the last one included."""

    persons: PersonSet
    steps: tuple[PersonSet, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Frame(Unserialisable):
    """One entry per person of the cohort, in one order for all arrays.

    A column is a number, NaN without one, or the place of a level. ``days`` and ``died`` are those of a
    survival analysis, whose only column is its group.
    """

    persons: NDArray[np.int64]
    columns: tuple[NDArray[np.float64], ...] = ()
    days: NDArray[np.int64] | None = None
    died: NDArray[np.bool_] | None = None

    def levels(self, place: int) -> Level:
        """Return a column of levels as whole numbers."""
        return self.columns[place].astype(np.int64)
