"""Gate, chapter 10: on any fault nothing leaves, and the refusal carries nothing of what was inside."""

import pickle
import traceback

import pytest

from atoll_node.disclosure import RULES, Ledger, gate
from atoll_node.disclosure.gate import Rule
from atoll_node.disclosure.rules import Case
from atoll_node.disclosure.sheet import Held
from atoll_node.errors import Refused
from atoll_node.raw import PersonSet, RawCount, RawStep
from atoll_node.refusals import REFUSALS, refusal
from atoll_node.settings import GateSettings
from atoll_schemas.query import Count, Crosstab
from tests.support.cleared import question
from tests.support.gate import MemoryInTests, let_out, leveled, persons_from, raw_table

SECRET = "patient 4711"
FIFTY = RawCount(50, (RawStep("entry events", 50),))


class Planted(Exception):
    """A fault that a test plants; its text is what must not get out."""


def failing(case: Case, held: Held) -> Held:
    """A rule that fails, and would tell what it looked at."""
    raise Planted(f"{SECRET} among {sorted(case.sheet.figures.values())}")


def refused_by(monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> Refused:
    """Return how the gate refuses a sound aggregate under these rules."""
    monkeypatch.setattr(gate, "RULES", rules)
    with pytest.raises(Refused) as caught:
        let_out(FIFTY, question(Count()))
    return caught.value


@pytest.mark.parametrize("place", range(len(RULES) + 1))
def test_a_failing_rule_anywhere_in_the_order_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    planted = Rule("planted", "fails", failing)
    refused = refused_by(monkeypatch, *RULES[:place], planted, *RULES[place:])
    assert refused.code == "disclosure.fault"


def test_the_refusal_holds_nothing_of_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refused_by(monkeypatch, Rule("planted", "fails", failing))
    told = "".join(traceback.format_exception(refused)) + repr(vars(refused)) + repr(refused.args)
    assert SECRET not in told
    assert "Planted" not in told
    assert (refused.__context__, refused.__cause__) == (None, None)


def test_its_text_is_the_same_for_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(case: Case, held: Held) -> Held:
        raise ZeroDivisionError

    first = refused_by(monkeypatch, Rule("planted", "fails", failing))
    second = refused_by(monkeypatch, Rule("planted", "fails", other))
    assert (first.code, first.message, first.next_step) == (second.code, second.message, second.next_step)


@pytest.mark.parametrize(
    "fault", [ValueError, KeyError, MemoryError, RecursionError, AssertionError, OSError]
)
def test_every_kind_of_exception_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def broken(case: Case, held: Held) -> Held:
        raise fault(SECRET)

    assert refused_by(monkeypatch, Rule("planted", "fails", broken)).code == "disclosure.fault"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_is_no_fault_and_lets_nothing_out_either(
    monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def stopped(case: Case, held: Held) -> Held:
        raise end

    monkeypatch.setattr(gate, "RULES", (Rule("planted", "stops", stopped),))
    with pytest.raises(end):
        let_out(FIFTY, question(Count()))


def test_a_rule_that_forgets_to_answer_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Rule("planted", "forgets", lambda case, held: None)  # type: ignore[arg-type, return-value]
    assert refused_by(monkeypatch, silent).code == "disclosure.fault"


class Broken(MemoryInTests):
    """A ledger whose disk fails, at reading or at writing."""

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.reads = reads

    def recall(self, project: str):  # type: ignore[no-untyped-def]
        if not self.reads:
            raise OSError(SECRET)
        return super().recall(project)

    def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
        raise OSError(SECRET)


@pytest.mark.parametrize("reads", [True, False])
def test_a_ledger_that_fails_is_a_refusal(reads: bool) -> None:
    with pytest.raises(Refused) as caught:
        let_out(FIFTY, question(Count()), ledger=Ledger(Broken(reads)))
    assert caught.value.code == "disclosure.fault"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_ledger_that_others_always_overtake_is_a_refusal_that_may_be_repeated() -> None:
    class Overtaken(MemoryInTests):
        def keep(self, project: str, dataset: str, members: PersonSet, overlaps: tuple[int, ...]) -> bool:
            return False

    with pytest.raises(Refused) as caught:
        let_out(FIFTY, question(Count()), ledger=Ledger(Overtaken()))
    assert caught.value.code == "disclosure.busy"
    assert caught.value.next_step == "ask once more"


def test_after_a_fault_the_cohort_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryInTests()
    with monkeypatch.context() as planted:
        planted.setattr(gate, "RULES", (Rule("planted", "fails", failing),))
        with pytest.raises(Refused):
            let_out(FIFTY, question(Count()), ledger=Ledger(memory))
    assert memory.kept == {}


class TestFiguresThatDisagree:
    """An aggregate that contradicts itself cannot be trusted in any of its figures."""

    def refused(self, raw: RawCount, **changes: object) -> str:
        with pytest.raises(Refused) as caught:
            let_out(raw, question(Count(by=(leveled("sex", "FM"),))), **changes)  # type: ignore[arg-type]
        return caught.value.code

    def table(self, female: int, male: int):  # type: ignore[no-untyped-def]
        return raw_table(["sex"], [["F", "M"]], {("F",): female, ("M",): male})

    def test_a_table_of_more_persons_than_the_cohort(self) -> None:
        raw = RawCount(60, (RawStep("entry events", 60),), self.table(30, 40))
        assert self.refused(raw) == "disclosure.fault"

    def test_a_negative_count(self) -> None:
        raw = RawCount(60, (RawStep("entry events", 60),), self.table(70, -10))
        assert self.refused(raw) == "disclosure.fault"

    def test_a_last_step_that_is_not_the_cohort(self) -> None:
        raw = RawCount(60, (RawStep("entry events", 61),), self.table(30, 30))
        assert self.refused(raw) == "disclosure.fault"

    def test_a_count_without_steps(self) -> None:
        assert self.refused(RawCount(60, (), self.table(30, 30))) == "disclosure.fault"

    @pytest.mark.parametrize("members", [0, 59, 61])
    def test_other_members_than_the_count_says(self, members: int) -> None:
        raw = RawCount(60, (RawStep("entry events", 60),), self.table(30, 30))
        assert self.refused(raw, members=persons_from(0, members)) == "disclosure.fault"

    def test_a_combination_of_levels_that_is_absent(self) -> None:
        table = self.table(30, 30)
        del table.persons["F",]  # type: ignore[attr-defined]
        assert self.refused(RawCount(60, (RawStep("entry events", 60),), table)) == "disclosure.fault"

    def test_an_answer_to_another_question(self) -> None:
        crosstab = question(Crosstab(variables=(leveled("a", "xy"), leveled("b", "xy"))))
        with pytest.raises(Refused):
            let_out(FIFTY, crosstab)


def test_settings_that_are_out_of_bounds_cannot_be_made_by_hand_either() -> None:
    """A site's settings are checked when read; should a wrong value slip by, figures are still withheld."""
    loose = GateSettings.model_construct(
        minimum_persons=10, round_to=0, minimum_events=10, dominance_share=0.9, p_ratio=0.1
    )
    with pytest.raises(Refused) as caught:
        let_out(FIFTY, question(Count()), settings=loose)
    assert caught.value.code == "disclosure.fault"


@pytest.mark.parametrize("code", ["disclosure.fault", "disclosure.busy", "disclosure.loosened"])
def test_what_leaves_for_a_refusal_is_the_constant_text_of_its_code(code: str) -> None:
    sent = refusal(code)
    assert (sent.detail, sent.next_step) == REFUSALS[code]
    assert pickle.loads(pickle.dumps(sent)) == sent
