"""Gate, chapter 3: the persons that one inclusion rule removes are not told by the steps around it."""

import itertools

import pytest

from tests.support.gate_chapters import clear_steps, drawn


def test_steps_that_differ_by_many_are_all_shown() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 500
        adults       | 430
        stage III    | 300
    """) == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | 430±2
        stage III    | 300±2
    """)


def test_a_rule_that_removes_few_is_kept() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 500
        adults       | 430
        stage III    | 426
        treated      | 300
    """) == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | 430±2
        stage III    | kept
        treated      | 300±2
    """)


@pytest.mark.parametrize("removed", range(10))
def test_removing_nobody_to_nine_persons_looks_the_same(removed: int) -> None:
    answer = clear_steps(f"""
        rule         | persons
        entry events | 500
        adults       | {500 - removed}
        stage III    | 300
    """)
    assert answer == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | kept
        stage III    | 300±2
    """)


def test_ten_removed_persons_are_enough() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 500
        adults       | 490
        stage III    | 300
    """) == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | 490±2
        stage III    | 300±2
    """)


def test_the_cohort_itself_goes_before_any_step() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 500
        adults       | 305
        stage III    | 300
    """) == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | kept
        stage III    | 300±2
    """)


def test_the_entry_goes_before_the_steps_between() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 500
        adults       | 495
        alive        | 485
        stage III    | 300
    """) == drawn("""
        rule         | persons
        entry events | 500±2
        adults       | kept
        alive        | 485±2
        stage III    | 300±2
    """)


def test_when_the_rules_remove_few_in_all_only_the_cohort_is_shown() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 305
        adults       | 302
        stage III    | 300
    """) == drawn("""
        rule         | persons
        entry events | kept
        adults       | kept
        stage III    | 300±2
    """)


def test_a_chain_of_small_losses_shows_only_steps_that_are_far_apart() -> None:
    assert clear_steps("""
        rule  | persons
        entry | 140
        one   | 136
        two   | 132
        three | 128
        four  | 124
        five  | 100
    """) == drawn("""
        rule  | persons
        entry | 140±2
        one   | kept
        two   | kept
        three | 130±2
        four  | kept
        five  | 100±2
    """)


def test_a_small_cohort_shows_no_step_at_all() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 5000
        adults       | 400
        stage IX     | 9
    """) == drawn("""
        rule         | persons
        entry events | kept
        adults       | kept
        stage IX     | kept
    """)


def test_a_count_without_rules_is_one_step() -> None:
    assert clear_steps("""
        rule         | persons
        entry events | 77
    """) == drawn("""
        rule         | persons
        entry events | 75±2
    """)


@pytest.mark.parametrize("minimum", [5, 10, 25])
def test_two_shown_steps_differ_by_the_sites_minimum(minimum: int) -> None:
    persons = [400, 391, 380, 372, 350, 344, 320, 300]
    rows = "\n".join(f"rule {place} | {left}" for place, left in enumerate(persons))
    answer = clear_steps(f"rule | persons\n{rows}", minimum_persons=minimum)
    shown = [left for left, line in zip(persons, answer.splitlines()[1:], strict=True) if "kept" not in line]
    assert persons[-1] in shown
    assert all(before - after >= minimum for before, after in itertools.pairwise(shown))
