"""Chapter: what a reader sees of a table. Persons in, cells out.

``<10`` is a cell that stays at the hospital; ``40±2`` are 38 to 42 persons.
"""

from collections.abc import Callable

import pytest

from atoll_node.raw import RawCount, RawCrosstab, RawStep
from atoll_schemas.cells import Cell, Counted
from atoll_schemas.query import Count, Crosstab
from atoll_schemas.results import SiteCount, SiteCrosstab
from tests.support.cleared import question
from tests.support.gate import let_out, leveled, raw_table, shown

Show = Callable[[str], str]


def written(cell: Cell) -> str:
    return f"{cell.value}±{cell.half_width}" if isinstance(cell, Counted) else "<10"


def lines_of(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.split("|")] for line in text.strip().splitlines()]


@pytest.fixture
def table() -> Show:
    """Return what leaves of a table written as rows of ``first | second | persons``, totals included."""

    def show(text: str) -> str:
        (first, second, _), *rows = lines_of(text)
        counts = {(a, b): int(persons) for a, b, persons in rows}
        levels = [list(dict.fromkeys(key[place] for key in counts)) for place in range(2)]
        query = question(Crosstab(variables=(leveled(first, levels[0]), leveled(second, levels[1]))))
        raw = RawCrosstab(sum(counts.values()), raw_table([first, second], levels, counts))
        payload = let_out(raw, query).payload
        assert isinstance(payload, SiteCrosstab)
        return "\n".join(
            f"{' '.join(levels)}: {written(cell)}" for levels, cell in shown(payload.table).items()
        )

    return show


@pytest.fixture
def attrition() -> Callable[[list[int]], list[str]]:
    """Return what leaves of the persons after each inclusion rule."""

    def show(persons: list[int]) -> list[str]:
        steps = tuple(RawStep(f"rule {place}", left) for place, left in enumerate(persons))
        payload = let_out(RawCount(persons[-1], steps), question(Count())).payload
        assert isinstance(payload, SiteCount)
        return [written(step.persons) for step in payload.attrition]

    return show


def cells(text: str) -> list[str]:
    """Return the lines of an expected answer."""
    return [line.strip() for line in text.strip().splitlines()]


def test_counts_are_rounded_to_five_and_margins_are_shown(table: Show) -> None:
    assert cells(
        table("""
            sex | stage | persons
            F   | II    | 31
            F   | III   | 43
            M   | II    | 52
            M   | III   | 68
        """)
    ) == cells("""
            F II: 30±2
            F III: 45±2
            F *: 75±2
            M II: 50±2
            M III: 70±2
            M *: 120±2
            * II: 85±2
            * III: 110±2
            * *: 195±2
        """)


def test_a_small_cell_takes_others_with_it_so_that_no_total_gives_it_away(table: Show) -> None:
    assert cells(
        table("""
            sex | stage | persons
            F   | II    | 3
            F   | III   | 43
            M   | II    | 52
            M   | III   | 68
        """)
    ) == cells("""
            F II: <10
            F III: <10
            F *: 45±2
            M II: <10
            M III: <10
            M *: 120±2
            * II: 55±2
            * III: 110±2
            * *: 165±2
        """)


def test_an_empty_cell_looks_like_a_small_one(table: Show) -> None:
    small = table("""
        sex | stage | persons
        F   | II    | 2
        F   | III   | 45
        M   | II    | 53
        M   | III   | 70
    """)
    empty = table("""
        sex | stage | persons
        F   | II    | 0
        F   | III   | 47
        M   | II    | 55
        M   | III   | 68
    """)
    assert small == empty


def test_a_small_cohort_shows_nothing_at_all(table: Show) -> None:
    answer = table("""
        sex | stage | persons
        F   | II    | 2
        F   | III   | 3
        M   | II    | 0
        M   | III   | 4
    """)
    assert {line.split(": ")[1] for line in cells(answer)} == {"<10"}


def test_an_empty_missing_level_makes_its_neighbours_coarser_instead_of_hiding_them(table: Show) -> None:
    answer = dict(
        line.split(": ")
        for line in cells(
            table("""
                sex     | stage | persons
                F       | II    | 61
                F       | III   | 72
                M       | II    | 83
                M       | III   | 94
                missing | II    | 0
                missing | III   | 0
            """)
        )
    )
    assert answer["missing *"] == "<10"
    assert "<10" not in {answer[f"{sex} {stage}"] for sex in "FM" for stage in ("II", "III", "*")}


def test_a_rule_that_removes_few_persons_is_not_shown(attrition: Callable[[list[int]], list[str]]) -> None:
    assert attrition([500, 430, 426, 300]) == ["500±2", "430±2", "<10", "300±2"]


def test_the_final_count_is_shown_before_any_step(attrition: Callable[[list[int]], list[str]]) -> None:
    assert attrition([500, 305, 300]) == ["500±2", "<10", "300±2"]
