"""A reader who keeps every catalog of a site learns nothing of the few who came with a new release."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_node.catalog import describe
from atoll_node.catalog.profile import ConceptProfile, FieldProfile, Profile, TableProfile, YearProfile
from atoll_node.catalog.settling import Described, figures_of, settled
from atoll_node.disclosure import clear_parts
from atoll_node.release import Release
from atoll_node.settings import GateSettings
from atoll_node.state import State
from atoll_schemas.catalog import CatalogEntry

RELEASE = Release(
    name="colon-0001",
    site="atoll-a",
    dataset="colon",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    tables=(),
    content_digest="sha256:00",
)


def profile(persons: int, with_condition: int, rows: int = 0) -> Profile:
    """Everybody stands in ``person``, some have a condition in one year."""
    rows = max(rows, with_condition)
    return Profile(
        persons=persons,
        tables=(
            TableProfile(
                "person", persons, persons, (FieldProfile("year_of_birth", "int32", True, persons),)
            ),
            TableProfile(
                "condition_occurrence",
                with_condition,
                rows,
                (FieldProfile("visit_occurrence_id", "int64", False, with_condition),),
            ),
        ),
        years=(YearProfile("condition_occurrence", 2020, with_condition, rows),),
        concepts=(
            ConceptProfile("condition_occurrence", "condition_concept_id", 201, None, with_condition, rows),
        ),
        names={},
        vocabulary_version=None,
    )


class Reader:
    """Sees each catalog entry that a node pushes of the same dataset."""

    def __init__(self, file: Path) -> None:
        self.described = Described(State(file))

    def sees(self, found: Profile) -> CatalogEntry:
        kept = settled(found, self.described.last("colon"), 10)
        self.described.keep("colon", figures_of(kept))
        return describe(
            kept,
            RELEASE,
            title="Colon",
            description="",
            settings=GateSettings(),
            clear_parts=clear_parts,
        )


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "node.sqlite")


@pytest.mark.parametrize("more", range(1, 10))
def test_a_release_with_a_few_persons_more_looks_like_the_one_before(reader: Reader, more: int) -> None:
    """52 and 53 would be 50 and 55: the one who came has the condition."""
    assert reader.sees(profile(100 + more, 52 + more)) == reader.sees(profile(100, 52))


def test_a_release_with_a_person_fewer_does_so_too(reader: Reader) -> None:
    assert reader.sees(profile(103, 53)) == reader.sees(profile(102, 52))


def test_it_moves_once_ten_persons_came(reader: Reader) -> None:
    first = reader.sees(profile(100, 52))
    assert [reader.sees(profile(100 + n, 52)) == first for n in range(1, 11)] == [True] * 9 + [False]


def test_a_concept_that_passes_the_minimum_by_one_person_is_not_told(reader: Reader) -> None:
    assert reader.sees(profile(100, 9)).concepts == ()
    assert reader.sees(profile(100, 10)).concepts == ()
    assert len(reader.sees(profile(100, 19)).concepts) == 1


def test_a_dataset_described_for_the_first_time_is_described_as_it_is(reader: Reader) -> None:
    assert reader.sees(profile(100, 52)).concepts[0].persons.model_dump()["value"] == 50


def test_the_figures_outlive_a_restart(reader: Reader, tmp_path: Path) -> None:
    first = reader.sees(profile(100, 52))
    assert Reader(tmp_path / "node.sqlite").sees(profile(101, 53)) == first


def drift(steps: Iterable[int], start: int) -> list[int]:
    found = [start]
    for step in steps:
        found.append(max(0, found[-1] + step))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 6), max_size=30), st.integers(0, 60))
def test_however_a_dataset_drifts_each_move_is_of_ten_persons(steps: list[int], start: int) -> None:
    before: dict[str, int] = {}
    last: Profile | None = None
    for number in drift(steps, start):
        kept = settled(profile(200 + number, number), before, 10)
        before = figures_of(kept)
        if last is not None:
            moved = kept.concepts[0].persons - last.concepts[0].persons
            assert moved == 0 or abs(moved) >= 10
            assert abs(kept.concepts[0].persons - number) < 10
        last = kept


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(0, 40), st.integers(0, 40)), st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_the_gate_can_judge_every_settled_profile(one: tuple[int, int], other: tuple[int, int]) -> None:
    """Figures that stay and figures that move need not add up; none of that is a fault."""
    first = profile(sum(one), one[0], rows=3 * one[0])
    second = settled(profile(sum(other), other[0], rows=2 * other[0]), figures_of(first), 10)
    for each in (first, second, replace(second, persons=0)):
        assert describe(
            each, RELEASE, title="t", description="", settings=GateSettings(), clear_parts=clear_parts
        )
