"""Gate, chapter 8: a project that asks nearly the same again learns nothing of the few who differ."""

import pytest

from tests.support.gate_chapters import ask_in_turn, drawn


def test_the_same_cohort_may_be_asked_again() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        1-100
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        1-100  | 100±2
    """)


def test_a_cohort_without_one_person_stays() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        2-100
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        2-100  | kept
    """)


@pytest.mark.parametrize("more", range(1, 10))
def test_up_to_nine_persons_more_or_less_stay(more: int) -> None:
    for second in (f"1-{100 + more}", f"1-{100 - more}"):
        assert ask_in_turn(f"cohort\n1-100\n{second}").splitlines()[-1] == f"{second} | kept"


@pytest.mark.parametrize("more", [10, 11, 50])
def test_ten_persons_more_or_less_do_not(more: int) -> None:
    for second in (f"1-{100 + more}", f"1-{100 - more}"):
        assert "±" in ask_in_turn(f"cohort\n1-100\n{second}").splitlines()[-1]


def test_a_few_exchanged_for_a_few_others_stay() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        10-109
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        10-109 | kept
    """)


def test_two_parts_and_a_union_that_holds_a_few_more() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        101-200
        1-203
    """) == drawn("""
        cohort  | shown
        1-100   | 100±2
        101-200 | 100±2
        1-203   | kept
    """)


def test_two_parts_and_their_exact_union_tell_nothing_new() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        101-200
        1-200
    """) == drawn("""
        cohort  | shown
        1-100   | 100±2
        101-200 | 100±2
        1-200   | 200±2
    """)


def test_an_intersection_that_lacks_a_few() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        51-150
        54-100
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        51-150 | 100±2
        54-100 | kept
    """)


def test_a_difference_that_lacks_a_few() -> None:
    assert ask_in_turn("""
        cohort
        1-100
        51-150
        1-45
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        51-150 | 100±2
        1-45   | kept
    """)


def test_the_whole_first_and_a_part_that_would_leave_a_few() -> None:
    assert ask_in_turn("""
        cohort
        1-203
        1-100
        101-200
    """) == drawn("""
        cohort  | shown
        1-203   | 205±2
        1-100   | 100±2
        101-200 | kept
    """)


def test_order_decides_which_cohort_stays_but_never_all_three_leave() -> None:
    for order in ("1-203|1-100|101-200", "1-100|1-203|101-200", "101-200|1-100|1-203"):
        answer = ask_in_turn("cohort\n" + "\n".join(order.split("|")))
        assert answer.count("kept") == 1
        assert answer.splitlines()[-1].endswith("kept")


def test_a_cohort_that_stayed_is_not_remembered() -> None:
    """Else a refused question could open or shut the way for another one."""
    assert ask_in_turn("""
        cohort
        1-100
        1-95
        1-88
    """) == drawn("""
        cohort | shown
        1-100  | 100±2
        1-95   | kept
        1-88   | 90±2
    """)


def test_a_small_cohort_is_not_remembered_either() -> None:
    assert ask_in_turn("""
        cohort
        1-9
        1-15
    """) == drawn("""
        cohort | shown
        1-9    | kept
        1-15   | 15±2
    """)


def test_cohorts_without_a_common_person_do_not_disturb_each_other() -> None:
    assert ask_in_turn("""
        cohort
        1-40
        101-140
        201-240
        301-340
    """) == drawn("""
        cohort  | shown
        1-40    | 40±2
        101-140 | 40±2
        201-240 | 40±2
        301-340 | 40±2
    """)


def test_a_stricter_site_compares_by_its_own_minimum() -> None:
    text = """
        cohort
        1-100
        1-115
    """
    assert ask_in_turn(text).splitlines()[-1] == "1-115 | 115±2"
    assert ask_in_turn(text, minimum_persons=20).splitlines()[-1] == "1-115 | kept"
