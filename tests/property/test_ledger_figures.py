"""Footprints add up, miss no near set, and survive a restart; an answer without contributions stays."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from atoll_node.disclosure import Figure, Ledger, LedgerStore, clear
from atoll_node.disclosure.earlier import MOST_FIGURES, STAYED, standing
from atoll_node.disclosure.footprints import (
    Footprint,
    Footprints,
    added,
    footprint,
    mixed,
    of_persons,
    parted,
    united,
)
from atoll_node.errors import Refused
from atoll_node.raw import PersonSet, RawAggregate, RawContributions, RawCount, RawStep
from atoll_node.settings import GateSettings
from atoll_schemas.query import Count
from tests.support.cleared import question
from tests.support.gate import TEST_RELEASE, MemoryInTests, persons_from

Persons = frozenset[int]
sets = st.frozensets(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40), max_size=60)


def print_of(persons: Persons) -> Footprint:
    return of_persons(np.array(sorted(persons), dtype=np.int64))


def distance(one: Footprint, other: Footprint) -> int:
    return int(np.abs(one.buckets - other.buckets).sum())


def asked(print_: Footprint, *earlier: Footprint, base: int = 5, minimum: int = 10) -> bool:
    """Return whether a cohort of this footprint is too near earlier figures."""
    past = [Figure(one, base, leading=True) for one in earlier]
    return standing(Footprints({(): print_}), past, minimum, 5).too_near


@given(sets, sets)
def test_footprints_are_never_farther_apart_than_the_sets(a: Persons, b: Persons) -> None:
    assert distance(print_of(a), print_of(b)) <= len(a ^ b)


@given(sets, sets)
def test_the_footprint_of_a_union_is_the_sum_of_the_parts(a: Persons, b: Persons) -> None:
    one, other, both = print_of(a - b), print_of(b), print_of(a | b)
    assert added(one.name, other.name) == both.name
    assert (one.buckets + other.buckets).tolist() == both.buckets.tolist()


@given(sets, sets)
def test_other_sets_have_other_names(a: Persons, b: Persons) -> None:
    assert (print_of(a).name == print_of(b).name) == (a == b)


@settings(max_examples=200, deadline=None)
@given(sets, st.frozensets(st.integers(1000, 1040), min_size=1, max_size=9))
def test_one_to_nine_persons_more_are_always_noticed(a: Persons, few: Persons) -> None:
    assert asked(print_of(a | few), print_of(a))
    assert asked(print_of(a), print_of(a | few))


@settings(max_examples=200, deadline=None)
@given(sets, sets, st.frozensets(st.integers(1000, 1040), min_size=1, max_size=9))
def test_a_whole_and_its_parts_but_for_a_few_are_always_noticed(a: Persons, b: Persons, few: Persons) -> None:
    assume(a - b and b)
    whole, first, second = print_of(a | b | few), print_of(a - b), print_of(b)
    assert asked(whole, first, second)
    assert asked(first, whole, second)
    assert asked(second, whole, first)


def test_a_whole_and_exactly_its_parts_tell_nothing_new() -> None:
    whole, first, second = (of_persons(persons_from(*run)) for run in ((0, 90), (0, 50), (50, 40)))
    assert not asked(whole, first, second)
    assert not asked(first, whole, second)


def test_far_sets_of_one_size_do_not_disturb_each_other() -> None:
    prints = [of_persons(persons_from(1000 * place, 100)) for place in range(20)]
    assert not any(asked(one, *[other for other in prints if other is not one]) for one in prints)


def test_a_cohort_that_stayed_as_a_part_stays() -> None:
    part = of_persons(persons_from(0, 50))
    assert asked(part, part, base=STAYED)
    assert not asked(part, part, base=5)
    assert asked(part, part, base=15), "shown so coarsely that a small part beside it stays hidden"


def test_inner_cells_that_are_too_many_to_compare_stay() -> None:
    key = (("a", "x"), ("b", "y"))
    found = Footprints({(): of_persons(persons_from(0, 50))}, untraced=frozenset({key}))
    assert standing(found, [], 10, 5).held == {key}


def test_parts_of_a_set_have_the_footprints_of_the_parts() -> None:
    """Large sets are worked on in blocks; the parts are the same."""
    hashes = mixed(np.arange(200_000, dtype=np.uint64))
    codes = np.arange(200_000, dtype=np.int64) % 3
    for place, part in enumerate(parted(hashes, codes, 3)):
        alone = footprint(hashes[codes == place])
        assert (part.name, part.buckets.tolist()) == (alone.name, alone.buckets.tolist())
    whole = united(parted(hashes, codes, 3))
    assert (whole.name, whole.size) == (footprint(hashes).name, 200_000)
    many = parted(hashes, codes, 100)
    assert [part.name for part in many[:3]] == [part.name for part in parted(hashes, codes, 3)]


def test_a_figure_that_stayed_hides_none_that_is_near_it() -> None:
    """Nobody can subtract what nobody saw."""
    stayed = Figure(of_persons(persons_from(0, 96)), STAYED, leading=True)
    assert not standing(Footprints({(): of_persons(persons_from(0, 100))}), [stayed], 10, 5).too_near


def test_too_many_figures_are_refused_never_let_pass() -> None:
    one = Figure(of_persons(persons_from(0, 50)), 5, leading=False)
    with pytest.raises(Refused) as caught:
        standing(Footprints({(): one.footprint}), [one] * (MOST_FIGURES + 1), 10, 5)
    assert caught.value.code == "disclosure.ledger_full"


class TestStore:
    def test_it_remembers_figures_after_a_restart(self, tmp_path: Path) -> None:
        figures = [Figure(of_persons(persons_from(0, n)), n % 3, bool(n % 2)) for n in (10, 11, 500_000)]
        store = LedgerStore(tmp_path / "node.sqlite")
        assert store.keep_figures("P-1", figures[:2], 0)
        assert store.keep_figures("P-1", figures[2:], 2)
        store.close()
        found = LedgerStore(tmp_path / "node.sqlite").recall_figures("P-1")
        assert [(one.footprint.name, one.base, one.leading) for one in found] == [
            (one.footprint.name, one.base, one.leading) for one in figures
        ]
        assert [one.footprint.buckets.tolist() for one in found] == [
            one.footprint.buckets.tolist() for one in figures
        ]

    def test_projects_do_not_mix(self, tmp_path: Path) -> None:
        store = LedgerStore(tmp_path / "node.sqlite")
        store.keep_figures("P-1", [Figure(of_persons(persons_from(0, 10)), 5, True)], 0)
        assert list(store.recall_figures("P-2")) == []

    def test_figures_that_came_meanwhile_are_not_written_over(self, tmp_path: Path) -> None:
        store = LedgerStore(tmp_path / "node.sqlite")
        figure = Figure(of_persons(persons_from(0, 10)), 5, True)
        assert store.keep_figures("P-1", [figure], 0)
        assert not store.keep_figures("P-1", [figure, figure], 0)
        assert len(store.recall_figures("P-1")) == 1

    def test_figures_of_another_process_are_seen_and_figures_that_are_gone_are_not(
        self, tmp_path: Path
    ) -> None:
        """What was read stays in memory, and yet the file decides."""
        file = tmp_path / "node.sqlite"
        mine, other = LedgerStore(file), LedgerStore(file)
        figures = [Figure(of_persons(persons_from(0, n)), 5, True) for n in (10, 20, 30)]
        assert mine.keep_figures("P-1", figures[:1], 0)
        assert len(mine.recall_figures("P-1")) == 1
        assert other.keep_figures("P-1", figures[1:], 1)
        assert [one.footprint.size for one in mine.recall_figures("P-1")] == [10, 20, 30]
        with sqlite3.connect(file) as restored:
            restored.execute("delete from ledger_figure where place > 0")
        assert [one.footprint.size for one in mine.recall_figures("P-1")] == [10]

    def test_it_holds_no_person(self, tmp_path: Path) -> None:
        """A person's id stands in the file of cohorts, which never leaves; not in that of figures."""
        store = LedgerStore(tmp_path / "node.sqlite")
        person = 0x1122334455667788
        store.keep_figures("P-1", [Figure(of_persons(np.array([person])), 5, True)], 0)
        store.close()
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert person.to_bytes(8, "little") not in content
        assert person.to_bytes(8, "big") not in content


def _clear(members: PersonSet, given_: RawContributions | None) -> object:
    raw = RawCount(len(members), (RawStep("entry events", len(members)),))
    return clear(
        RawAggregate(raw, members, 1, given_),
        query=question(Count()),
        release=TEST_RELEASE,
        site="atoll-a",
        settings=GateSettings(),
        ledger=Ledger(MemoryInTests()),
    )


@pytest.mark.parametrize(
    "given_",
    [None, RawContributions(persons_from(0, 49)), RawContributions(persons_from(1, 50))],
    ids=["nobody", "too few", "others"],
)
def test_an_answer_stays_whose_contributions_are_not_the_cohort(given_: RawContributions | None) -> None:
    with pytest.raises(Refused) as caught:
        _clear(persons_from(0, 50), given_)
    assert caught.value.code == "disclosure.fault"


def test_an_answer_leaves_whose_contributions_are_the_cohort_in_any_order() -> None:
    assert _clear(persons_from(0, 50), RawContributions(persons_from(0, 50)[::-1].copy()))
