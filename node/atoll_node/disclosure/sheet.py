"""Lay out every count that an answer would hold, and how the counts add up.

A count is named by what it counts: ``(("arm", "A"), ("sex", "F"))`` are the persons of one arm and sex,
``()`` is the whole cohort. So the same margin has the same name in every table that shows it, and tables
that share a margin are protected together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from atoll_node.disclosure.rounding import counted
from atoll_node.raw import RawTable, Unserialisable
from atoll_schemas.cells import Cell, Withheld, WithholdReason
from atoll_schemas.query import MISSING, OTHER, TOTAL
from atoll_schemas.results import CountTable, Dimension, TableCell

Key = tuple[tuple[str, str], ...]
"""What a count counts: pairs of a dimension and a level, sorted."""

COHORT: Key = ()
BOOKKEEPING = frozenset({MISSING, OTHER})
"""Levels that no question declares: they say how complete the record is."""


class Contradiction(Exception):
    """Two figures that must be equal are not: the aggregate cannot be trusted, nothing leaves."""


@dataclass(frozen=True, repr=False)
class Line(Unserialisable):
    """``total`` is the sum of ``parts``. A part without a figure is a number that nobody publishes."""

    total: Key
    parts: tuple[Key, ...]


@dataclass(frozen=True, repr=False)
class Sheet(Unserialisable):
    """All counts of one answer, true and unrounded. ``soft`` counts are of bookkeeping levels."""

    figures: dict[Key, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    soft: set[Key] = field(default_factory=set)
    margins: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    """The one-way counts of each dimension; each adds up to the cohort."""

    def add(self, key: Key, persons: int, soft: bool = False) -> None:
        """Take a count; a second one of the same name must say the same."""
        if persons < 0 or self.figures.setdefault(key, persons) != persons:
            raise Contradiction
        if soft:
            self.soft.add(key)


@dataclass(frozen=True)
class Held:
    """What the rules decided so far: counts that stay, and counts that are rounded more coarsely."""

    counts: Mapping[Key, WithholdReason] = field(default_factory=dict)
    bases: Mapping[Key, int] = field(default_factory=dict)
    moments: Mapping[tuple[str, str], WithholdReason] = field(default_factory=dict)
    curves: frozenset[str] = frozenset()
    """Groups whose curve stays."""
    log_rank: WithholdReason | None = None
    everything: bool = False
    fixed: frozenset[Key] = frozenset()
    """Counts that were shown before: hiding them now would hide nothing."""

    def holding(self, keys: Iterable[Key]) -> "Held":
        """Return the decisions with further counts withheld."""
        more = dict.fromkeys(keys, WithholdReason.PROTECTED)
        return replace(self, counts={**more, **self.counts})

    def cell(self, sheet: Sheet, key: Key, base: int) -> Cell:
        """Return a count as it leaves."""
        if self.everything or key in self.counts or not possible(key):
            return Withheld(reason=self.counts.get(key, WithholdReason.PROTECTED))
        return counted(sheet.figures[key], self.bases.get(key, base))


def key_of(dimensions: tuple[Dimension, ...], levels: tuple[str, ...]) -> Key:
    """Name a table's cell. A dimension with a single level says nothing, so it is left out."""
    pairs = zip(dimensions, levels, strict=True)
    return tuple(
        sorted({(side.name, level) for side, level in pairs if level != TOTAL and len(side.levels) > 1})
    )


def possible(key: Key) -> bool:
    """Whether anybody can be counted: in a table of a variable by itself most cells are empty by logic."""
    return len({dimension for dimension, _ in key}) == len(key)


def add_table(sheet: Sheet, table: RawTable, persons: int) -> None:
    """Add inner cells, all margins and the lines between them."""
    dimensions = table.dimensions
    counts = with_margins(table)
    if counts[(TOTAL,) * len(dimensions)] != persons:
        raise Contradiction
    for levels, number in counts.items():
        key = key_of(dimensions, levels)
        if possible(key):
            sheet.add(key, number, soft=not BOOKKEEPING.isdisjoint(levels))
        elif number:
            raise Contradiction
        for place, level in enumerate(levels):
            if level == TOTAL and len(dimensions[place].levels) > 1:
                sheet.lines.append(_line(dimensions, levels, place))
    for side in dimensions:
        if len(side.levels) > 1:
            sheet.margins[side.name] = tuple(((side.name, level),) for level in side.levels)


def with_margins(table: RawTable) -> dict[tuple[str, ...], int]:
    """Return inner cells and margins in the order in which a table lists them."""
    sides = [(*side.levels, TOTAL) for side in table.dimensions]
    counts = dict.fromkeys(product(*sides), 0)
    for levels in product(*(side.levels for side in table.dimensions)):
        number = table.persons[levels]
        for target in product(*((level, TOTAL) for level in levels)):
            counts[target] += number
    return counts


def _line(dimensions: tuple[Dimension, ...], levels: tuple[str, ...], place: int) -> Line:
    parts = ((*levels[:place], level, *levels[place + 1 :]) for level in dimensions[place].levels)
    return Line(key_of(dimensions, levels), tuple(key_of(dimensions, part) for part in parts))


def table_out(sheet: Sheet, held: Held, dimensions: tuple[Dimension, ...], base: int) -> CountTable:
    """Write a table as it leaves: every inner cell and margin listed."""
    places = product(*((*side.levels, TOTAL) for side in dimensions))
    return CountTable(
        dimensions=dimensions,
        cells=tuple(
            TableCell(levels=levels, persons=held.cell(sheet, key_of(dimensions, levels), base))
            for levels in places
        ),
    )
