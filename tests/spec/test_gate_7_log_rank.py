"""Gate, chapter 7: the log-rank figures leave exactly, when every group has persons and events enough."""

import pytest

from atoll_node.raw import RawCurve, RawLogRank
from atoll_schemas.cells import Withheld, WithholdReason
from atoll_schemas.results import LogRank
from tests.support.gate_chapters import clear_curves, curve_of

TEST = RawLogRank(("a", "b"), (70.0, 50.0), (61.25, 58.75), ((29.5, -29.5), (-29.5, 29.5)))
A = curve_of("a", 100, [(10, 40, 0), (50, 30, 0)])
B = curve_of("b", 90, [(10, 20, 0), (60, 30, 0)])
KEPT = Withheld(reason=WithholdReason.TOO_FEW_EVENTS)


def log_rank_of(
    *curves: RawCurve, levels: str | tuple[str, ...] = "ab", test: RawLogRank | None = TEST
) -> object:
    return clear_curves(list(curves), test=test, levels=levels).log_rank


def test_observed_expected_and_variance_leave_to_the_last_digit() -> None:
    found = log_rank_of(A, B)
    assert found == LogRank(
        groups=("a", "b"),
        observed=(70.0, 50.0),
        expected=(61.25, 58.75),
        variance=((29.5, -29.5), (-29.5, 29.5)),
    )


@pytest.mark.parametrize("events", [0, 1, 9])
def test_a_group_with_fewer_than_ten_events_holds_the_test_back(events: int) -> None:
    assert log_rank_of(A, curve_of("b", 90, [(10, events, 0)])) == KEPT


def test_a_group_with_ten_events_does_not() -> None:
    assert log_rank_of(A, curve_of("b", 90, [(10, 10, 0)])) != KEPT


@pytest.mark.parametrize("persons", [1, 9])
def test_a_group_of_few_persons_holds_the_test_back(persons: int) -> None:
    assert log_rank_of(A, B, curve_of("c", persons, [(10, persons, 0)]), levels="abc") == KEPT


def test_an_empty_declared_group_holds_the_test_back_like_one_of_few() -> None:
    """Else a test that leaves would tell that the group is empty."""
    assert log_rank_of(A, B, levels="abc") == KEPT


@pytest.mark.parametrize("bookkeeping", ["missing", "other"])
def test_an_empty_bookkeeping_group_does_not(bookkeeping: str) -> None:
    assert log_rank_of(A, B, levels=("a", "b", bookkeeping)) != KEPT


def test_without_a_test_there_is_none_to_leave() -> None:
    assert log_rank_of(A, B, test=None) == KEPT


def test_without_groups_no_test_is_told_at_all() -> None:
    alone = curve_of("*", 100, [(10, 40, 0)])
    assert clear_curves([alone]).log_rank is None


def test_a_small_cohort_shows_no_test() -> None:
    few = [curve_of("a", 4, [(10, 4, 0)]), curve_of("b", 4, [(10, 4, 0)])]
    assert log_rank_of(*few) == KEPT


@pytest.mark.parametrize("minimum_events", [10, 40, 51])
def test_the_sites_minimum_of_events_decides(minimum_events: int) -> None:
    found = clear_curves([A, B], test=TEST, levels="ab", minimum_events=minimum_events).log_rank
    assert (found == KEPT) == (minimum_events > 50)
