"""Curves leave in steps of at least ten events, and the log-rank figures exactly or not at all."""

import itertools

import numpy as np
import pytest

from atoll_node.disclosure.survival import DAY_GRID
from atoll_node.raw import RawCurve, RawKaplanMeier, RawLogRank
from atoll_schemas.cells import Counted, Measured, Withheld, WithholdReason
from atoll_schemas.query import Death, KaplanMeier, Outcome
from atoll_schemas.results import Curve, LogRank, SiteKaplanMeier
from tests.support.cleared import question
from tests.support.gate import let_out, leveled, persons_from

DIED = Outcome(name="death", definition=Death())
TEST = RawLogRank(("a", "b"), (30.0, 33.0), (31.5, 31.5), ((15.0, -15.0), (-15.0, 15.0)))


def life_table(group: str, persons: int, events: int, seed: int = 1) -> RawCurve:
    """Return a life table with events first among random days."""
    days = np.sort(np.random.default_rng(seed).integers(1, 2000, persons))
    died = np.arange(persons) < events
    found: dict[int, list[int]] = {}
    for day, event in zip(days.tolist(), died.tolist(), strict=True):
        found.setdefault(day, [0, 0])[0 if event else 1] += 1
    at_risk, left = [], persons
    for died_here, censored in found.values():
        at_risk.append(left)
        left -= died_here + censored
    return RawCurve(
        group, persons, events, tuple(found), tuple(at_risk),
        tuple(d for d, _ in found.values()), tuple(c for _, c in found.values()),
    )  # fmt: skip


def cleared_curves(
    *curves: RawCurve, test: RawLogRank | None = TEST, groups: tuple[str, ...] = ("a", "b")
) -> SiteKaplanMeier:
    grouped = curves[0].group != "*"
    by = leveled("arm", groups) if grouped else None
    members = persons_from(1, sum(curve.persons for curve in curves))
    payload = let_out(
        RawKaplanMeier("death", curves, test if grouped else None, groups if grouped else ()),
        question(KaplanMeier(outcome=DIED, by=by)),
        members=members,
    ).payload
    assert isinstance(payload, SiteKaplanMeier)
    return payload


def curve_of(payload: SiteKaplanMeier, group: str) -> Curve:
    return next(curve for curve in payload.curves if curve.group == group)


def survival_at(raw: RawCurve, day: int) -> float:
    """Return the product-limit estimate by its definition."""
    rows = zip(raw.days, raw.at_risk, raw.events_at, strict=True)
    return float(np.prod([1 - died / at_risk for when, at_risk, died in rows if when <= day]))


class TestSteps:
    RAW = life_table("*", 200, 140)

    def test_each_lies_on_the_true_curve(self) -> None:
        steps = cleared_curves(self.RAW).curves[0].steps
        assert len(steps) > 5
        for step in steps:
            assert step.survival == pytest.approx(survival_at(self.RAW, step.day), abs=5.1e-5)

    def test_ten_events_lie_between_two(self) -> None:
        days = [0, *(step.day for step in cleared_curves(self.RAW).curves[0].steps)]
        for low, high in itertools.pairwise(days):
            between = sum(
                d for day, d in zip(self.RAW.days, self.RAW.events_at, strict=True) if low < day <= high
            )
            assert between >= 10

    def test_they_lie_on_a_grid_of_days(self) -> None:
        assert all(step.day % DAY_GRID == 0 for step in cleared_curves(self.RAW).curves[0].steps)

    def test_no_two_shown_numbers_at_risk_differ_by_few(self) -> None:
        steps = cleared_curves(self.RAW).curves[0].steps
        shown = [step.at_risk.value for step in steps if isinstance(step.at_risk, Counted)]
        assert shown
        assert all(earlier - later >= 5 for earlier, later in zip([200, *shown], shown, strict=False))

    def test_greenwood_without_censoring_is_the_binomial_error(self) -> None:
        raw = RawCurve("*", 100, 40, (7, 14), (100, 80), (20, 20), (0, 60))
        steps = cleared_curves(raw).curves[0].steps
        assert [(step.day, step.survival, step.std_err) for step in steps] == [
            (7, 0.8, 0.04), (14, 0.6, round((0.6 * 0.4 / 100) ** 0.5, 4)),
        ]  # fmt: skip

    def test_the_median_is_read_from_the_steps(self) -> None:
        curve = cleared_curves(self.RAW).curves[0]
        assert isinstance(curve.median, Measured)
        assert curve.median.value == next(step.day for step in curve.steps if step.survival <= 0.5)

    def test_a_curve_that_stays_high_has_no_median(self) -> None:
        curve = cleared_curves(life_table("*", 200, 30)).curves[0]
        assert curve.median == Withheld(reason=WithholdReason.TOO_FEW_EVENTS)


class TestGroups:
    def test_nine_persons_have_no_curve(self) -> None:
        payload = cleared_curves(
            life_table("a", 100, 60), life_table("b", 90, 50), life_table("c", 9, 5), groups=tuple("abc")
        )
        small = curve_of(payload, "c")
        assert small.steps == ()
        assert {small.persons.kind, small.events.kind, small.median.kind} == {"withheld"}

    def test_nobody_looks_like_nine_persons(self) -> None:
        some = cleared_curves(
            life_table("a", 100, 60), life_table("b", 90, 50), life_table("c", 9, 5), groups=tuple("abc")
        )
        none = cleared_curves(life_table("a", 100, 60), life_table("b", 90, 50), groups=tuple("abc"))
        assert curve_of(some, "c") == curve_of(none, "c")
        assert some.log_rank == none.log_rank == Withheld(reason=WithholdReason.TOO_FEW_EVENTS)

    def test_nine_events_have_no_steps(self) -> None:
        curve = curve_of(cleared_curves(life_table("a", 100, 9), life_table("b", 90, 50)), "a")
        assert isinstance(curve.persons, Counted)
        assert (curve.steps, curve.events.kind) == ((), "withheld")


class TestLogRank:
    def test_it_leaves_exactly(self) -> None:
        payload = cleared_curves(life_table("a", 100, 60), life_table("b", 90, 50))
        assert payload.log_rank == LogRank(
            groups=TEST.groups, observed=TEST.observed, expected=TEST.expected, variance=TEST.variance
        )

    def test_a_group_with_nine_events_holds_it_back(self) -> None:
        payload = cleared_curves(life_table("a", 100, 60), life_table("b", 90, 9))
        assert payload.log_rank == Withheld(reason=WithholdReason.TOO_FEW_EVENTS)

    def test_without_groups_there_is_none(self) -> None:
        assert cleared_curves(life_table("*", 100, 60)).log_rank is None
