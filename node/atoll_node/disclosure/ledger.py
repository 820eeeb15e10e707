"""Remember the cohorts that were answered, and refuse one that differs from them by a few persons.

Two answers on cohorts that differ by 1 to 9 persons tell, subtracted, about these few. Only sizes of
intersections decide, so three cohorts are compared without building their unions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from atoll_node.disclosure.earlier import Figure
from atoll_node.errors import Refused
from atoll_node.raw import PersonSet, Unserialisable

MOST_COHORTS = 256
"""Different cohorts of one project; a further one is refused, never let pass unseen."""


@dataclass(frozen=True, repr=False)
class Remembered(Unserialisable):
    """One answered cohort, and the sizes of its intersections with those before it."""

    members: PersonSet
    overlaps: tuple[int, ...]


class Memory(Protocol):
    """Where the ledger keeps what it knows."""

    def recall(self, project: str) -> Iterator[Remembered]:
        """Yield the cohorts that were answered, oldest first; one at a time, since they may be large."""

    def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
        """Add a cohort after exactly ``len(overlaps)`` others; ``False`` when there are more by now."""

    def recall_figures(self, project: str) -> Sequence[Figure]:
        """Return the figures that were decided on, oldest first."""

    def keep_figures(self, project: str, figures: Sequence[Figure], before: int) -> bool:
        """Add figures after exactly ``before`` others; ``False`` when there are more by now."""


@dataclass(frozen=True, repr=False)
class Verdict(Unserialisable):
    """What the ledger says of one cohort: whether it is too near, and what to keep when it is answered."""

    too_near: bool
    known: bool
    overlaps: tuple[int, ...]


@dataclass(frozen=True)
class Ledger:
    """The rules over one memory."""

    memory: Memory

    def judge(self, project: str, members: PersonSet, minimum: int) -> Verdict:
        """Compare a cohort with every pair of earlier ones, of whatever dataset: a person has one pseudonym.

        Raises ``Refused`` when the ledger is full.
        """
        verdict = judged(members, self.memory.recall(project), minimum)
        if not verdict.known and len(verdict.overlaps) >= MOST_COHORTS:
            raise Refused(
                "disclosure.ledger_full",
                "the project has asked for as many different cohorts as the site compares",
                "ask a cohort that was asked before, or ask the steward for a new project",
            )
        return verdict

    def keep(self, project: str, dataset: str, members: PersonSet, verdict: Verdict) -> bool:
        """Remember an answered cohort; ``False`` when another was answered since it was judged."""
        return verdict.known or self.memory.keep(project, dataset, members, verdict.overlaps)

    def figures(self, project: str) -> Sequence[Figure]:
        """Return the figures that the project's earlier answers decided on."""
        return self.memory.recall_figures(project)

    def keep_figures(self, project: str, figures: Sequence[Figure], before: int) -> bool:
        """Remember figures; ``False`` when others were remembered since the ``before`` ones were read."""
        return not figures or self.memory.keep_figures(project, figures, before)


def judged(members: PersonSet, past: Iterable[Remembered], minimum: int) -> Verdict:
    """Return whether the cohort, with one or two earlier ones, isolates fewer persons than the minimum."""
    marks, sizes, known_overlaps = [], [], []
    for cohort in past:
        marks.append(_marked(members, cohort.members))
        sizes.append(len(cohort.members))
        known_overlaps.append(cohort.overlaps)
    overlaps = tuple(int(np.bitwise_count(mark).sum()) for mark in marks)
    pairs = list(zip(sizes, overlaps, strict=True))
    known = any(size == overlap == len(members) for size, overlap in pairs)
    near = any(_near(len(members) - overlap, size - overlap, minimum) for size, overlap in pairs) or any(
        _isolates(venn, minimum) for venn in _triples(len(members), sizes, overlaps, marks, known_overlaps)
    )
    return Verdict(too_near=near and not known, known=known, overlaps=overlaps)


def _marked(members: PersonSet, other: PersonSet) -> NDArray[np.uint8]:
    """Return one bit per member: whether the other cohort holds the person too."""
    if not len(other):
        return np.packbits(np.zeros(len(members), dtype=bool))
    if np.array_equal(members, other):
        return np.packbits(np.ones(len(members), dtype=bool))
    places = np.minimum(np.searchsorted(other, members), len(other) - 1)
    return np.packbits(other[places] == members)


def _near(left: int, right: int, minimum: int) -> bool:
    """Whether two sets differ, by fewer persons than the minimum on each side."""
    return left + right > 0 and left < minimum and right < minimum


@dataclass(frozen=True)
class _Venn:
    """Sizes of the seven parts that three sets make."""

    a: int
    b: int
    c: int
    ab: int
    ac: int
    bc: int
    abc: int


def _triples(
    size: int,
    sizes: Sequence[int],
    overlaps: Sequence[int],
    marks: Sequence[NDArray[np.uint8]],
    known: Sequence[Sequence[int]],
) -> Iterator[_Venn]:
    for j in range(1, len(sizes)):
        for i in range(j):
            abc = int(np.bitwise_count(marks[i] & marks[j]).sum())
            ab, ac, bc = overlaps[i] - abc, overlaps[j] - abc, known[j][i] - abc
            yield _Venn(
                a=size - ab - ac - abc,
                b=sizes[i] - ab - bc - abc,
                c=sizes[j] - ac - bc - abc,
                ab=ab,
                ac=ac,
                bc=bc,
                abc=abc,
            )


def _isolates(venn: _Venn, minimum: int) -> bool:
    """Whether one set is near the union, intersection or difference of the two others."""
    turns = (
        (venn.a, venn.b, venn.c, venn.ab, venn.ac, venn.bc),
        (venn.b, venn.a, venn.c, venn.ab, venn.bc, venn.ac),
        (venn.c, venn.a, venn.b, venn.ac, venn.bc, venn.ab),
    )
    return any(_one_near_two(*turn, venn.abc, minimum) for turn in turns)


def _one_near_two(t: int, u: int, v: int, tu: int, tv: int, uv: int, tuv: int, minimum: int) -> bool:
    """Compare T with U ∪ V, U ∩ V, U \\ V and V \\ U, by the sizes of the parts."""
    return (
        _near(t, u + v + uv, minimum)
        or _near(t + tu + tv, uv, minimum)
        or _near(t + tv + tuv, u, minimum)
        or _near(t + tu + tuv, v, minimum)
    )
