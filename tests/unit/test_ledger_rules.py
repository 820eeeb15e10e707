"""The ledger finds pairs and triples of cohorts that isolate a few persons, and only those."""

import sqlite3
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_node.disclosure import Ledger, LedgerStore, Remembered
from atoll_node.disclosure.ledger import MOST_COHORTS, judged
from atoll_node.errors import Refused
from atoll_node.raw import PersonSet
from tests.support.gate import MemoryInTests, persons_from

Persons = frozenset[int]


def as_set(persons: Persons | set[int]) -> PersonSet:
    return np.array(sorted(persons), dtype=np.int64)


def remembered(*cohorts: PersonSet) -> list[Remembered]:
    memory = MemoryInTests()
    for cohort in cohorts:
        verdict = judged(cohort, memory.recall("P-1"), 10)
        memory.keep("P-1", "d", cohort, verdict.overlaps)
    return list(memory.recall("P-1"))


def too_near(new: PersonSet, *past: PersonSet) -> bool:
    return judged(new, remembered(*past), 10).too_near


class TestPairs:
    @pytest.mark.parametrize("more", range(1, 10))
    def test_a_few_persons_more_are_too_near(self, more: int) -> None:
        assert too_near(persons_from(0, 100 + more), persons_from(0, 100))
        assert too_near(persons_from(0, 100), persons_from(0, 100 + more))

    def test_a_few_exchanged_for_a_few_are_too_near(self) -> None:
        assert too_near(persons_from(9, 100), persons_from(0, 100))

    @pytest.mark.parametrize("first", [10, 50, 200])
    def test_ten_or_more_are_not(self, first: int) -> None:
        assert not too_near(persons_from(first, 100), persons_from(0, 100))
        assert not too_near(persons_from(0, 100 + first), persons_from(0, 100))

    def test_the_same_cohort_is_not(self) -> None:
        verdict = judged(persons_from(0, 100), remembered(persons_from(0, 100)), 10)
        assert (verdict.too_near, verdict.known) == (False, True)

    def test_the_first_cohort_is_not(self) -> None:
        assert not too_near(persons_from(0, 100))


class TestTriples:
    def test_a_union_that_lacks_a_few(self) -> None:
        assert too_near(persons_from(0, 205), persons_from(0, 100), persons_from(100, 100))

    def test_an_intersection_that_lacks_a_few(self) -> None:
        assert too_near(persons_from(53, 50), persons_from(0, 100), persons_from(50, 100))

    def test_a_difference_that_lacks_a_few(self) -> None:
        assert too_near(persons_from(0, 45), persons_from(0, 100), persons_from(50, 100))

    def test_a_new_part_that_completes_an_earlier_union(self) -> None:
        assert too_near(persons_from(100, 100), persons_from(0, 100), persons_from(0, 205))

    def test_two_parts_and_their_exact_union_tell_nothing_new(self) -> None:
        assert not too_near(persons_from(0, 200), persons_from(0, 100), persons_from(100, 100))


@settings(max_examples=300, deadline=None)
@given(*[st.frozensets(st.integers(0, 24), min_size=1) for _ in range(3)], st.integers(2, 5))
def test_it_agrees_with_the_definition(a: Persons, b: Persons, c: Persons, minimum: int) -> None:
    past = remembered(as_set(b), as_set(c))
    known = a in (b, c)
    sets = [(a, b, c), (b, a, c), (c, a, b)]
    others = [(t, other) for t, u, v in sets for other in (u | v, u & v, u - v, v - u)]
    apart = [(len(x - y), len(y - x)) for x, y in [(a, b), (a, c), *others]]
    expected = any(left + right > 0 and left < minimum and right < minimum for left, right in apart)
    assert judged(as_set(a), past, minimum).too_near == (expected and not known)


class TestStore:
    def test_it_remembers_after_a_restart(self, tmp_path: Path) -> None:
        cohorts = [persons_from(0, 100), as_set({-(2**62), 5, 2**62, 2**62 + 1}), persons_from(7, 1)]
        store = LedgerStore(tmp_path / "state" / "node.sqlite")
        for place, cohort in enumerate(cohorts):
            assert store.keep("P-1", "colon", cohort, tuple(range(place)))
        store.close()
        found = list(LedgerStore(tmp_path / "state" / "node.sqlite").recall("P-1"))
        assert [one.members.tolist() for one in found] == [cohort.tolist() for cohort in cohorts]
        assert [one.overlaps for one in found] == [(), (0,), (0, 1)]

    @given(st.frozensets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50))
    @settings(max_examples=50, deadline=None)
    def test_any_person_ids_come_back(self, persons: Persons) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = LedgerStore(Path(folder) / "node.sqlite")
            assert store.keep("P-1", "colon", as_set(persons), ())
            assert next(store.recall("P-1")).members.tolist() == sorted(persons)
            store.close()

    def test_projects_do_not_mix_and_datasets_do(self, tmp_path: Path) -> None:
        """A person has one pseudonym in all datasets of a site, so cohorts of two are compared."""
        store = LedgerStore(tmp_path / "node.sqlite")
        store.keep("P-1", "colon", persons_from(0, 100), ())
        assert list(store.recall("P-2")) == []
        assert store.keep("P-1", "lung", persons_from(0, 104), (100,))
        assert [len(one.members) for one in store.recall("P-1")] == [100, 104]

    def test_a_place_is_taken_once(self, tmp_path: Path) -> None:
        store = LedgerStore(tmp_path / "node.sqlite")
        won = []
        threads = [
            threading.Thread(target=lambda: won.append(store.keep("P-1", "d", persons_from(0, 50), ())))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 7 + [True]

    def test_it_lives_beside_other_tables(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "node.sqlite") as other:
            other.execute("create table permit (id text)")
        assert list(LedgerStore(tmp_path / "node.sqlite").recall("P-1")) == []


def test_a_full_ledger_refuses_what_it_cannot_compare() -> None:
    memory = MemoryInTests()
    for place in range(MOST_COHORTS):
        memory.keep("P-1", "d", persons_from(100 * place, 20), (0,) * place)
    ledger = Ledger(memory)
    with pytest.raises(Refused) as caught:
        ledger.judge("P-1", persons_from(10**7, 20), 10)
    assert caught.value.code == "disclosure.ledger_full"
    assert ledger.judge("P-1", persons_from(0, 20), 10).known
