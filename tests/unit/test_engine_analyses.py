"""What each analysis means, on small tables that can be checked by eye."""

import math
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.errors import EngineError
from atoll_node.raw import RawAggregate, RawCategory, RawKaplanMeier, RawNumber
from atoll_node.settings import EngineSettings
from atoll_schemas.query import (
    Analysis,
    AnyOf,
    CategoryValue,
    Codes,
    Count,
    Crosstab,
    Death,
    Demographic,
    Event,
    KaplanMeier,
    NumberValue,
    Outcome,
    Presence,
    Table1,
    TrialArm,
    Variable,
    Window,
)
from tests.support.lake import release_of
from tests.support.questions import coded, cohort, concept_set, levels, query, variable

D = date
SEX = variable("sex", Demographic(field="sex"))
STAGE = variable(
    "stage",
    CategoryValue(
        domain="observation", codes=coded("stage"), levels=levels(early=["1", "I"], late=["2", "II"])
    ),
)
WEIGHT = variable(
    "weight", NumberValue(domain="measurement", codes=coded("weight")), edges=[50, 60.5, 80], unit="kg"
)


def person(number: int, gender: int | None = 8532, born: int = 1950) -> dict[str, Any]:
    return {"person_id": number, "gender_concept_id": gender, "year_of_birth": born}


def observed(number: int, start: date = D(2000, 1, 1), end: date = D(2009, 12, 31)) -> dict[str, Any]:
    return {
        "observation_period_id": number,
        "person_id": number,
        "observation_period_start_date": start,
        "observation_period_end_date": end,
    }


def weighed(key: int, number: int, day: date, value: float | None) -> dict[str, Any]:
    return {
        "measurement_id": key,
        "person_id": number,
        "measurement_date": day,
        "measurement_source_value": "weight",
        "value_as_number": value,
    }


def staged(key: int, number: int, text: str | None, concept: int | None = None) -> dict[str, Any]:
    return {
        "observation_id": key,
        "person_id": number,
        "observation_date": D(2000, 1, 1),
        "observation_source_value": "stage",
        "value_source_value": text,
        "value_as_concept_id": concept,
    }


Ask = Callable[..., RawAggregate]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")

    def run(
        tables: dict[str, list[dict[str, Any]]], analysis: Analysis, expression: Any = None
    ) -> RawAggregate:
        release = release_of(tables, tmp_path / "lake")
        return engine.run(query(expression, analysis), release, clock=time.monotonic)

    return run


def everybody(*genders: int | None) -> dict[str, list[dict[str, Any]]]:
    numbers = range(1, len(genders) + 1)
    return {
        "person": [person(number, gender) for number, gender in zip(numbers, genders, strict=True)],
        "observation_period": [observed(number) for number in numbers],
    }


def test_a_count_without_rules_has_one_step(ask: Ask) -> None:
    raw = ask(everybody(8532, 8507), Count())
    assert raw.analysis.persons == 2
    assert [(step.name, step.persons) for step in raw.analysis.attrition] == [("entry events", 2)]
    assert raw.members.tolist() == [1, 2]
    assert str(raw.members.dtype) == "int64"


def test_a_count_by_sex_has_other_and_missing_even_when_empty(ask: Ask) -> None:
    raw = ask(everybody(8532, 8532, 8507), Count(by=(SEX,)))
    assert raw.analysis.by.dimensions[0].levels == ("female", "male", "other", "missing")
    assert dict(raw.analysis.by.persons) == {("female",): 2, ("male",): 1, ("other",): 0, ("missing",): 0}


def test_no_concept_is_missing_and_a_foreign_one_is_other(ask: Ask) -> None:
    persons = ask(everybody(None, 0, 8521), Count(by=(SEX,))).analysis.by.persons
    assert (persons["missing",], persons["other",]) == (2, 1)


def test_a_person_without_a_person_row_counts_as_missing(ask: Ask) -> None:
    tables = everybody(8532)
    tables["observation_period"].append(observed(9))
    assert ask(tables, Count(by=(SEX,))).analysis.by.persons["missing",] == 1


def test_rules_narrow_the_attrition_in_order(ask: Ask) -> None:
    tables = everybody(8532, 8507, 8532)
    tables["person"][2]["year_of_birth"] = 1990
    women = {"Type": "ALL", "DemographicCriteriaList": [{"Gender": [{"CONCEPT_ID": 8532}]}]}
    grown = {"Type": "ALL", "DemographicCriteriaList": [{"Age": {"Value": 18, "Op": "gte"}}]}
    rules = [{"name": "women", "expression": women}, {"name": "", "expression": grown}]
    raw = ask(tables, Count(), cohort(InclusionRules=rules))
    steps = [(step.name, step.persons) for step in raw.analysis.attrition]
    assert steps == [("entry events", 3), ("women", 2), ("rule 2", 1)]


def test_an_end_before_the_start_leaves_the_cohort_in_its_own_step(ask: Ask) -> None:
    offset = {"DateOffset": {"DateField": "StartDate", "Offset": -5}}
    raw = ask(everybody(8532), Count(), cohort(EndStrategy=offset))
    steps = [(step.name, step.persons) for step in raw.analysis.attrition]
    assert steps == [("entry events", 1), ("in cohort", 0)]
    assert (raw.analysis.persons, raw.members.tolist()) == (0, [])


def test_mean_and_squares_are_exact_per_group(ask: Ask) -> None:
    tables = everybody(8532, 8532, 8532, 8507, 8507)
    values = {1: 0.1, 2: 0.2, 3: 0.7, 4: 80.0, 5: None}
    tables["measurement"] = [weighed(n, n, D(2000, 1, 1), value) for n, value in values.items()]
    raw = ask(tables, Table1(variables=(WEIGHT,), by=SEX))
    summary = raw.analysis.summaries[0]
    assert isinstance(summary, RawNumber)
    groups = {group.group: group for group in summary.groups}
    assert list(groups) == ["*", "female", "male", "other", "missing"]
    women = [0.1, 0.2, 0.7]
    assert groups["female"].mean == statistics.fmean(women)
    assert groups["female"].m2 == pytest.approx(3 * statistics.pvariance(women), rel=1e-14)
    assert groups["female"].largest == (0.7, 0.2)
    assert groups["*"].absolute_sum == math.fsum([*women, 80.0])
    assert (groups["male"].persons, groups["male"].n, groups["male"].m2) == (2, 1, 0.0)
    assert (groups["other"].persons, groups["other"].n, groups["other"].mean) == (0, 0, 0.0)
    assert summary.unit == "kg"


def test_bins_are_closed_below_and_open_outside(ask: Ask) -> None:
    tables = everybody(*[8532] * 6)
    values = [49.9, 50.0, 60.4, 60.5, 80.0, 1e6]
    tables["measurement"] = [weighed(n, n, D(2000, 1, 1), value) for n, value in enumerate(values, start=1)]
    summary = ask(tables, Table1(variables=(WEIGHT,))).analysis.summaries[0]
    bins = [(item.low, item.high, item.persons) for item in summary.groups[0].bins]
    assert bins == [(None, 50.0, 1), (50.0, 60.5, 2), (60.5, 80.0, 1), (80.0, None, 2)]


def test_a_spread_beside_a_large_mean_is_not_lost(ask: Ask) -> None:
    tables = everybody(*[8532] * 4)
    values = [1e9 + offset for offset in (4.0, 7.0, 13.0, 16.0)]
    tables["measurement"] = [weighed(n, n, D(2000, 1, 1), value) for n, value in enumerate(values, start=1)]
    group = ask(tables, Table1(variables=(WEIGHT,))).analysis.summaries[0].groups[0]
    assert (group.mean, group.m2) == (1e9 + 10, 90.0)


def test_a_number_of_zeros_and_a_number_of_nobody(ask: Ask) -> None:
    tables = everybody(8532, 8532)
    tables["measurement"] = [weighed(n, n, D(2000, 1, 1), 0.0) for n in (1, 2)]
    group = ask(tables, Table1(variables=(WEIGHT,))).analysis.summaries[0].groups[0]
    assert (group.n, group.mean, group.m2, group.absolute_sum) == (2, 0.0, 0.0, 0.0)
    tables["measurement"] = [weighed(1, 1, D(2000, 1, 1), math.nan)]
    group = ask(tables, Table1(variables=(WEIGHT,))).analysis.summaries[0].groups[0]
    assert (group.n, group.persons, group.largest) == (0, 2, ())


@pytest.mark.parametrize(("take", "value"), [("first", 51.0), ("latest", 55.0)])
def test_of_several_records_the_first_or_latest_counts_and_keys_break_ties(
    ask: Ask, take: Any, value: float
) -> None:
    tables = everybody(8532)
    tables["measurement"] = [
        weighed(4, 1, D(2000, 1, 9), 52.0),
        weighed(3, 1, D(2000, 1, 9), 51.0),
        weighed(8, 1, D(2000, 1, 20), 54.0),
        weighed(9, 1, D(2000, 1, 20), 55.0),
        weighed(7, 1, D(2000, 1, 21), 99.0),
        weighed(1, 1, D(1999, 12, 31), 11.0),
    ]
    definition = NumberValue(
        domain="measurement", codes=coded("weight"), window=Window(start=0, end=19), take=take
    )
    group = ask(tables, Table1(variables=(variable("w", definition),))).analysis.summaries[0].groups[0]
    assert group.mean == value
    assert group.bins == ()


def test_categories_compare_source_values_and_concepts(ask: Ask) -> None:
    tables = everybody(*[8532] * 6)
    tables["observation"] = [
        staged(1, 1, "I"),
        staged(2, 2, None, 2),
        staged(3, 3, "III"),
        staged(4, 4, None, 0),
        staged(5, 5, "II", 77),
    ]
    raw = ask(tables, Table1(variables=(STAGE,), by=SEX))
    summary = raw.analysis.summaries[0]
    assert isinstance(summary, RawCategory)
    women = {stage: count for (stage, sex), count in summary.table.persons.items() if sex == "female"}
    assert women == {"early": 1, "late": 2, "other": 1, "missing": 2}
    assert raw.analysis.groups.persons["female",] == 6


def test_a_crosstab_lists_every_combination(ask: Ask) -> None:
    tables = everybody(8532, 8507)
    tables["observation"] = [staged(1, 1, "I"), staged(2, 2, "II")]
    age = variable("age", Demographic(field="age"), edges=[40, 65])
    raw = ask(tables, Crosstab(variables=(SEX, STAGE, age)))
    table = raw.analysis.table
    assert table.dimensions[2].levels == ("< 40", "[40, 65)", ">= 65", "other", "missing")
    assert len(table.persons) == 4 * 4 * 5
    assert {key for key, count in table.persons.items() if count} == {
        ("female", "early", "[40, 65)"),
        ("male", "late", "[40, 65)"),
    }


def test_presence_has_yes_and_no_alone(ask: Ask) -> None:
    tables = everybody(8532, 8507)
    tables["measurement"] = [weighed(1, 2, D(2000, 1, 1), 1.0)]
    present = variable("weighed", Presence(domain="measurement", codes=coded("weight")))
    assert dict(ask(tables, Count(by=(present,))).analysis.by.persons) == {("yes",): 1, ("no",): 1}


def test_the_arm_is_that_of_the_named_trial(ask: Ask) -> None:
    tables = everybody(*[8532] * 4)
    rows = [(1, 1, "T1", "A"), (2, 1, "T1", "B"), (3, 2, "T2", "A"), (4, 3, "T1", "Z"), (5, 4, "T1", None)]
    tables["trial_subject"] = [
        {"trial_subject_id": key, "person_id": number, "trial_code": trial, "arm_code": arm}
        for key, number, trial, arm in rows
    ]
    arm = variable("arm", TrialArm(trial="T1", levels=levels(a=["A"], b=["B"])))
    persons = dict(ask(tables, Count(by=(arm,))).analysis.by.persons)
    assert persons == {("a",): 1, ("b",): 0, ("other",): 1, ("missing",): 2}


def curve(raw: RawAggregate) -> Any:
    assert isinstance(raw.analysis, RawKaplanMeier)
    return raw.analysis.curves[0]


def survival(**options: Any) -> KaplanMeier:
    return KaplanMeier(outcome=Outcome(name="death", definition=Death()), **options)


def test_death_counts_from_the_index_day_to_the_last_day_of_follow_up(ask: Ask) -> None:
    tables = everybody(*[8532] * 4)
    for row in tables["observation_period"]:
        row["observation_period_end_date"] = D(2000, 1, 11)
    days = {1: D(2000, 1, 1), 2: D(2000, 1, 11), 3: D(2000, 1, 12)}
    tables["death"] = [{"person_id": number, "death_date": day} for number, day in days.items()]
    found = curve(ask(tables, survival()))
    assert (found.days, found.events_at, found.censored_at) == ((0, 10), (1, 1), (0, 2))
    assert (found.at_risk, found.persons, found.events) == ((4, 3), 4, 2)


def test_follow_up_ends_at_the_longest_time_asked_for(ask: Ask) -> None:
    tables = everybody(8532, 8532)
    tables["death"] = [
        {"person_id": 1, "death_date": D(2000, 1, 31)},
        {"person_id": 2, "death_date": D(2000, 2, 1)},
    ]
    found = curve(ask(tables, survival(max_days=30)))
    assert (found.days, found.events_at, found.censored_at) == ((30,), (1,), (1,))


def test_an_event_counts_only_after_the_index_day(ask: Ask) -> None:
    tables = everybody(8532)
    tables["measurement"] = [
        weighed(1, 1, D(2000, 1, 1), 1.0),
        weighed(2, 1, D(2000, 1, 4), 1.0),
        weighed(3, 1, D(2000, 1, 8), 1.0),
    ]
    tables["death"] = [{"person_id": 1, "death_date": D(2000, 1, 6)}]
    event = Event(domain="measurement", codes=coded("weight"))
    analysis = KaplanMeier(outcome=Outcome(name="weighed", definition=event))
    assert curve(ask(tables, analysis)).days == (3,)
    either = KaplanMeier(outcome=Outcome(name="either", definition=AnyOf(outcomes=(Death(), event))))
    assert curve(ask(tables, either)).days == (3,)


def test_only_groups_with_persons_have_curves_and_log_rank_sums(ask: Ask) -> None:
    tables = everybody(8532, 8507)
    tables["death"] = [{"person_id": 1, "death_date": D(2001, 1, 1)}]
    raw = ask(tables, survival(by=SEX))
    assert [item.group for item in raw.analysis.curves] == ["female", "male"]
    assert raw.analysis.log_rank.observed == (1.0, 0.0)
    assert raw.analysis.log_rank.expected == (0.5, 0.5)
    assert raw.analysis.log_rank.variance == ((0.25, -0.25), (-0.25, 0.25))


def test_nobody_in_the_cohort_gives_empty_answers(ask: Ask) -> None:
    tables: dict[str, list[dict[str, Any]]] = {"observation_period": [], "death": []}
    assert ask(tables, Count(by=(SEX,))).analysis.by.persons["female",] == 0
    assert ask(tables, survival(by=SEX)).analysis.curves == ()
    assert ask(tables, survival(by=SEX)).analysis.log_rank.groups == ()
    assert ask(tables, Table1(variables=(WEIGHT,))).analysis.summaries[0].groups[0].n == 0


def codes_of(concept: int) -> Variable:
    definition = Presence(domain="condition", codes=Codes(concept_ids=(concept,), descendants=True))
    return variable("ill", definition)


def test_descendants_need_the_vocabulary(ask: Ask) -> None:
    tables = everybody(8532)
    tables["condition_occurrence"] = [
        {
            "condition_occurrence_id": 1,
            "person_id": 1,
            "condition_concept_id": 11,
            "condition_start_date": D(2000, 1, 1),
        }
    ]
    for hierarchy in ({}, {"concept_ancestor": []}):
        with pytest.raises(EngineError) as caught:
            ask({**tables, **hierarchy}, Count(by=(codes_of(1),)))
        assert caught.value.code == "engine.vocabulary"
    tables["concept_ancestor"] = [{"ancestor_concept_id": 1, "descendant_concept_id": 11}]
    assert ask(tables, Count(by=(codes_of(1),))).analysis.by.persons["yes",] == 1
    tables["concept"] = [{"concept_id": 11, "invalid_reason": "D"}]
    assert ask(tables, Count(by=(codes_of(1),))).analysis.by.persons["yes",] == 0


def test_source_codes_answer_without_a_vocabulary(ask: Ask) -> None:
    tables = everybody(8532, 8507)
    tables["condition_occurrence"] = [
        {
            "condition_occurrence_id": 1,
            "person_id": 2,
            "condition_source_value": "C18.2",
            "condition_start_date": D(2003, 5, 5),
        }
    ]
    expression = cohort(
        {"ConditionOccurrence": {"CodesetId": 4}}, ConceptSets=[concept_set(4, 99, codes=["C18.2"])]
    )
    assert ask(tables, Count(), expression).members.tolist() == [2]


@pytest.mark.parametrize(
    ("tables", "analysis", "code"),
    [
        ({"person": []}, Count(), "engine.missing_table"),
        (everybody(8532), survival(), "engine.missing_table"),
        (everybody(8532), Count(by=(variable("age", Demographic(field="age")),)), "engine.edges"),
        (everybody(8532), Count(by=(SEX, SEX)), "engine.variable"),
        (
            everybody(8532),
            Count(
                by=(
                    variable(
                        "x",
                        CategoryValue(domain="observation", codes=coded("x"), levels=levels(other=["1"])),
                    ),
                )
            ),
            "engine.levels",
        ),
    ],
)
def test_a_query_without_a_meaning_is_refused(
    ask: Ask, tables: dict[str, Any], analysis: Analysis, code: str
) -> None:
    with pytest.raises(EngineError) as caught:
        ask(tables, analysis)
    assert caught.value.code == code
