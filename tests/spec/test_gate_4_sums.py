"""Gate, chapter 4: a mean leaves exactly, or not at all when few persons stand behind it or carry it."""

import pytest

from atoll_schemas.cells import Withheld, WithholdReason
from atoll_schemas.results import Moments
from tests.support.gate_chapters import clear_means, clear_number, drawn


def reason(values: list[float], missing: int = 0, **changes: float) -> WithholdReason | None:
    """Return why the mean of a cohort stays, or nothing."""
    (group,) = clear_number({"*": (values, missing)}, **changes).groups
    return group.moments.reason if isinstance(group.moments, Withheld) else None


def test_mean_and_spread_leave_as_they_are() -> None:
    (group,) = clear_number({"*": ([float(value) for value in range(1, 42)], 0)}).groups
    assert group.moments == Moments(n=41, mean=21.0, m2=5740.0)


def test_fewer_than_ten_values_give_no_mean() -> None:
    assert clear_means("""
        arm | missing | values
        *   | 50      | 9 of 1-40
    """) == drawn("""
        arm | persons | missing | mean
        *   | 60±2    | 50±2    | kept: protected
    """)


def test_ten_values_do() -> None:
    assert clear_means("""
        arm | missing | values
        *   | 50      | 10 of 1-40
    """) == drawn("""
        arm | persons | missing | mean
        *   | 60±2    | 50±2    | 20.5
    """)


@pytest.mark.parametrize("missing", range(1, 10))
def test_a_few_without_a_value_hold_the_mean_back(missing: int) -> None:
    """The mean tells its exact number of persons; beside the cohort's size that would count the few."""
    assert reason([float(v) for v in range(100)], missing) is WithholdReason.PROTECTED


@pytest.mark.parametrize("missing", [0, 10, 300])
def test_nobody_or_many_without_a_value_do_not(missing: int) -> None:
    assert reason([float(v) for v in range(100)], missing) is None


def test_a_small_group_takes_the_next_smallest_with_it() -> None:
    assert clear_means("""
        arm | missing | values
        a   | 0       | 100 of 1-40
        b   | 0       | 60 of 1-40
        c   | 0       | 5 of 1-40
    """) == drawn("""
        arm | persons | missing | mean
        *   | 165±2   | kept    | 20.5
        a   | 100±2   | kept    | 20.5
        b   | kept    | kept    | kept: protected
        c   | kept    | kept    | kept: protected
    """)


def test_groups_that_are_large_enough_all_show_their_means() -> None:
    assert clear_means("""
        arm | missing | values
        a   | 0       | 100 of 1-41
        b   | 0       | 60 of 11-51
    """) == drawn("""
        arm | persons | missing | mean
        *   | 160±2   | kept    | 24.75
        a   | 100±2   | kept    | 21
        b   | 60±2    | kept    | 31
    """)


def test_an_empty_bookkeeping_group_holds_nothing_back() -> None:
    answer = clear_means("""
        arm     | missing | values
        a       | 0       | 100 of 1-41
        b       | 0       | 60 of 11-51
        missing | 0       |
    """)
    assert [line.rpartition("| ")[2] for line in answer.splitlines()[1:4]] == ["24.75", "21", "31"]


class TestDominance:
    """NK(2, 0.90): two persons may not carry more than nine tenths of a sum."""

    def test_two_persons_with_nine_tenths_are_the_limit(self) -> None:
        rest = [10.0] * 10
        assert reason([450.0, 450.0, *rest], p_ratio=0) is None
        assert reason([451.0, 450.0, *rest], p_ratio=0) is WithholdReason.DOMINANCE

    def test_the_share_is_the_sites_to_tighten(self) -> None:
        values = [300.0, 300.0, *[40.0] * 10]
        assert reason(values) is None
        assert reason(values, dominance_share=0.5) is WithholdReason.DOMINANCE

    def test_negative_values_carry_a_sum_as_much_as_positive_ones(self) -> None:
        assert reason([-451.0, -450.0, *[10.0] * 10]) is WithholdReason.DOMINANCE

    def test_one_outlier_among_many_is_found(self) -> None:
        assert clear_means("""
            arm | missing | values
            *   | 0       | 20 of 1-2, 1 of 100000
        """) == drawn("""
            arm | persons | missing | mean
            *   | 20±2    | kept    | kept: dominance
        """)


class TestPRatio:
    """The rest of a sum beside its two largest parts is at least a tenth of the largest.

    Else the second largest person could estimate the largest within a tenth.
    """

    def test_a_rest_of_a_tenth_is_the_limit(self) -> None:
        rest = [1.0] * 10
        assert reason([100.0, 50.0, *rest], dominance_share=1) is None
        assert reason([100.1, 50.0, *rest], dominance_share=1) is WithholdReason.DOMINANCE

    def test_the_ratio_is_the_sites_to_tighten(self) -> None:
        values = [100.0, 10.0, *[2.0] * 10]
        assert reason(values, dominance_share=1) is None
        assert reason(values, dominance_share=1, p_ratio=0.3) is WithholdReason.DOMINANCE


def test_a_value_that_all_share_is_no_mean_but_everybodys_value() -> None:
    assert reason([7.0] * 50) is WithholdReason.DOMINANCE


def test_nothing_but_zeros_stays() -> None:
    assert reason([0.0] * 50) is WithholdReason.DOMINANCE


def test_a_dominated_group_cannot_be_had_by_subtraction() -> None:
    """Everybody less a and b would be c; so everybody or one more group stays."""
    answer = clear_means("""
        arm | missing | values
        a   | 0       | 100 of 1-41
        b   | 0       | 60 of 11-51
        c   | 0       | 20 of 1-2, 1 of 1000000
    """)
    means = [line.rpartition("| ")[2] for line in answer.splitlines()[1:]]
    assert means[3] == "kept: dominance"
    assert means[0].startswith("kept") or sum(mean.startswith("kept") for mean in means[1:]) >= 2


def test_counts_leave_even_where_the_mean_stays() -> None:
    answer = clear_means("""
        arm | missing | values
        *   | 40      | 20 of 1-2, 1 of 100000
    """)
    assert answer.splitlines()[1] == "* | 60±2 | 40±2 | kept: dominance"


def test_a_small_cohort_shows_neither_counts_nor_means() -> None:
    assert clear_means("""
        arm | missing | values
        *   | 2       | 7 of 1-40
    """) == drawn("""
        arm | persons | missing | mean
        *   | kept    | kept    | kept: protected
    """)


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e6])
def test_a_shifted_scale_does_not_change_what_is_shown_exactly(shift: float) -> None:
    values = [shift + value for value in range(100)]
    (group,) = clear_number({"*": (values, 0)}).groups
    assert isinstance(group.moments, Moments)
    assert group.moments.mean == pytest.approx(shift + 49.5, abs=1e-9)
    assert group.moments.m2 == pytest.approx(83325.0)
