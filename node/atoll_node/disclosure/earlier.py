"""Compare the figures of an answer with all that the project was shown before.

The ledger's rule for cohorts, for every figure: two sets of persons that differ by 1 to 9 must not both be
shown, nor a set and two parts of which it consists but for 1 to 9. Persons by sex, persons with a record in
a window, persons between two edges and those behind an exact sum are such sets. A figure that was shown once
is known for ever; one that was withheld for the sake of another stays withheld.
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from atoll_node.disclosure.footprints import BUCKETS, Footprint, Footprints, added
from atoll_node.disclosure.sheet import COHORT, Key
from atoll_node.errors import Refused
from atoll_node.raw import Unserialisable

MOST_FIGURES = 10_000
"""Different figures that a project can have been shown at a site."""
MOST_LEADING = 2_000
"""Of these, the ones that are compared in threes."""
STAYED = 0
COARSE = 16
"""Groups of buckets that are looked at first; a divisor of ``BUCKETS``."""

Dimensions = frozenset[str]


@dataclass(frozen=True, repr=False)
class Figure(Unserialisable):
    """A figure that was decided on: who stands behind it, and how it was rounded (0: it stayed)."""

    footprint: Footprint
    base: int
    leading: bool
    """Compared in threes too: cohorts, one-way counts, few inner cells, exact sums and curves."""


@dataclass(frozen=True)
class Standing:
    """What earlier answers mean for the figures of this one."""

    too_near: bool = False
    """The cohort itself is too near a figure, or is one that stayed."""
    held: frozenset[Key] = frozenset()
    fixed: Mapping[Key, int] = field(default_factory=dict)
    """Counts that were shown before, and their rounding."""
    moments_held: frozenset[tuple[str, str]] = frozenset()
    moments_shown: frozenset[tuple[str, str]] = frozenset()
    curves_held: frozenset[str] = frozenset()


def standing(prints: Footprints, earlier: Sequence[Figure], minimum: int, round_to: int) -> Standing:
    """Return which figures of the answer must stay, and which are known. Raises ``Refused`` when full.

    A cohort that was shown as a part of another one, more coarsely than the site rounds, stays: its answer
    would tell its size anew, and so that of the small part beside it.
    """
    leading = sum(figure.leading for figure in earlier) + len(prints.moments) + 2 * len(prints.curves)
    if len(earlier) > MOST_FIGURES or leading > MOST_LEADING:
        raise Refused("disclosure.ledger_full", "the project has been shown too many figures of this site")
    crowd = _Crowd(earlier, prints, minimum)
    cohort = prints.counts[COHORT]
    near = crowd.known.get(cohort.name, STAYED) > round_to
    near |= crowd.refuses(cohort, frozenset(), leading=True)
    held, fixed = set(prints.untraced), {}
    for key in sorted(prints.counts.keys() - {COHORT}, key=lambda key: (len(key), key)):
        found, dimensions = prints.counts[key], frozenset(dimension for dimension, _ in key)
        if crowd.refuses(found, dimensions, leading=prints.leading(key)):
            held.add(key)
        elif found.name in crowd.known:
            fixed[key] = crowd.known[found.name]
    sums = {
        place: crowd.refuses(found, frozenset({f" sum {place[0]}"}), leading=True)
        for place, found in prints.moments.items()
    }
    return Standing(
        too_near=near,
        held=frozenset(held),
        fixed=fixed,
        moments_held=frozenset(place for place, refused in sums.items() if refused),
        moments_shown=frozenset(
            place for place, found in prints.moments.items() if crowd.known.get(found.name, STAYED) != STAYED
        ),
        curves_held=frozenset(_near_curves(crowd, prints)),
    )


def _near_curves(crowd: "_Crowd", prints: Footprints) -> Iterable[str]:
    for group, parts in prints.curves.items():
        refused = [crowd.refuses(part, frozenset({" curve"}), leading=True) for part in parts if part.size]
        if any(refused):
            yield group


class _Crowd:
    """All figures so far: the earlier ones, and those of this answer that may be shown."""

    def __init__(self, earlier: Sequence[Figure], prints: Footprints, minimum: int) -> None:
        self.known = {figure.footprint.name: figure.base for figure in earlier}
        # Nobody can subtract what stayed: it counts only where it would be shown itself.
        earlier = [figure for figure in earlier if figure.base != STAYED]
        self._minimum = minimum
        self._own = _own(prints)
        self._names = [figure.footprint.name for figure in earlier]
        room = len(earlier) + len(prints.counts) + len(prints.moments) + 2 * len(prints.curves)
        self._buckets = np.zeros((room, BUCKETS), dtype=np.int32)
        for place, figure in enumerate(earlier):
            self._buckets[place] = figure.footprint.buckets
        self._sizes = self._buckets.sum(axis=1, dtype=np.int64)
        self._coarse = _coarse(self._buckets)
        self._half = self._coarse[:, : COARSE // 2].sum(axis=1, keepdims=True)
        leading = [place for place, figure in enumerate(earlier) if figure.leading]
        self._by_size = sorted(leading, key=lambda place: int(self._sizes[place]))
        self._present = np.zeros(room, dtype=np.bool_)
        self._present[: len(earlier)] = [name in self._own for name in self._names]
        self._places = {name: place for place, name in enumerate(self._names)}

    def refuses(self, found: Footprint, dimensions: Dimensions, *, leading: bool) -> bool:
        """Whether a figure must stay; one that need not is compared with all that follow."""
        if found.name in self.known:
            return self.known[found.name] == STAYED
        if found.name in self._places:
            return not self._related(self._places[found.name], dimensions)
        if self._near_one(found, dimensions) or (leading and self._near_two(found)):
            return True
        self._join(found, leading)
        return False

    def _join(self, found: Footprint, leading: bool) -> None:
        place = len(self._names)
        self._names.append(found.name)
        self._places[found.name] = place
        self._buckets[place] = found.buckets
        self._sizes[place] = found.size
        self._coarse[place] = _coarse(found.buckets)
        self._half[place] = self._coarse[place, : COARSE // 2].sum()
        if leading:
            insort(self._by_size, place, key=lambda one: int(self._sizes[one]))
        self._present[place] = True

    def _related(self, place: int, dimensions: Dimensions) -> bool:
        """Whether a table of this answer holds both, so that the rules for tables protect them."""
        others = self._own.get(self._names[place], ())
        return any(dimensions <= other or other <= dimensions for other in others)

    def _near_one(self, found: Footprint, dimensions: Dimensions) -> bool:
        sizes = self._sizes[: len(self._names)]
        places = np.flatnonzero(np.abs(sizes - found.size) < self._minimum)
        distances = np.abs(self._buckets[places] - found.buckets).sum(axis=1)
        near = places[distances < self._minimum]
        return any(not self._related(int(place), dimensions) for place in near)

    def _near_two(self, found: Footprint) -> bool:
        """Whether the set and two others, not both of this answer, are a whole and its parts but for few."""
        places = np.array(self._by_size, dtype=np.intp)
        if self._present[places].all():
            return False
        return any(self._near_sums(found, self._foreign(places, found.size, sign), sign) for sign in (1, -1))

    def _foreign(self, places: NDArray[np.intp], size: int, sign: int) -> NDArray[np.intp]:
        """Return pairs whose sizes add up to the set's (``sign`` 1), or differ by it (-1), but for few.

        ``places`` are in the order of size, so that each one's partners lie side by side.
        """
        sizes = self._sizes[places]
        middle = size - sizes if sign > 0 else sizes - size
        first = np.searchsorted(sizes, middle - self._minimum, side="right")
        last = np.searchsorted(sizes, middle + self._minimum, side="left")
        if sign > 0:  # each pair once
            first = np.maximum(first, np.arange(1, len(places) + 1))
        number = np.maximum(last - first, 0)
        owner = np.repeat(np.arange(len(places)), number)
        partner = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number - first, number)
        pairs: NDArray[np.intp] = np.column_stack((places[owner], places[partner]))
        foreign = ~(self._present[pairs[:, 0]] & self._present[pairs[:, 1]])
        return pairs[foreign]

    def _near_sums(self, found: Footprint, pairs: NDArray[np.intp], sign: int) -> bool:
        """Compare the set with first + second, or with first - second: by half, by groups, by each bucket."""
        coarse = _coarse(found.buckets)
        for table, own in (
            (self._half, coarse[: COARSE // 2].sum(keepdims=True)),
            (self._coarse, coarse),
            (self._buckets, found.buckets),
        ):
            expected = table[pairs[:, 0]] + sign * table[pairs[:, 1]]
            pairs = pairs[np.abs(expected - own).sum(axis=1) < self._minimum]
        for first, second in pairs:
            one, other = self._names[first], self._names[second]
            whole, parts = (found.name, (one, other)) if sign > 0 else (one, (found.name, other))
            if added(*parts) != whole:
                return True
        return False


def _coarse(buckets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Add up neighbouring buckets; two sets are never farther apart by them than by each bucket."""
    found: NDArray[np.int32] = buckets.reshape(*buckets.shape[:-1], COARSE, -1).sum(axis=-1, dtype=np.int32)
    return found


def _own(prints: Footprints) -> dict[int, list[Dimensions]]:
    """Return under which dimensions each set stands in this answer."""
    found: dict[int, list[Dimensions]] = {}
    for key, one in prints.counts.items():
        found.setdefault(one.name, []).append(frozenset(dimension for dimension, _ in key))
    for (variable, _), one in prints.moments.items():
        found.setdefault(one.name, []).append(frozenset({f" sum {variable}"}))
    for parts in prints.curves.values():
        for one in parts:
            found.setdefault(one.name, []).append(frozenset({" curve"}))
    return found
