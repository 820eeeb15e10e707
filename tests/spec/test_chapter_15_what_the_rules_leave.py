"""Chapter 15. What the inclusion rules leave: masks of all events, and of each person's best event.

A mask adds 1 for the first rule that holds around an event, 2 for the second, 4 for the third. In mode 0
every qualified event counts; in mode 1 only the best event of each person: the one around which the most
rules hold, then the one whose first rule comes earliest, then the earliest one, then the one that passes the
earlier rules. A count's attrition follows any event of a person, or the best one.
"""

import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.raw import RawCount
from atoll_node.reference import evaluate
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from tests.support.circe_text import EXACTLY, cohort, condition, counted, drug, group, rule, window
from tests.support.lake import release_of
from tests.support.records import persons, record
from tests.support.three_engines import NodeEngines, reference_answers

Masks = tuple[Mapping[int, int], Mapping[int, int]]
Judge = Callable[..., Masks]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> NodeEngines:
    return NodeEngines(tmp_path_factory.mktemp("masks"))


@pytest.fixture(params=["arrays", "reference"])
def masks(request: pytest.FixtureRequest, engines: NodeEngines) -> Judge:
    """Return ``masks(tables, cohort)``: how many events have each mask, in mode 0 and in mode 1."""

    def asked(tables: Mapping[str, Any], expression: Mapping[str, Any]) -> Masks:
        read = [CohortExpression.from_json(expression)]
        answers = reference_answers if request.param == "reference" else engines.by_arrays
        found = answers(dict(tables), read)[0].masks
        return dict(found[0]), dict(found[1])

    return asked


def treated_on(*days: date, diagnoses: tuple[date, ...]) -> dict[str, Any]:
    """Return a person with these diagnoses and drugs."""
    tables = persons(1)
    tables["condition_occurrence"] = [
        record("condition_occurrence", n, condition_start_date=day) | {"person_id": 1}
        for n, day in enumerate(diagnoses, 1)
    ]
    tables["drug_exposure"] = [
        record("drug_exposure", n, drug_exposure_start_date=day) | {"person_id": 1}
        for n, day in enumerate(days, 1)
    ]
    return tables


WEEK = rule(group("ALL", counted(drug(), StartWindow=window("+0", "+7"))))
MONTH = rule(group("ALL", counted(drug(), StartWindow=window("+0", "+30"))))
NEVER_BEFORE = rule(group("ALL", counted(drug(), 0, EXACTLY, StartWindow=window("-all", "-1"))))
MARCH, JUNE, AUGUST = date(2020, 3, 1), date(2020, 6, 1), date(2020, 8, 1)


def ruled(*rules: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return cohort(condition(), ConceptSets=[], InclusionRules=list(rules), **parts)


def test_an_event_has_a_bit_for_each_rule_that_holds_around_it(masks):
    site = treated_on(date(2020, 3, 3), date(2020, 6, 20), diagnoses=(MARCH, JUNE, AUGUST))
    every, _ = masks(site, ruled(WEEK, MONTH, NEVER_BEFORE))
    assert every == {0b111: 1, 0b010: 1, 0b000: 1}


def test_the_best_event_passes_the_most_rules(masks):
    site = treated_on(date(2020, 3, 20), date(2020, 6, 3), diagnoses=(MARCH, JUNE))
    every, best = masks(site, ruled(WEEK, MONTH))
    assert every == {0b10: 1, 0b11: 1}
    assert best == {0b11: 1}


def test_of_as_many_rules_the_event_of_the_earliest_rule_is_the_best(masks):
    site = treated_on(date(2020, 3, 20), date(2020, 6, 3), diagnoses=(MARCH, JUNE))
    every, best = masks(site, ruled(NEVER_BEFORE, WEEK))
    assert every == {0b01: 1, 0b10: 1}
    assert best == {0b01: 1}
    every, best = masks(site, ruled(WEEK, NEVER_BEFORE))
    assert every == {0b10: 1, 0b01: 1}
    assert best == {0b01: 1}


def test_a_person_counts_once_in_mode_1_and_by_events_in_mode_0(masks):
    site = treated_on(date(2020, 3, 3), date(2020, 6, 3), diagnoses=(MARCH, JUNE, AUGUST))
    assert masks(site, ruled(WEEK)) == ({1: 2, 0: 1}, {1: 1})


def test_without_rules_there_are_no_masks(masks):
    assert masks(treated_on(diagnoses=(MARCH,)), ruled()) == ({}, {})


def test_only_qualified_events_are_counted(masks):
    site = treated_on(date(2020, 3, 3), diagnoses=(MARCH, JUNE))
    first = ruled(WEEK, entry="First")
    assert masks(site, first) == ({1: 1}, {1: 1})
    early = ruled(NEVER_BEFORE, AdditionalCriteria=WEEK["expression"])
    assert masks(site, early) == ({1: 1}, {1: 1})


def test_the_expression_limit_comes_after_the_count(masks):
    site = treated_on(date(2020, 3, 3), date(2020, 6, 3), diagnoses=(MARCH, JUNE))
    assert masks(site, ruled(WEEK) | {"ExpressionLimit": {"Type": "First"}}) == ({1: 2}, {1: 1})


@pytest.fixture(params=["columns", "statements", "reference"])
def attrition(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[int]]:
    """Return ``attrition(tables, cohort, which)``: how many persons each step leaves."""

    def asked(tables: Mapping[str, Any], expression: Mapping[str, Any], which: str | None) -> list[int]:
        analysis = {"method": "count", "attrition": which}
        query = Query.from_wire(
            {"project": "P-1", "dataset": "test", "cohort": expression, "analysis": analysis}
        )
        if request.param == "reference":
            answer = evaluate(dict(tables), query)
        else:
            columns = "0GB" if request.param == "statements" else "100MB"
            settings = EngineSettings(memory="200MB", columns=columns, threads=1)
            engine = DuckDbEngine(settings, tmp_path / "scratch")
            answer = engine.run(query, release_of(dict(tables), tmp_path / "lake"), clock=time.monotonic)
        assert isinstance(answer.analysis, RawCount)
        return [step.persons for step in answer.analysis.attrition]

    return asked


def test_a_person_stays_while_any_event_passes_and_of_the_best_event_while_that_one_does(attrition):
    """March passes the first rule, June the two others: the best event is June's."""
    site = treated_on(date(2020, 5, 25), date(2020, 6, 3), diagnoses=(MARCH, JUNE))
    asked = ruled(NEVER_BEFORE, MONTH, WEEK)
    assert attrition(site, asked, None) == [1, 1, 0, 0]
    assert attrition(site, asked, "best_event") == [1, 0, 0, 0]


def test_events_that_tie_in_all_are_told_apart_by_the_earlier_rules(attrition):
    """Two diagnoses of one day, one in a visit with a drug: it passes rules 1 and 2, the other 1 and 3."""
    site = treated_on(MARCH, diagnoses=(MARCH, MARCH))
    for number, row in enumerate(site["condition_occurrence"]):
        row["visit_occurrence_id"] = 7 if number == 1 else 8
    site["drug_exposure"][0]["visit_occurrence_id"] = 7
    same = rule(group("ALL", counted(drug(), RestrictVisit=True)))
    other = rule(group("ALL", counted(drug(), 0, EXACTLY, RestrictVisit=True)))
    assert attrition(site, ruled(WEEK, same, other), None) == [1, 1, 1, 0]
    assert attrition(site, ruled(WEEK, same, other), "best_event") == [1, 1, 1, 0]
    assert attrition(site, ruled(WEEK, other, same), "best_event") == [1, 1, 1, 0]
