"""Gate, chapter 1: no count below the minimum of persons leaves, and every other one leaves rounded."""

import pytest

from atoll_schemas.cells import Counted, Withheld
from tests.support.gate_chapters import clear_count, clear_counts, clear_table, drawn


def test_nine_persons_stay_and_ten_leave() -> None:
    assert clear_counts("""
        persons
        8
        9
        10
        11
    """) == drawn("""
        persons | shown
        8       | kept
        9       | kept
        10      | 10±2
        11      | 10±2
    """)


def test_nobody_looks_like_nine_persons() -> None:
    assert clear_counts("""
        persons
        0
        1
        9
    """) == drawn("""
        persons | shown
        0       | kept
        1       | kept
        9       | kept
    """)


def test_a_count_is_rounded_to_the_nearest_five() -> None:
    assert clear_counts("""
        persons
        22
        23
        25
        27
        28
        929
    """) == drawn("""
        persons | shown
        22      | 20±2
        23      | 25±2
        25      | 25±2
        27      | 25±2
        28      | 30±2
        929     | 930±2
    """)


def test_an_even_rounding_sends_a_tie_up() -> None:
    assert clear_counts(
        """
        persons
        24
        25
        34
        35
        """,
        round_to=10,
    ) == drawn("""
        persons | shown
        24      | 20±5
        25      | 30±5
        34      | 30±5
        35      | 40±5
    """)


def test_a_site_may_show_exact_counts_by_a_deliberate_setting() -> None:
    assert clear_counts(
        """
        persons
        4
        5
        17
        """,
        round_to=1,
        minimum_persons=5,
    ) == drawn("""
        persons | shown
        4       | kept
        5       | 5±0
        17      | 17±0
    """)


def test_a_site_may_ask_for_more_persons_than_the_default() -> None:
    assert clear_counts(
        """
        persons
        10
        24
        25
        """,
        minimum_persons=25,
    ) == drawn("""
        persons | shown
        10      | kept
        24      | kept
        25      | 25±2
    """)


def test_a_coarse_rounding_raises_the_minimum_so_that_nothing_is_rounded_to_nobody() -> None:
    assert clear_counts(
        """
        persons
        10
        49
        50
        149
        """,
        round_to=100,
    ) == drawn("""
        persons | shown
        10      | kept
        49      | kept
        50      | 100±50
        149     | 100±50
    """)


@pytest.mark.parametrize("round_to", [1, 2, 3, 5, 7, 10, 15])
@pytest.mark.parametrize("minimum", [2, 5, 10, 20])
def test_a_shown_count_is_never_zero_and_never_farther_than_its_half_width(
    round_to: int, minimum: int
) -> None:
    for persons in range(60):
        shown = clear_count(persons, round_to=round_to, minimum_persons=minimum)
        if shown != "kept":
            value, half_width = map(int, shown.split("±"))
            assert persons >= minimum
            assert value > 0
            assert abs(value - persons) <= half_width


def test_a_table_without_a_small_cell_shows_every_cell_and_total() -> None:
    assert clear_table(
        """
        sex | stage | persons
        F   | II    | 31
        F   | III   | 43
        M   | II    | 52
        M   | III   | 68
        """,
        totals=True,
    ) == drawn("""
        sex | stage | persons
        F   | II    | 30±2
        F   | III   | 45±2
        F   | *     | 75±2
        M   | II    | 50±2
        M   | III   | 70±2
        M   | *     | 120±2
        *   | II    | 85±2
        *   | III   | 110±2
        *   | *     | 195±2
    """)


def test_totals_are_rounded_by_themselves_and_need_not_be_the_sum_of_what_is_shown() -> None:
    assert clear_table(
        """
        sex | persons
        F   | 12
        M   | 12
        X   | 12
        """,
        totals=True,
    ) == drawn("""
        sex | persons
        F   | 10±2
        M   | 10±2
        X   | 10±2
        *   | 35±2
    """)


def test_a_cohort_below_the_minimum_shows_no_cell_whatever_its_levels() -> None:
    assert clear_table(
        """
        sex | stage | persons
        F   | II    | 2
        F   | III   | 3
        M   | II    | 0
        M   | III   | 4
        """,
        totals=True,
    ) == clear_table(
        """
        sex | stage | persons
        F   | II    | 0
        F   | III   | 0
        M   | II    | 0
        M   | III   | 0
        """,
        totals=True,
    )


def test_a_kept_figure_is_a_type_of_its_own_and_carries_no_number() -> None:
    assert set(Withheld.model_fields) == {"kind", "reason"}
    assert "value" in Counted.model_fields
