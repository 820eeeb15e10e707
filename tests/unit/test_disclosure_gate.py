"""What the gate lets go of counts and tables, case by case."""

import json

import pytest

from atoll_node.disclosure import RULES, Ledger
from atoll_node.disclosure.rounding import counted, reach, rounded
from atoll_node.disclosure.strictness import tightened
from atoll_node.errors import Refused
from atoll_node.raw import PersonSet, RawCount, RawCrosstab, RawStep
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Counted, Withheld, WithholdReason
from atoll_schemas.query import Count, Crosstab, Tighten
from atoll_schemas.results import SiteCount, SiteCrosstab
from tests.support.cleared import question
from tests.support.gate import MemoryInTests, let_out, leveled, persons_from, raw_table, shown

HELD = Withheld(reason=WithholdReason.PROTECTED)


def count_of(*steps: int) -> SiteCount:
    raw = RawCount(steps[-1], tuple(RawStep(f"step {place}", n) for place, n in enumerate(steps)))
    payload = let_out(raw, question(Count())).payload
    assert isinstance(payload, SiteCount)
    return payload


def crosstab(rows: dict[str, dict[str, int]]) -> dict[tuple[str, ...], Counted | Withheld]:
    columns = list(next(iter(rows.values())))
    cells = {(row, column): rows[row][column] for row in rows for column in columns}
    table = raw_table(["sex", "stage"], [list(rows), columns], cells)
    query = question(Crosstab(variables=(leveled("sex", rows), leveled("stage", columns))))
    payload = let_out(RawCrosstab(sum(cells.values()), table), query).payload
    assert isinstance(payload, SiteCrosstab)
    return shown(payload.table)


class TestCounts:
    @pytest.mark.parametrize("persons", range(10))
    def test_fewer_than_ten_persons_are_withheld_and_look_the_same(self, persons: int) -> None:
        assert count_of(persons) == count_of(0)
        assert count_of(persons).persons == HELD

    @pytest.mark.parametrize("persons, value", [(10, 10), (12, 10), (13, 15), (17, 15), (18, 20), (929, 930)])
    def test_others_are_rounded_to_five(self, persons: int, value: int) -> None:
        assert count_of(persons).persons == Counted(value=value, half_width=2)

    def test_the_rounding_never_leaves_its_half_width(self) -> None:
        for base in range(1, 30):
            for persons in range(base, 200):
                low, high = reach(persons, base, 0)
                assert low <= persons <= high
                assert {rounded(other, base) for other in range(low, high + 1)} == {rounded(persons, base)}
                assert abs(counted(persons, base).value - persons) <= counted(persons, base).half_width


class TestAttrition:
    def test_a_step_that_removes_few_is_withheld(self) -> None:
        steps = count_of(200, 195, 150).attrition
        assert [step.persons.kind for step in steps] == ["counted", "withheld", "counted"]

    def test_a_step_that_removes_nobody_looks_the_same(self) -> None:
        steps = count_of(200, 200, 150).attrition
        assert [step.persons.kind for step in steps] == ["counted", "withheld", "counted"]

    def test_the_final_count_comes_first(self) -> None:
        steps = count_of(155, 150).attrition
        assert [step.persons.kind for step in steps] == ["withheld", "counted"]

    def test_a_small_cohort_shows_no_step_at_all(self) -> None:
        assert {step.persons for step in count_of(5000, 400, 9).attrition} == {HELD}


class TestTables:
    def test_a_lone_withheld_cell_takes_others_with_it(self) -> None:
        cells = crosstab({"F": {"II": 3, "III": 40}, "M": {"II": 50, "III": 60}})
        inner = [cells[sex, stage].kind for sex in "FM" for stage in ("II", "III")]
        assert inner == ["withheld"] * 4
        assert cells["*", "*"] == Counted(value=155)

    def test_a_table_without_small_cells_is_whole(self) -> None:
        cells = crosstab({"F": {"II": 30, "III": 40}, "M": {"II": 50, "III": 60}})
        assert {cell.kind for cell in cells.values()} == {"counted"}
        assert cells["F", "*"] == Counted(value=70)

    def test_zero_looks_like_nine(self) -> None:
        some = crosstab({"F": {"II": 9, "III": 41}, "M": {"II": 41, "III": 59}})
        none = crosstab({"F": {"II": 0, "III": 50}, "M": {"II": 50, "III": 50}})
        assert some["F", "II"] == none["F", "II"] == HELD

    def test_beside_an_empty_bookkeeping_level_counts_turn_coarse_rather_than_absent(self) -> None:
        cells = crosstab(
            {"F": {"II": 60, "III": 70}, "M": {"II": 80, "III": 90}, "missing": {"II": 0, "III": 0}}
        )
        assert cells["missing", "*"] == HELD
        inner = [cells[sex, stage] for sex in "FM" for stage in ("II", "III")]
        assert all(isinstance(cell, Counted) for cell in inner)
        assert any(isinstance(cell, Counted) and cell.half_width > 2 for cell in cells.values())

    def test_the_same_aggregate_gives_the_same_bytes(self) -> None:
        rows = {"F": {"II": 3, "III": 44}, "M": {"II": 51, "III": 7}, "other": {"II": 0, "III": 1}}
        assert crosstab(rows) == crosstab(rows)


def test_a_variable_by_itself_is_a_table_with_an_empty_corner() -> None:
    table = raw_table(["sex", "sex"], [["F", "M"], ["F", "M"]], {("F", "F"): 40, ("M", "M"): 60})
    query = question(Crosstab(variables=(leveled("sex", ["F", "M"]), leveled("sex", ["F", "M"]))))
    payload = let_out(RawCrosstab(100, table), query).payload
    assert isinstance(payload, SiteCrosstab)
    cells = shown(payload.table)
    assert cells["F", "M"] == HELD
    assert cells["F", "F"] == cells["F", "*"] == Counted(value=40)


class TestStrictness:
    def test_a_query_may_tighten(self) -> None:
        query = question(Count(), tighten=Tighten(minimum_persons=20, round_to=15))
        result = let_out(RawCount(31, (RawStep("entry events", 31),)), query)
        assert isinstance(result.payload, SiteCount)
        assert result.payload.persons == Counted(value=30, half_width=7)
        assert result.gate.minimum_persons >= 20
        assert result.gate.round_to == 15

    def test_fewer_than_asked_are_withheld(self) -> None:
        query = question(Count(), tighten=Tighten(minimum_persons=20))
        result = let_out(RawCount(19, (RawStep("entry events", 19),)), query)
        assert isinstance(result.payload, SiteCount)
        assert result.payload.persons == HELD

    def test_asking_again_and_again_under_other_settings_tells_nothing_new(self) -> None:
        """Counts that look the same at the site's settings look the same under all stricter ones."""
        asked = [
            Tighten(minimum_persons=least, round_to=base)
            for least in (10, 11, 23, 24, 60)
            for base in (5, 10, 15, 20, 35)
        ]
        settings = [tightened(GateSettings(), one) for one in asked]
        for one in settings:
            looks: dict[int, set[int | None]] = {}
            for persons in range(10, 300):
                seen = rounded(persons, one.round_to) if persons >= one.minimum_persons else None
                looks.setdefault(rounded(persons, 5), set()).add(seen)
            assert all(len(seen) == 1 for seen in looks.values()), one

    @pytest.mark.parametrize("asked", [Tighten(minimum_persons=9), Tighten(round_to=1), Tighten(round_to=7)])
    def test_a_query_that_loosens_is_refused(self, asked: Tighten) -> None:
        query = question(Count(), tighten=asked)
        with pytest.raises(Refused) as caught:
            let_out(RawCount(50, (RawStep("entry events", 50),)), query)
        assert caught.value.code == "disclosure.loosened"

    def test_no_released_count_is_rounded_to_nothing(self) -> None:
        strict = tightened(GateSettings(), Tighten(round_to=100))
        assert strict.minimum_persons >= 50
        assert rounded(strict.minimum_persons, strict.round_to) > 0


class TestFaults:
    def test_any_fault_is_a_refusal_that_tells_nothing(self) -> None:
        class Broken(MemoryInTests):
            def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
                raise OSError("disk full beside patient 4711")

        with pytest.raises(Refused) as caught:
            let_out(RawCount(50, (RawStep("entry events", 50),)), question(Count()), ledger=Ledger(Broken()))
        assert caught.value.code == "disclosure.fault"
        assert caught.value.__context__ is None
        assert "4711" not in f"{caught.value.message}{caught.value.next_step}{caught.value.args}"

    def test_figures_that_disagree_are_refused(self) -> None:
        table = raw_table(["sex"], [["F", "M"]], {("F",): 30, ("M",): 40})
        raw = RawCount(60, (RawStep("entry events", 60),), table)
        with pytest.raises(Refused) as caught:
            let_out(raw, question(Count(by=(leveled("sex", ["F", "M"]),))))
        assert caught.value.code == "disclosure.fault"

    def test_an_answer_to_another_method_is_refused(self) -> None:
        with pytest.raises(Refused):
            let_out(
                RawCount(50, (RawStep("entry events", 50),)),
                question(Crosstab(variables=(leveled("a", ["x"]), leveled("b", ["x"])))),
            )

    def test_members_that_are_not_the_count_are_refused(self) -> None:
        with pytest.raises(Refused):
            let_out(
                RawCount(50, (RawStep("entry events", 50),)), question(Count()), members=persons_from(1, 49)
            )


def test_the_result_names_rules_settings_and_release() -> None:
    result = let_out(RawCount(50, (RawStep("entry events", 50),)), question(Count()))
    assert result.gate.rules == tuple(rule.name for rule in RULES)
    assert (result.release, result.release_digest, result.site) == ("colon-0001", "sha256:00", "atoll-a")
    assert result.query_digest == question(Count()).digest()
    assert result.gate.withheld_cells == json.dumps(result.wire()).count('"withheld"')


def test_every_rule_says_what_it_does() -> None:
    assert all(rule.says for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
