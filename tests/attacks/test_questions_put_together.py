"""Random hospitals, three random questions each, and a reader who puts all answers into one set of equations.

The reader knows which persons each figure counts, that counts are not negative, the rounding and the minimum.
No withheld count of 1 to 9 persons may be bounded so to fewer than 9 values: one fewer than within a single
answer, since the reader here also knows how cohorts are defined.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from scipy.optimize import linprog

from atoll_node.errors import Refused
from atoll_schemas.cells import Cell, Counted
from atoll_schemas.query import MISSING, OTHER, TOTAL, Count, Crosstab, Variable
from atoll_schemas.results import ClearedResult, SiteCount, SiteCrosstab
from tests.support.marked_site import MarkedSite, grade

LEVELS = {"a": ("a1", "a2", "a3", "a4"), "b": ("b1", "b2", "b3")}
UNKNOWN = ("unlisted", "absent")
KINDS = tuple(itertools.product(*[(*levels, *UNKNOWN) for levels in LEVELS.values()]))
"""Every kind of person that a reader must reckon with."""
Kinds = frozenset[int]


@dataclass
class Reader:
    """What a reader has seen: kinds of persons and how many there can be, and kinds of a withheld count."""

    shown: list[tuple[Kinds, float, float]] = field(default_factory=list)
    withheld: set[Kinds] = field(default_factory=set)

    def sees(self, kinds: Kinds, cell: Cell) -> None:
        if isinstance(cell, Counted):
            low, high = max(10, cell.value - cell.half_width), cell.value + cell.half_width
            self.shown.append((kinds, low, high))
        elif kinds:
            self.withheld.add(kinds)

    def values(self, kinds: Kinds) -> int:
        """Return how many values a count can have by linear reasoning over all that was shown."""
        rows = [[float(kind in of) for kind in range(len(KINDS))] for of, _, _ in self.shown]
        matrix = [*rows, *([-part for part in row] for row in rows)]
        limits = [*(high for _, _, high in self.shown), *(-low for _, low, _ in self.shown)]
        ends = []
        for sign in (1.0, -1.0):
            cost = [sign * (kind in kinds) for kind in range(len(KINDS))]
            found = linprog(cost, A_ub=matrix or None, b_ub=limits or None, bounds=(0, None), method="highs")
            if found.status == 3:
                return 10**9
            assert found.status == 0, found.message
            ends.append(sign * found.fun)
        return math.floor(ends[1] + 1e-6) - math.ceil(ends[0] - 1e-6) + 1


@dataclass(frozen=True)
class Side:
    """A variable that groups the levels of one trait in a way of its own."""

    trait: str
    groups: dict[str, Sequence[str]]

    @property
    def variable(self) -> Variable:
        return grade(self.trait, self.trait, **self.groups)

    def holds(self, kind: tuple[str, ...], level: str) -> bool:
        value = kind[list(LEVELS).index(self.trait)]
        listed = {one for group in self.groups.values() for one in group}
        if level == OTHER:
            return value != "absent" and value not in listed
        return level == TOTAL or (value == "absent" if level == MISSING else value in self.groups[level])


def random_side(chance: Random, trait: str) -> Side:
    levels = chance.sample(LEVELS[trait], len(LEVELS[trait]))
    groups: list[list[str]] = [[] for _ in range(chance.randint(2, len(levels)))]
    for place, level in enumerate(levels):
        groups[place if place < len(groups) else chance.randrange(len(groups))].append(level)
    return Side(trait, {f"g{place}": group for place, group in enumerate(groups)})


def random_hospital(chance: Random) -> tuple[MarkedSite, list[tuple[str, ...]]]:
    kinds = list(itertools.product(*LEVELS.values()))
    weights = [chance.choice([0.2, 1, 1, 4, 8]) for _ in kinds]
    people = chance.choices(kinds, weights, k=chance.randint(60, 200))
    site = MarkedSite(len(people))
    for person, traits in enumerate(people, start=1):
        for trait, level in zip(LEVELS, traits, strict=True):
            site.level(trait, person, level)
            site.mark(level, [person])
    return site, people


def ask(chance: Random, site: MarkedSite, reader: Reader) -> None:
    """Ask for one or two traits of everybody, or of those with some levels of one of them."""
    cohort: tuple[str, ...] = ()
    if chance.random() < 0.4:
        levels = LEVELS[chance.choice(list(LEVELS))]
        cohort = tuple(chance.sample(levels, chance.randint(1, len(levels) - 1)))
    sides = [random_side(chance, trait) for trait in chance.choice([["a"], ["b"], ["a", "b"]])]
    variables = tuple(side.variable for side in sides)
    try:
        result = site.ask(Count(by=variables) if len(sides) < 2 else Crosstab(variables=variables), *cohort)
    except Refused:
        return
    for levels, cell in cells_of(result):
        reader.sees(
            frozenset(
                place
                for place, kind in enumerate(KINDS)
                if (not cohort or set(cohort) & set(kind))
                and all(side.holds(kind, level) for side, level in zip(sides, levels, strict=False))
            ),
            cell,
        )


def cells_of(result: ClearedResult) -> list[tuple[tuple[str, ...], Cell]]:
    assert isinstance(result.payload, SiteCount | SiteCrosstab)
    table = result.payload.by if isinstance(result.payload, SiteCount) else result.payload.table
    assert table is not None
    return [((), result.payload.persons), *((cell.levels, cell.persons) for cell in table.cells)]


@pytest.mark.parametrize("seed", [2, 9, 12, 26, 35, 36, 60, 63, 69])
def test_three_answers_together_bound_no_small_count(seed: int) -> None:
    chance = Random(seed)
    site, people = random_hospital(chance)
    reader = Reader()
    for _ in range(3):
        ask(chance, site, reader)
    for kinds in reader.withheld:
        persons = sum(person in {KINDS[place] for place in kinds} for person in people)
        if 0 < persons < 10:
            assert reader.values(kinds) >= 9
