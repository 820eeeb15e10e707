"""Two or three allowed questions, put beside each other, tell nothing of a few persons.

Each test plays a researcher with a permit who never asks for a small cohort, and who knows who few persons
are or guesses it. What the second question would add to the first is withheld.
"""

import itertools
import math

import pytest

from atoll_schemas.cells import Cell, Counted, Withheld
from atoll_schemas.query import TOTAL, AnyOf, Count, Crosstab, Death, Event, KaplanMeier, Outcome, Table1
from atoll_schemas.results import (
    Bin,
    ClearedResult,
    LogRank,
    Moments,
    NumberSummary,
    SiteCount,
    SiteCrosstab,
    SiteKaplanMeier,
    SiteTable1,
)
from tests.support.marked_site import MarkedSite, arms, grade, has, having, lab
from tests.support.questions import coded

DEATH = Outcome(name="death", definition=Death())


def sums(result: ClearedResult, place: int = 0) -> dict[str, Moments]:
    """Return the exact sums that were shown, by group."""
    assert isinstance(result.payload, SiteTable1)
    summary = result.payload.summaries[place]
    assert isinstance(summary, NumberSummary)
    return {group.group: group.moments for group in summary.groups if isinstance(group.moments, Moments)}


def bins(result: ClearedResult) -> tuple[Bin, ...]:
    assert isinstance(result.payload, SiteTable1)
    summary = result.payload.summaries[0]
    assert isinstance(summary, NumberSummary)
    return summary.groups[0].bins


def cells(result: ClearedResult) -> dict[tuple[str, ...], Cell]:
    """Return the cells of a count by a variable, or of a cross-tab."""
    assert isinstance(result.payload, SiteCount | SiteCrosstab)
    table = result.payload.by if isinstance(result.payload, SiteCount) else result.payload.table
    assert table is not None
    return {cell.levels: cell.persons for cell in table.cells}


def persons(result: ClearedResult) -> Cell:
    payload = result.payload
    assert not isinstance(payload, SiteKaplanMeier)
    return payload.persons


def survival(result: ClearedResult) -> SiteKaplanMeier:
    assert isinstance(result.payload, SiteKaplanMeier)
    return result.payload


class TestExactSums:
    @pytest.fixture
    def site(self) -> MarkedSite:
        """120 persons; 90 have a lab within a year, and one more a day before that."""
        site = MarkedSite(120)
        for person in range(1, 91):
            site.number("hb", person, 100 + person, -10)
        site.number("hb", 91, 987.0, -366)
        return site

    def test_a_window_of_one_more_day_does_not_show_the_value_of_that_day(self, site: MarkedSite) -> None:
        first = sums(site.ask(Table1(variables=(lab("hb", "hb", -365),))))[TOTAL]
        assert first.n == 90
        assert sums(site.ask(Table1(variables=(lab("hb", "hb", -366),)))) == {}

    def test_nor_when_both_windows_stand_in_one_question(self, site: MarkedSite) -> None:
        both = Table1(variables=(lab("near", "hb", -365), lab("far", "hb", -366)))
        result = site.ask(both)
        assert sums(result)[TOTAL].n == 90
        assert sums(result, 1) == {}

    def test_a_cohort_of_twelve_more_of_whom_one_has_a_value(self, site: MarkedSite) -> None:
        site.mark("some", range(1, 80))
        for person in range(80, 91):
            site.tables["measurement"] = [
                row
                for row in site.tables["measurement"]
                if not (row["person_id"] == person and row["measurement_source_value"] == "hb")
            ]
        site.mark("more", range(1, 92))
        variables = (lab("hb", "hb"),)
        assert sums(site.ask(Table1(variables=variables), "some"))[TOTAL].n == 79
        second = site.ask(Table1(variables=variables), "more")
        assert isinstance(persons(second), Counted)
        assert sums(second) == {}

    def test_one_persons_other_value_does_not_show(self, site: MarkedSite) -> None:
        """The same persons, but the latest value of one of them is another."""
        site.number("hb", 5, 555.0, -400)
        site.number("hb", 5, 444.0, 0)
        late = lab("hb", "hb", -365)
        early = late.model_copy(update={"definition": late.definition.model_copy(update={"take": "first"})})
        assert sums(site.ask(Table1(variables=(late,))))[TOTAL].n == 90
        assert sums(site.ask(Table1(variables=(early,)))) == {}

    def test_the_same_question_may_be_asked_again(self, site: MarkedSite) -> None:
        asked = Table1(variables=(lab("hb", "hb", -365),))
        assert site.ask(asked) == site.ask(asked)

    def test_other_numbers_of_the_same_persons_are_shown(self, site: MarkedSite) -> None:
        for person in range(1, 91):
            site.number("na", person, 1000 + person % 7, -10)
        result = site.ask(Table1(variables=(lab("hb", "hb", -365), lab("na", "na", -365))))
        assert sums(result)[TOTAL].n == sums(result, 1)[TOTAL].n == 90


class TestGroupsOfAWhole:
    """100 persons: arm A has 40, arm B 57, arm X 3."""

    @pytest.fixture
    def site(self) -> MarkedSite:
        site = MarkedSite(100)
        site.arm("T", {"A": range(1, 41), "B": range(41, 98), "X": range(98, 101)})
        site.mark("arm A", range(1, 41))
        for person in range(1, 101):
            site.number("age", person, 20 + person % 50)
        return site

    BY = Table1(variables=(lab("age", "age"),), by=arms("arm", "T", "A", "B", "X"))
    ALONE = Table1(variables=(lab("age", "age"),))

    def test_a_group_first_alone_then_beside_the_others(self, site: MarkedSite) -> None:
        assert TOTAL in sums(site.ask(self.ALONE, "arm A"))
        shown = sums(site.ask(self.BY)).keys()
        assert not {TOTAL, "B"} <= shown

    def test_a_group_first_beside_the_others_then_alone(self, site: MarkedSite) -> None:
        assert {TOTAL, "B"} <= sums(site.ask(self.BY)).keys()
        assert sums(site.ask(self.ALONE, "arm A")) == {}

    def test_the_counts_of_the_groups_neither(self, site: MarkedSite) -> None:
        first = cells(site.ask(Count(by=(arms("arm", "T", "A", "B", "X"),))))
        second = persons(site.ask(Count(), "arm A"))
        most = 100 - low_of(first[("B",)]) - max(low_of(first[("A",)]), low_of(second))
        assert most >= 9, "X, `other` and `missing` share what is left, so X is 0 to 9 at least"

    def test_levels_grouped_in_another_way_do_not_show_the_small_one(self) -> None:
        site = MarkedSite(68)
        stages = ["I"] * 3 + ["II"] * 20 + ["III"] * 45
        for person, stage in enumerate(stages, start=1):
            site.level("stage", person, stage)
        first = cells(site.ask(Count(by=(grade("stage", "stage", I=["I"], II=["II"], III=["III"]),))))
        second = cells(site.ask(Count(by=(grade("stage", "stage", II=["II"], rest=["I", "III"]),))))
        assert isinstance(first[("I",)], Withheld)
        low = 68 - high_of(first[("III",)]) - min(high_of(first[("II",)]), high_of(second[("II",)]))
        high = 68 - low_of(first[("III",)]) - max(low_of(first[("II",)]), low_of(second[("II",)]))
        assert high - max(0, low) + 1 >= 10
        third = high_of(second[("rest",)]) - low_of(first[("III",)])
        assert third + 1 >= 10


def low_of(cell: Cell) -> int:
    return cell.value - cell.half_width if isinstance(cell, Counted) else 0


def high_of(cell: Cell) -> int:
    return cell.value + cell.half_width if isinstance(cell, Counted) else 1000


class TestCountsAreNotSearched:
    """Many windows, edges or codes, each moved a little, do not find where one person stands."""

    @pytest.fixture
    def site(self) -> MarkedSite:
        site = MarkedSite(200)
        for person in range(1, 101):
            site.number("crp", person, float(person), -person)
        return site

    def test_windows_that_grow_by_a_day(self, site: MarkedSite) -> None:
        """Where the rounded count jumps, somebody has a record on that day."""
        jumps = []
        for start in range(-40, -60, -1):
            yes = cells(site.ask(Count(by=(has("crp", "crp", start),))))[("yes",)]
            jumps.append(yes.value if isinstance(yes, Counted) else None)
        shown = [place for place, value in enumerate(jumps) if value is not None]
        assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(shown))

    def test_edges_that_close_in_on_a_value(self, site: MarkedSite) -> None:
        shown = []
        for edge in range(40, 60):
            found = bins(site.ask(Table1(variables=(lab("crp", "crp", edges=(20.0, float(edge))),))))
            shown += [edge for part in found if part.high == edge and isinstance(part.persons, Counted)]
        assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(shown))

    def test_a_rule_inside_the_cohort_that_moves_while_the_cohort_does_not(self, site: MarkedSite) -> None:
        """The last rule keeps 30 persons, whatever the first one keeps of those between."""
        seen = []
        for start in range(-40, -60, -1):
            rules = (having("moves", 1, "crp", start=start), having("stays", 2, "crp", start=-30))
            payload = site.ask(Count(), rules=rules).payload
            assert isinstance(payload, SiteCount)
            step = payload.attrition[1].persons
            seen.append(isinstance(step, Counted))
        places = [place for place, there in enumerate(seen) if there]
        assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(places))

    def test_a_part_of_an_answer_asked_as_a_cohort_but_for_one_person(self, site: MarkedSite) -> None:
        site.mark("with", range(1, 101))
        site.mark("but one", range(1, 100))
        assert isinstance(cells(site.ask(Count(by=(has("crp", "crp"),))))[("yes",)], Counted)
        assert isinstance(persons(site.ask(Count(), "but one")), Withheld)
        assert isinstance(persons(site.ask(Count(), "with")), Counted)

    def test_a_cohort_first_then_nearly_the_same_persons_as_a_part(self, site: MarkedSite) -> None:
        site.mark("but one", range(1, 100))
        assert isinstance(persons(site.ask(Count(), "but one")), Counted)
        assert isinstance(cells(site.ask(Count(by=(has("crp", "crp"),))))[("yes",)], Withheld)

    def test_the_same_persons_under_the_name_of_another_dataset(self, site: MarkedSite) -> None:
        site.mark("but one", range(2, 201))
        assert isinstance(persons(site.ask(Count(), "all", dataset="first")), Counted)
        assert isinstance(persons(site.ask(Count(), "but one", dataset="second")), Withheld)


class TestTablesThatShareCells:
    def test_a_table_alone_and_within_a_larger_one(self) -> None:
        """Both hide cells for the sake of a small one; together they may not show what either hides."""
        site = MarkedSite(400)
        counts = {("a1", "b1"): 3, ("a1", "b2"): 40, ("a1", "b3"): 41, ("a2", "b1"): 60, ("a2", "b2"): 61}
        counts |= {("a2", "b3"): 62, ("a3", "b1"): 44, ("a3", "b2"): 45, ("a3", "b3"): 44}
        person = 0
        for (a, b), number in counts.items():
            for place in range(number):
                person += 1
                site.level("a", person, a)
                site.level("b", person, b)
                site.level("c", person, "c1" if place % 3 else "c2")
        a, b = (grade(name, name, **{f"{name}{n}": [f"{name}{n}"] for n in (1, 2, 3)}) for name in "ab")
        c = grade("c", "c", c1=["c1"], c2=["c2"])
        large = cells(site.ask(Crosstab(variables=(a, b, c))))
        small = cells(site.ask(Crosstab(variables=(a, b))))
        for levels, cell in small.items():
            before = large[(*levels, TOTAL)]
            assert isinstance(before, Counted) or not isinstance(cell, Counted)

    def test_a_cohort_that_is_withheld_as_a_level_of_itself_is_known_all_the_same(self) -> None:
        """Everybody of the cohort has the level, which stays beside empty ones; its size was shown."""
        site = MarkedSite(60)
        for person in range(1, 61):
            site.level("a", person, "a1" if person <= 15 else "a2")
            site.level("b", person, "b1" if person in (1, 2, 3, 4) or person > 40 else "b2")
        site.mark("a1", range(1, 16))
        a, b = grade("a", "a", a1=["a1"], a2=["a2"]), grade("b", "b", b1=["b1"], b2=["b2"])
        first = site.ask(Count(by=(a,)), "a1")
        assert isinstance(persons(first), Counted)
        table = cells(site.ask(Crosstab(variables=(a, b))))
        assert isinstance(table["a1", "b1"], Withheld)
        assert isinstance(table["a1", "b2"], Withheld), "15±2 less 11±2 would leave 4±4"

    def test_a_cohort_of_which_a_table_shows_two_parts(self) -> None:
        """Of the cohort of 37, a table on everybody shows 12 and 22: 3 would be left over."""
        site = MarkedSite(90)
        parts = {("a1", "b1"): 12, ("a1", "b2"): 22, ("a2", "b1"): 1, ("a2", "b2"): 2, ("a2", "b3"): 33}
        person = 0
        for (a, b), number in (parts | {("a1", "b3"): 20}).items():
            for _ in range(number):
                person += 1
                site.level("a", person, a)
                site.level("b", person, b)
                site.mark("b1 or b2" if b != "b3" else "b3", [person])
        a, b = grade("a", "a", a1=["a1"], a2=["a2"]), grade("b", "b", b1=["b1"], b2=["b2"], b3=["b3"])
        cohort = persons(site.ask(Count(), "b1 or b2"))
        table = cells(site.ask(Crosstab(variables=(a, b))))
        shown = [cohort, table["a1", "b1"], table["a1", "b2"]]
        assert not all(isinstance(cell, Counted) for cell in shown)


class TestSurvival:
    @pytest.fixture
    def site(self) -> MarkedSite:
        """Two arms of 100; on each day from 1 to 60 one person of each dies."""
        site = MarkedSite(200)
        site.arm("T", {"A": range(1, 101), "B": range(101, 201)})
        for day in range(1, 61):
            site.death(day, day)
            site.death(100 + day, day)
        return site

    def curves(self, site: MarkedSite, days: int, outcome: Outcome = DEATH) -> SiteKaplanMeier:
        by = arms("arm", "T", "A", "B")
        return survival(site.ask(KaplanMeier(outcome=outcome, by=by, max_days=days)))

    def test_a_follow_up_of_one_more_day_does_not_show_who_died_on_it(self, site: MarkedSite) -> None:
        first, second = self.curves(site, 40), self.curves(site, 41)
        assert isinstance(first.log_rank, LogRank)
        assert first.log_rank.observed[:2] == (40.0, 40.0)
        assert isinstance(second.log_rank, Withheld)
        assert all(isinstance(curve.events, Withheld) for curve in second.curves)

    def test_no_step_lies_within_a_week_that_the_follow_up_cuts(self, site: MarkedSite) -> None:
        """Else the survival on the last day of each follow-up would follow the events day by day."""
        for curve in self.curves(site, 40).curves[:2]:
            assert [step.day for step in curve.steps] == [14, 28], "12 more died by day 40, in a cut week"

    def test_a_follow_up_of_many_more_events_is_shown(self, site: MarkedSite) -> None:
        assert isinstance(self.curves(site, 30).log_rank, LogRank)
        assert isinstance(self.curves(site, 50).log_rank, LogRank)

    def test_an_outcome_with_one_more_event_stays(self, site: MarkedSite) -> None:
        site.number("relapse", 99, 1.0, 20)
        relapse = Event(domain="measurement", codes=coded("relapse"))
        either = Outcome(name="either", definition=AnyOf(outcomes=(Death(), relapse)))
        assert isinstance(self.curves(site, 60).log_rank, LogRank)
        assert isinstance(self.curves(site, 60, either).log_rank, Withheld)

    def test_arms_that_differ_by_one_person_stay(self, site: MarkedSite) -> None:
        site.arm("S", {"A": [*range(1, 100), 200], "B": range(100, 200)})
        assert isinstance(self.curves(site, 60).log_rank, LogRank)
        moved = KaplanMeier(outcome=DEATH, by=arms("arm", "S", "A", "B"), max_days=60)
        result = survival(site.ask(moved))
        assert isinstance(result.log_rank, Withheld)
        assert all(isinstance(curve.persons, Withheld) for curve in result.curves)

    def test_three_arms_of_which_two_are_asked_as_one_with_a_few_more(self, site: MarkedSite) -> None:
        """Observed events leave exactly: those of the few would be a difference of two sums."""
        site.arm("S", {"a": range(1, 61), "b": range(101, 161), "x": [61, 62, 63, *range(64, 101)]})
        site.arm(
            "S2", {"abx": [*range(1, 64), *range(101, 161)], "rest": [*range(64, 101), *range(161, 201)]}
        )
        for person in [*range(64, 101), *range(161, 201)]:
            if person % 2:
                site.death(person, 70 + person)
        first = KaplanMeier(outcome=DEATH, by=arms("arm", "S", "a", "b", "x"))
        second = KaplanMeier(outcome=DEATH, by=arms("arm", "S2", "abx", "rest"))
        for death in (61, 62, 63):
            site.death(death, 50)
        survival(site.ask(first))
        shown = survival(site.ask(second))
        known = survival(site.ask(first)).log_rank
        assert not (isinstance(shown.log_rank, LogRank) and isinstance(known, LogRank))


def test_what_is_shown_twice_is_shown_alike() -> None:
    site = MarkedSite(100)
    for person in range(1, 61):
        site.number("crp", person, person + math.pi)
    first = site.ask(Table1(variables=(lab("crp", "crp", edges=(10.0, 30.0)),)))
    assert site.ask(Table1(variables=(lab("crp", "crp", edges=(10.0, 30.0)),))) == first
