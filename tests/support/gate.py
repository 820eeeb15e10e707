"""Ask the gate in tests: raw aggregates from short tables, a ledger in memory, and an independent auditor."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product

import numpy as np
from scipy.optimize import linprog

from atoll_node.disclosure import Figure, Ledger, Remembered, clear
from atoll_node.raw import PersonSet, RawAggregate, RawAnalysis, RawTable
from atoll_node.release import Release
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Cell, Counted
from atoll_schemas.query import CategoryValue, Codes, Level, Query, SourceCode, Variable
from atoll_schemas.results import ClearedResult, CountTable, Dimension
from tests.support.contributions import contributions_of

TEST_RELEASE = Release(
    name="colon-0001",
    site="atoll-a",
    dataset="colon",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    tables=(),
    content_digest="sha256:00",
)


class MemoryInTests:
    """A ledger's memory that lives as long as the test."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Remembered]] = {}
        self.figures: dict[str, list[Figure]] = {}

    def recall(self, project: str) -> Iterator[Remembered]:
        return iter(self.kept.get(project, []))

    def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
        past = self.kept.setdefault(project, [])
        if len(past) != len(overlaps):
            return False
        past.append(Remembered(members, overlaps))
        return True

    def recall_figures(self, project: str) -> Sequence[Figure]:
        return tuple(self.figures.get(project, ()))

    def keep_figures(self, project: str, figures: Sequence[Figure], before: int) -> bool:
        past = self.figures.setdefault(project, [])
        if len(past) != before:
            return False
        past.extend(figures)
        return True


def persons_from(first: int, number: int) -> PersonSet:
    """Return a run of person ids."""
    return np.arange(first, first + number, dtype=np.int64)


def let_out(
    analysis: RawAnalysis,
    query: Query,
    *,
    members: PersonSet | None = None,
    settings: GateSettings | None = None,
    ledger: Ledger | None = None,
) -> ClearedResult:
    """Return what the gate lets go of one raw analysis."""
    size = getattr(analysis, "persons", None)
    persons = persons_from(1, size if size is not None else 50) if members is None else members
    return clear(
        RawAggregate(analysis, persons, 1, contributions_of(analysis, query, persons)),
        query=query,
        release=TEST_RELEASE,
        site="atoll-a",
        settings=settings or GateSettings(),
        ledger=ledger or Ledger(MemoryInTests()),
    )


def leveled(name: str, levels: Iterable[str]) -> Variable:
    """Return a categorical variable with these levels."""
    return Variable(
        name=name,
        definition=CategoryValue(
            domain="observation",
            codes=Codes(source_codes=(SourceCode(vocabulary="test", code=name),)),
            levels=tuple(Level(label=level, values=(level,)) for level in levels),
        ),
    )


def raw_table(
    names: Sequence[str], levels: Sequence[Sequence[str]], counts: Mapping[tuple[str, ...], int]
) -> RawTable:
    """Return a raw table; combinations without a count are empty."""
    dimensions = tuple(
        Dimension(name=name, levels=tuple(side)) for name, side in zip(names, levels, strict=True)
    )
    return RawTable(dimensions, {key: counts.get(key, 0) for key in product(*levels)})


def shown(table: CountTable) -> dict[tuple[str, ...], Cell]:
    """Return the cells of a table by their levels."""
    return {cell.levels: cell.persons for cell in table.cells}


def possible_values(
    tables: Sequence[CountTable], minimum: int = 10
) -> dict[tuple[int, tuple[str, ...]], int]:
    """Return how many values each withheld cell can have, by all a reader knows. Written for judgement.

    A reader knows that counts are not negative, that a shown one lies within its half-width and is at least
    the minimum, and that every margin is the sum of what it stands for. One number stands for all cells
    that count the same persons in several tables.
    """
    places: dict[tuple[tuple[str, str], ...], int] = {}
    bounds: list[tuple[float, float | None]] = []
    sums: list[dict[int, float]] = []
    withheld: dict[tuple[int, tuple[str, ...]], int] = {}
    for index, table in enumerate(tables):
        columns = {}
        for cell in table.cells:
            pairs = zip(table.dimensions, cell.levels, strict=True)
            name = tuple(sorted((side.name, level) for side, level in pairs if level != "*"))
            if name not in places:
                places[name] = len(places)
                bounds.append((0, None))
            columns[cell.levels] = places[name]
            if isinstance(cell.persons, Counted):
                half = cell.persons.half_width
                low, high = max(minimum, cell.persons.value - half), cell.persons.value + half
                bounds[places[name]] = (low, high)
            else:
                withheld[index, cell.levels] = places[name]
        sums += _sums_of(table, columns)
    matrix = np.zeros((len(sums), len(places)))
    for number, row in enumerate(sums):
        for column, weight in row.items():
            matrix[number, column] = weight
    return {cell: _range(column, matrix, bounds) for cell, column in withheld.items()}


def _sums_of(table: CountTable, columns: Mapping[tuple[str, ...], int]) -> list[dict[int, float]]:
    sums = []
    for levels, column in columns.items():
        for place, level in enumerate(levels):
            if level == "*":
                row = {column: -1.0}
                for part in table.dimensions[place].levels:
                    at = columns[(*levels[:place], part, *levels[place + 1 :])]
                    row[at] = row.get(at, 0.0) + 1.0
                sums.append(row)
    return sums


def _range(column: int, matrix: np.ndarray, bounds: list[tuple[float, float | None]]) -> int:
    ends = []
    for sign in (1, -1):
        cost = np.zeros(matrix.shape[1])
        cost[column] = sign
        found = linprog(cost, A_eq=matrix, b_eq=np.zeros(len(matrix)), bounds=bounds, method="highs")
        if found.status == 3:
            return 10**9
        assert found.status == 0, found.message
        ends.append(found.x[column])
    return math.floor(ends[1] + 1e-6) - math.ceil(ends[0] - 1e-6) + 1
