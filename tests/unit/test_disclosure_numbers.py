"""Moments leave exactly or not at all, and bins are merged until each holds enough persons."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_node.disclosure.numbers import dominated, spans
from atoll_node.raw import RawBin, RawNumber, RawNumberGroup, RawTable1
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Counted, Withheld, WithholdReason
from atoll_schemas.query import Codes, NumberValue, Table1, Variable
from atoll_schemas.results import Moments, NumberGroup, NumberSummary, SiteTable1
from tests.support.cleared import question
from tests.support.gate import let_out, leveled, raw_table

EDGES = (0.0, 10.0, 20.0, 30.0, 40.0)
NODES = Variable(
    name="nodes",
    definition=NumberValue(domain="measurement", codes=Codes(concept_ids=(1,))),
    edges=EDGES,
)


def group_of(name: str, values: list[float], missing: int = 0) -> RawNumberGroup:
    """Return what the engine says of one group's numbers."""
    numbers = np.array(values, dtype=float)
    bounds = [None, *EDGES, None]
    bins = tuple(
        RawBin(
            low,
            high,
            int(
                (
                    (numbers >= (-np.inf if low is None else low))
                    & (numbers < (np.inf if high is None else high))
                ).sum()
            ),
        )
        for low, high in itertools.pairwise(bounds)
    )
    mean = float(numbers.mean()) if values else 0.0
    return RawNumberGroup(
        group=name,
        persons=len(values) + missing,
        n=len(values),
        mean=mean,
        m2=float(((numbers - mean) ** 2).sum()),
        absolute_sum=float(np.abs(numbers).sum()),
        largest=tuple(sorted(map(float, np.abs(numbers)), reverse=True)[:2]),
        bins=bins,
    )


def summary_of(groups: dict[str, tuple[list[float], int]]) -> dict[str, NumberGroup]:
    """Return the cleared groups of one number; ``*`` is made from the parts."""
    everybody = group_of(
        "*", [v for values, _ in groups.values() for v in values], sum(m for _, m in groups.values())
    )
    parts = [group_of(name, values, missing) for name, (values, missing) in groups.items()]
    alone = list(groups) == ["*"]
    table = (
        None if alone else raw_table(["arm"], [list(groups)], {(part.group,): part.persons for part in parts})
    )
    number = RawNumber("nodes", "1", (everybody,) if alone else (everybody, *parts))
    query = question(Table1(variables=(NODES,), by=None if alone else leveled("arm", groups)))
    payload = let_out(RawTable1(everybody.persons, table, (number,)), query).payload
    assert isinstance(payload, SiteTable1)
    summary = payload.summaries[0]
    assert isinstance(summary, NumberSummary)
    return {group.group: group for group in summary.groups}


def spread(number: int, start: float = 1.0) -> list[float]:
    return [start + place % 37 for place in range(number)]


def held(group: NumberGroup) -> WithholdReason | None:
    return group.moments.reason if isinstance(group.moments, Withheld) else None


class TestMoments:
    def test_they_are_exact(self) -> None:
        values = spread(123)
        moments = summary_of({"*": (values, 0)})["*"].moments
        assert isinstance(moments, Moments)
        assert (moments.n, moments.mean) == (123, float(np.mean(values)))

    def test_fewer_than_ten_values_give_none(self) -> None:
        assert held(summary_of({"*": (spread(9), 50)})["*"]) is WithholdReason.PROTECTED

    @pytest.mark.parametrize("missing", range(1, 10))
    def test_a_few_missing_values_hold_them_back(self, missing: int) -> None:
        group = summary_of({"*": (spread(100), missing)})["*"]
        assert held(group) is WithholdReason.PROTECTED
        assert isinstance(group.missing, Withheld)

    def test_many_missing_values_do_not(self) -> None:
        group = summary_of({"*": (spread(100), 40)})["*"]
        assert held(group) is None
        assert group.missing == Counted(value=40)

    def test_one_person_who_carries_the_sum_holds_them_back(self) -> None:
        assert held(summary_of({"*": ([1.0] * 20 + [100_000.0], 0)})["*"]) is WithholdReason.DOMINANCE

    def test_a_value_that_all_share_holds_them_back(self) -> None:
        assert held(summary_of({"*": ([7.0] * 50, 0)})["*"]) is WithholdReason.DOMINANCE

    def test_a_small_group_takes_another_with_it(self) -> None:
        groups = summary_of({"a": (spread(100), 0), "b": (spread(60), 0), "c": (spread(5), 0)})
        assert [held(groups[name]) for name in "*abc"] == [
            None, None, WithholdReason.PROTECTED, WithholdReason.PROTECTED,
        ]  # fmt: skip

    def test_a_dominated_group_is_not_left_over_by_subtraction(self) -> None:
        groups = summary_of({"a": (spread(100), 0), "b": (spread(60), 0), "c": ([1.0] * 20 + [1e6], 0)})
        assert held(groups["c"]) is WithholdReason.DOMINANCE
        rest = [name for name in "ab" if held(groups[name]) is None]
        assert held(groups["*"]) is WithholdReason.DOMINANCE or len(rest) == 1

    def test_empty_bookkeeping_groups_hold_nothing_back(self) -> None:
        groups = summary_of(
            {"a": (spread(100), 0), "b": (spread(60), 0), "other": ([], 0), "missing": ([], 0)}
        )
        assert [held(groups[name]) for name in "*ab"] == [None, None, None]

    def test_a_few_persons_in_a_bookkeeping_group_are_not_left_over(self) -> None:
        groups = summary_of({"a": (spread(100), 0), "b": (spread(60), 0), "missing": (spread(3), 0)})
        assert held(groups["b"]) is WithholdReason.PROTECTED


class TestDominance:
    def test_two_persons_may_carry_nine_tenths(self) -> None:
        assert not dominated(100, (50, 40), GateSettings())
        assert dominated(100, (50, 40.1), GateSettings())

    def test_the_rest_is_a_tenth_of_the_largest(self) -> None:
        assert dominated(1000, (900, 1), GateSettings(dominance_share=1, p_ratio=0.2))

    def test_an_empty_sum_is_not_dominated(self) -> None:
        assert not dominated(0, (0, 0), GateSettings())


class TestBins:
    def test_each_has_ten_persons_and_none_is_withheld(self) -> None:
        bins = summary_of({"*": (spread(123), 0)})["*"].bins
        assert len(bins) > 1
        assert all(isinstance(part.persons, Counted) for part in bins)
        assert (bins[0].low, bins[-1].high) == (None, None)
        assert all(a.high == b.low for a, b in itertools.pairwise(bins))

    def test_a_small_group_gives_none(self) -> None:
        groups = summary_of({"a": (spread(100), 0), "b": (spread(60), 0), "c": (spread(5), 0)})
        assert groups["c"].bins == ()

    @given(
        st.lists(st.lists(st.integers(0, 60), min_size=5, max_size=5), min_size=1, max_size=4),
        st.integers(2, 20),
    )
    def test_merged_bins_hold_the_minimum_in_every_group_and_in_the_rest(
        self, columns: list[list[int]], minimum: int
    ) -> None:
        def group(name: str, counts: list[int]) -> RawNumberGroup:
            bins = tuple(RawBin(float(p), float(p + 1), n) for p, n in enumerate(counts))
            total = sum(counts)
            return RawNumberGroup(name, total, total, 1.0, 1.0, 1.0, (), bins)

        everybody = [sum(column) for column in zip(*columns, strict=True)]
        number = RawNumber(
            "x", None, (group("*", everybody), *(group(f"g{p}", c) for p, c in enumerate(columns)))
        )
        for run in spans(number, minimum):
            assert run.persons(number.groups[0].bins) >= minimum
            for part in number.groups[1:]:
                alone = len(columns) > 1 and part.n < minimum
                assert (
                    alone
                    or part.n < minimum
                    or run.persons(part.bins) >= minimum
                    or not _together(number, minimum)
                )


def _together(number: RawNumber, minimum: int) -> bool:
    rest = number.groups[0].n - sum(part.n for part in number.groups[1:] if part.n >= minimum)
    return rest == 0 or rest >= minimum
