"""A researcher who asks nearly the same twice learns nothing of the few who differ."""

import pytest

from atoll_node.disclosure import Ledger
from atoll_node.raw import PersonSet, RawCount, RawStep
from atoll_schemas.cells import Withheld
from atoll_schemas.query import Count, Tighten
from atoll_schemas.results import ClearedResult, SiteCount
from tests.support.cleared import question
from tests.support.gate import MemoryInTests, let_out, persons_from


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(MemoryInTests())


def ask(ledger: Ledger, members: PersonSet, tighten: Tighten | None = None) -> ClearedResult:
    size = len(members)
    raw = RawCount(size, (RawStep("entry events", size + 40), RawStep("adults", size)))
    return let_out(raw, question(Count(), tighten=tighten), members=members, ledger=ledger)


def persons_of(result: ClearedResult) -> object:
    assert isinstance(result.payload, SiteCount)
    return result.payload.persons


def test_a_cohort_without_one_known_person_looks_like_a_small_cohort(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 100))
    attacked = ask(ledger, persons_from(1, 99))
    small = ask(Ledger(MemoryInTests()), persons_from(0, 3))
    assert attacked == small


def test_a_refused_cohort_leaves_no_trace_that_opens_a_way(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 100))
    for _ in range(3):
        assert isinstance(persons_of(ask(ledger, persons_from(0, 95))), Withheld)


def test_the_same_cohort_may_be_asked_again(ledger: Ledger) -> None:
    assert ask(ledger, persons_from(0, 100)) == ask(ledger, persons_from(0, 100))


def test_a_new_release_with_a_few_persons_more_is_withheld(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 100))
    assert isinstance(persons_of(ask(ledger, persons_from(0, 104))), Withheld)
    assert not isinstance(persons_of(ask(ledger, persons_from(0, 130))), Withheld)


def test_three_cohorts_that_leave_a_few_over_are_withheld(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 100))
    ask(ledger, persons_from(100, 100))
    assert isinstance(persons_of(ask(ledger, persons_from(0, 203))), Withheld)


def test_a_small_cohort_is_not_remembered_against_later_ones(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 9))
    assert not isinstance(persons_of(ask(ledger, persons_from(0, 15))), Withheld)


def test_a_tightened_question_is_compared_by_its_own_minimum(ledger: Ledger) -> None:
    ask(ledger, persons_from(0, 100))
    strict = ask(ledger, persons_from(0, 115), Tighten(minimum_persons=20))
    assert isinstance(persons_of(strict), Withheld)


def test_a_cohort_answered_meanwhile_is_compared_too() -> None:
    class Racing(MemoryInTests):
        """Another answer of the project is remembered just before this one."""

        raced = False

        def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
            if not self.raced:
                self.raced = True
                super().keep(project, dataset, persons_from(0, 96), ())
            return super().keep(project, dataset, members, overlaps)

    assert isinstance(persons_of(ask(Ledger(Racing()), persons_from(0, 100))), Withheld)
