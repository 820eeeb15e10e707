"""Gate, chapter 5: declared bins are merged until each holds enough persons; the tails most of all."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_schemas.cells import Counted
from tests.support.gate_chapters import clear_bins, clear_number, drawn, number_group


def test_full_bins_leave_as_they_were_declared() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 20
        10   | 20 | 30
        20   | 30 | 40
        30   |    | 50
    """) == drawn("""
        from | to | persons
             | 10 | 20±2
        10   | 20 | 30±2
        20   | 30 | 40±2
        30   |    | 50±2
    """)


def test_a_small_bin_joins_the_next_one() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 20
        10   | 20 | 3
        20   | 30 | 42
        30   |    | 50
    """) == drawn("""
        from | to | persons
             | 10 | 20±2
        10   | 30 | 45±2
        30   |    | 50±2
    """)


def test_a_thin_lower_tail_joins_its_neighbour() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 1
        10   | 20 | 30
        20   |    | 40
    """) == drawn("""
        from | to | persons
             | 20 | 30±2
        20   |    | 40±2
    """)


def test_a_thin_upper_tail_joins_the_bin_before_it() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 20
        10   | 20 | 30
        20   | 30 | 40
        30   |    | 1
    """) == drawn("""
        from | to | persons
             | 10 | 20±2
        10   | 20 | 30±2
        20   |    | 40±2
    """)


def test_an_empty_tail_is_never_shown_to_be_empty() -> None:
    one = clear_bins("""
        from | to | persons
             | 10 | 0
        10   | 20 | 31
        20   |    | 40
    """)
    none = clear_bins("""
        from | to | persons
             | 10 | 1
        10   | 20 | 30
        20   |    | 40
    """)
    assert one == none


def test_several_thin_bins_run_together_until_they_are_ten_persons() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 4
        10   | 20 | 4
        20   | 30 | 4
        30   | 40 | 4
        40   |    | 4
    """) == drawn("""
        from | to | persons
             |    | 20±2
    """)


def test_all_in_one_bin_says_only_that_they_are_there() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 0
        10   | 20 | 44
        20   |    | 0
    """) == drawn("""
        from | to | persons
             |    | 45±2
    """)


def test_fewer_than_ten_numbers_have_no_bins() -> None:
    assert clear_bins("""
        from | to | persons
             | 10 | 3
        10   | 20 | 2
        20   |    | 1
    """) == drawn("""
        from | to | persons
    """)


def test_when_nobody_lacks_a_number_a_bin_turns_coarse_so_that_this_is_not_told() -> None:
    """All bins together would be the cohort, and the number of those without a value would be nought."""
    text = """
        from | to | persons
             | 10 | 20
        10   | 20 | 30
        20   |    | 40
    """
    assert clear_bins(text, missing=0) == clear_bins(text, missing=1)
    assert clear_bins(text, missing=0) != clear_bins(text, missing=30)
    assert "±7" in clear_bins(text, missing=0)


def test_a_stricter_site_merges_more() -> None:
    text = """
        from | to | persons
             | 10 | 20
        10   | 20 | 22
        20   | 30 | 23
        30   |    | 50
    """
    assert len(clear_bins(text).splitlines()) == 5
    assert clear_bins(text, minimum_persons=40, missing=60) == drawn("""
        from | to | persons
             | 20 | 40±2
        20   |    | 75±2
    """)


class TestGroups:
    EDGES = (10.0, 20.0)

    def bins(self, *groups: tuple[int, int, int]) -> dict[str, list[tuple[float | None, float | None]]]:
        """Return the bins of each group that has so many persons below 10, below 20 and above."""
        parts = {
            f"g{place}": ([5.0] * low + [15.0] * middle + [25.0] * high, 0)
            for place, (low, middle, high) in enumerate(groups)
        }
        found = clear_number(parts, self.EDGES).groups
        return {group.group: [(part.low, part.high) for part in group.bins] for group in found}

    def test_all_groups_have_the_same_bins(self) -> None:
        found = self.bins((20, 3, 40), (30, 30, 30))
        assert found["g0"] == found["g1"] == found["*"] == [(None, 10.0), (10.0, None)]

    def test_a_group_below_the_minimum_shows_none_and_the_others_hide_it(self) -> None:
        found = self.bins((50, 50, 50), (40, 40, 40), (1, 2, 3))
        assert found["g2"] == []
        assert found["*"] == [(None, 10.0), (10.0, 20.0), (20.0, None)]
        assert found["g0"] == found["g1"] == []

    def test_two_small_groups_together_are_a_crowd(self) -> None:
        found = self.bins((50, 50, 50), (2, 3, 3), (3, 2, 3))
        assert found["g1"] == found["g2"] == []
        assert found["g0"] == found["*"] == [(None, None)]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=3, max_size=7), st.integers(2, 25))
def test_whatever_the_numbers_every_shown_bin_has_enough_and_none_is_lost(
    persons: list[int], minimum: int
) -> None:
    edges = [10.0 * place for place in range(1, len(persons))]
    values = [10.0 * place + 5 for place, number in enumerate(persons) for _ in range(number)]
    declared = number_group("*", values, 0, edges).bins
    (group,) = clear_number({"*": (values, 30)}, edges, minimum_persons=minimum).groups
    true = {part.low: part.persons for part in declared}
    ends = [part.low for part in group.bins] + [None]
    assert all(before.high == after.low for before, after in itertools.pairwise(group.bins))
    for part in group.bins:
        inside = sum(
            number
            for low, number in true.items()
            if (part.low is None or (low is not None and low >= part.low))
            and (part.high is None or low is None or low < part.high)
        )
        assert isinstance(part.persons, Counted)
        assert inside >= minimum
        assert abs(part.persons.value - inside) <= part.persons.half_width
    assert not group.bins or (ends[0] is None and group.bins[-1].high is None)
