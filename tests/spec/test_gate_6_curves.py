"""Gate, chapter 6: a survival curve leaves in coarse steps, so that no step is one person's event."""

import itertools

import pytest

from atoll_schemas.cells import Counted, Measured, Withheld, WithholdReason
from atoll_schemas.results import Curve
from tests.support.gate_chapters import clear_curve, clear_curves, curve_of, drawn


def one_curve(persons: int, rows: list[tuple[int, int, int]], **changes: float) -> Curve:
    (curve,) = clear_curves([curve_of("*", persons, rows)], **changes).curves
    return curve


def test_steps_lie_on_whole_weeks_and_hold_ten_events() -> None:
    assert clear_curve(
        100,
        """
        day | died | censored
        3   | 5    | 0
        6   | 5    | 0
        20  | 4    | 0
        30  | 8    | 0
        50  | 10   | 2
        80  | 20   | 20
        """,
    ) == drawn("""
        day | survival | at risk
        7   | 0.9      | 90±2
        35  | 0.78     | 80±2
        56  | 0.68     | 65±2
        84  | 0.4739   | 25±2
    """)


def test_an_event_on_a_whole_week_stays_there() -> None:
    """All hundred are at risk at the first step, which the curve's size has told already."""
    answer = clear_curve(
        100,
        """
        day | died | censored
        7   | 20   | 0
        14  | 20   | 0
        """,
    )
    assert answer == drawn("""
        day | survival | at risk
        7   | 0.8      | kept
        14  | 0.6      | 80±2
    """)


def test_nine_events_are_no_step() -> None:
    assert clear_curve(
        100,
        """
        day | died | censored
        3   | 9    | 0
        """,
    ) == drawn("""
        day | survival | at risk
    """)


def test_nine_events_wait_for_the_next() -> None:
    assert clear_curve(
        100,
        """
        day | died | censored
        3   | 9    | 0
        30  | 1    | 0
        60  | 20   | 0
        """,
    ) == drawn("""
        day | survival | at risk
        35  | 0.9      | 90±2
        63  | 0.7      | 70±2
    """)


def test_a_step_with_few_persons_still_at_risk_is_not_shown() -> None:
    """The curve ends where fewer than ten persons are left, however many died there."""
    curve = one_curve(40, [(10, 10, 0), (20, 10, 12), (30, 7, 0)])
    assert [step.day for step in curve.steps] == [14]


def test_two_numbers_at_risk_that_differ_by_few_are_not_both_shown() -> None:
    curve = one_curve(100, [(7, 10, 0), (14, 10, 0), (21, 30, 0)])
    shown = [100, *(step.at_risk.value for step in curve.steps if isinstance(step.at_risk, Counted))]
    assert all(before - after >= 5 for before, after in itertools.pairwise(shown))


@pytest.mark.parametrize("minimum_events", [10, 20, 30])
def test_a_site_may_ask_for_more_events_per_step(minimum_events: int) -> None:
    rows = [(7 * week, 5, 0) for week in range(1, 17)]
    days = [0, *(step.day for step in one_curve(200, rows, minimum_events=minimum_events).steps)]
    assert len(days) > 2
    assert all(after - before == 7 * minimum_events // 5 for before, after in itertools.pairwise(days))


def test_the_median_is_the_first_shown_day_at_or_below_a_half() -> None:
    curve = one_curve(100, [(10, 30, 0), (20, 19, 0), (30, 1, 0), (40, 20, 0)])
    assert curve.median == Measured(value=42)


def test_a_median_that_the_steps_do_not_reach_is_not_told() -> None:
    curve = one_curve(100, [(10, 30, 0)])
    assert curve.median == Withheld(reason=WithholdReason.TOO_FEW_EVENTS)


def test_survival_and_its_error_are_rounded_to_four_places() -> None:
    (step, *_) = one_curve(300, [(10, 10, 0)]).steps
    assert (step.survival, step.std_err) == (0.9667, 0.0104)


def test_all_persons_dead_is_a_curve_that_ends_above_nought() -> None:
    """The last step would stand on fewer than ten persons at risk after it, which is shown by no step."""
    curve = one_curve(60, [(10, 20, 0), (20, 20, 0), (30, 20, 0)])
    assert [step.survival for step in curve.steps][:2] == [0.6667, 0.3333]
    assert all(step.at_risk.kind == "withheld" or step.at_risk.value >= 10 for step in curve.steps)


def test_events_are_rounded_like_persons() -> None:
    curve = one_curve(100, [(10, 23, 0)])
    assert curve.events == Counted(value=25)
    assert curve.persons == Counted(value=100)


@pytest.mark.parametrize("events", range(10))
def test_fewer_than_ten_events_look_the_same(events: int) -> None:
    curve = one_curve(100, [(10, events, 30)])
    assert curve == one_curve(100, [(300, 1, 0)])
    assert curve.events == Withheld()


def test_a_small_cohort_has_no_curve_and_no_size() -> None:
    curve = one_curve(9, [(10, 8, 0)])
    assert (curve.persons, curve.events, curve.steps) == (Withheld(), Withheld(), ())


class TestGroups:
    FULL = curve_of("a", 100, [(10, 40, 0), (50, 30, 0)])
    OTHER = curve_of("b", 90, [(10, 20, 0), (60, 30, 0)])

    def test_a_group_of_few_is_told_like_a_group_of_nobody(self) -> None:
        few = clear_curves([self.FULL, self.OTHER, curve_of("c", 9, [(10, 9, 0)])], levels="abc")
        none = clear_curves([self.FULL, self.OTHER], levels="abc")
        assert few.curves[2] == none.curves[2]

    def test_every_level_is_listed_whether_anybody_is_in_it_or_not(self) -> None:
        found = clear_curves([self.FULL, self.OTHER], levels=("a", "b", "c", "missing"))
        assert [curve.group for curve in found.curves] == ["a", "b", "c", "missing"]

    def test_a_group_with_few_events_shows_its_size_and_no_steps(self) -> None:
        quiet = curve_of("b", 90, [(10, 9, 0)])
        found = clear_curves([self.FULL, quiet], levels="ab").curves[1]
        assert (found.persons.kind, found.events.kind, found.steps) == ("counted", "withheld", ())
        assert found.median == Withheld(reason=WithholdReason.TOO_FEW_EVENTS)

    def test_groups_are_stepped_each_by_itself(self) -> None:
        alone = clear_curves([curve_of("*", 100, [(10, 40, 0), (50, 30, 0)])]).curves[0]
        beside = clear_curves([self.FULL, self.OTHER], levels="ab").curves[0]
        assert alone.steps == beside.steps
