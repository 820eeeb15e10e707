"""Gate, chapter 2: a kept cell cannot be worked out from totals, so some of its neighbours stay too."""

import pytest

from tests.support.gate_chapters import clear_table, drawn

SHOWN = "±"


def column(answer: str) -> list[str]:
    """Return whether each cell of an answer is shown."""
    return ["shown" if SHOWN in line else "kept" for line in answer.splitlines()[1:]]


def test_a_lone_kept_cell_takes_a_second_one_with_it() -> None:
    assert clear_table(
        """
        sex | persons
        F   | 3
        M   | 40
        X   | 60
        """,
        totals=True,
    ) == drawn("""
        sex | persons
        F   | kept
        M   | kept
        X   | 60±2
        *   | 105±2
    """)


def test_the_smallest_neighbour_goes() -> None:
    assert clear_table(
        """
        stage | persons
        I     | 300
        II    | 4
        III   | 200
        IV    | 45
        """,
        round_to=1,
    ) == drawn("""
        stage | persons
        I     | 300±0
        II    | kept
        III   | 200±0
        IV    | kept
    """)


def test_where_enough_neighbours_are_rounded_the_rounding_hides_a_cell_by_itself() -> None:
    """549 less 300±2, 200±2 and 45±2 is nought to ten: enough values, so nobody else stays."""
    assert clear_table(
        """
        stage | persons
        I     | 300
        II    | 4
        III   | 200
        IV    | 45
        """,
        totals=True,
    ) == drawn("""
        stage | persons
        I     | 300±2
        II    | kept
        III   | 200±2
        IV    | 45±2
        *     | 550±2
    """)


def test_two_small_cells_that_hide_each_other_take_nobody_with_them() -> None:
    assert clear_table("""
        stage | persons
        I     | 300
        II    | 8
        III   | 7
        IV    | 45
    """) == drawn("""
        stage | persons
        I     | 300±2
        II    | kept
        III   | kept
        IV    | 45±2
    """)


def test_two_cells_that_are_nearly_empty_do_not_hide_each_other() -> None:
    """Their sum is at most a few persons, and that alone bounds each of them."""
    answer = clear_table(
        """
        stage | persons
        I     | 300
        II    | 0
        III   | 1
        IV    | 45
        """,
        round_to=1,
    )
    assert column(answer)[1:] == ["kept"] * 3


def test_in_a_table_of_two_variables_a_rectangle_stays() -> None:
    assert clear_table(
        """
        sex | stage | persons
        F   | II    | 3
        F   | III   | 43
        M   | II    | 52
        M   | III   | 68
        """,
        totals=True,
    ) == drawn("""
        sex | stage | persons
        F   | II    | kept
        F   | III   | kept
        F   | *     | 45±2
        M   | II    | kept
        M   | III   | kept
        M   | *     | 120±2
        *   | II    | 55±2
        *   | III   | 110±2
        *   | *     | 165±2
    """)


def test_a_row_far_from_the_small_cell_is_left_alone() -> None:
    answer = clear_table(
        """
        arm  | stage | persons
        Obs  | I     | 4
        Obs  | II    | 40
        Obs  | III   | 50
        Lev  | I     | 41
        Lev  | II    | 60
        Lev  | III   | 70
        FU   | I     | 90
        FU   | II    | 95
        FU   | III   | 99
        """,
        round_to=1,
    )
    assert column(answer)[6:] == ["shown"] * 3


def test_an_empty_cell_looks_like_a_small_one_with_the_same_totals() -> None:
    small = clear_table(
        """
        sex | stage | persons
        F   | II    | 2
        F   | III   | 45
        M   | II    | 53
        M   | III   | 70
        """,
        totals=True,
    )
    empty = clear_table(
        """
        sex | stage | persons
        F   | II    | 0
        F   | III   | 47
        M   | II    | 55
        M   | III   | 68
        """,
        totals=True,
    )
    assert small == empty


def test_beside_an_empty_bookkeeping_level_counts_turn_coarse_instead_of_absent() -> None:
    assert clear_table(
        """
        sex     | persons
        F       | 61
        M       | 40
        missing | 0
        """,
        totals=True,
    ) == drawn("""
        sex     | persons
        F       | 60±7
        M       | 45±7
        missing | kept
        *       | 100±2
    """)


def test_a_coarse_count_still_holds_the_true_one() -> None:
    for persons in range(35, 90):
        answer = clear_table(f"""
            sex     | persons
            F       | 200
            M       | {persons}
            missing | 0
        """)
        value, half_width = map(int, answer.splitlines()[2].split("| ")[1].split("±"))
        assert abs(value - persons) <= half_width


@pytest.mark.parametrize("few", range(10))
def test_every_small_count_gives_the_same_kept_cells(few: int) -> None:
    """What is kept depends on who could be worked out, and all of nought to nine look the same here."""
    answer = clear_table(f"""
        sex | stage | persons
        F   | II    | {few}
        F   | III   | 45
        M   | II    | 53
        M   | III   | 70
    """)
    assert column(answer) == ["kept"] * 4


def test_three_variables_are_protected_together() -> None:
    answer = clear_table(
        """
        sex | stage | arm | persons
        F   | II    | a   | 3
        F   | II    | b   | 41
        F   | III   | a   | 42
        F   | III   | b   | 43
        M   | II    | a   | 44
        M   | II    | b   | 45
        M   | III   | a   | 46
        M   | III   | b   | 47
        """,
        totals=True,
    )
    inner = [line for line in answer.splitlines()[1:] if "*" not in line]
    margins = [line for line in answer.splitlines()[1:] if line.count("*") >= 2]
    assert all("kept" in line for line in inner)
    assert all(SHOWN in line for line in margins)


def test_a_small_margin_is_protected_before_the_cells_inside() -> None:
    """A level with few persons in all stays in every table that shows it."""
    answer = clear_table(
        """
        sex | stage | persons
        F   | II    | 30
        F   | III   | 40
        M   | II    | 50
        M   | III   | 60
        X   | II    | 2
        X   | III   | 1
        """,
        totals=True,
    )
    lines = dict(line.rsplit(" | ", 1) for line in answer.splitlines()[1:])
    assert lines["X | *"] == lines["X | II"] == lines["X | III"] == "kept"
    assert lines["F | *"] == "kept"
    assert lines["M | *"] == "110±2"


def test_a_single_level_is_the_cohort_itself() -> None:
    assert clear_table(
        """
        sex | persons
        F   | 44
        """,
        totals=True,
    ) == drawn("""
        sex | persons
        F   | 45±2
        *   | 45±2
    """)


def test_the_same_table_gives_the_same_answer_each_time() -> None:
    text = """
        sex | stage | persons
        F   | II    | 3
        F   | III   | 44
        M   | II    | 51
        M   | III   | 7
        X   | II    | 0
        X   | III   | 1
    """
    assert clear_table(text, totals=True) == clear_table(text, totals=True)


def test_the_order_of_levels_decides_nothing() -> None:
    stages = {"I": 300, "II": 4, "III": 200, "IV": 45}
    forwards, backwards = (
        clear_table("stage | persons\n" + "\n".join(f"{name} | {stages[name]}" for name in order), round_to=1)
        for order in (list(stages), list(reversed(stages)))
    )
    assert sorted(forwards.splitlines()) == sorted(backwards.splitlines())
