"""Chapter 17: a site without a table that the question looks at says so; it does not answer with fewer."""

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from atoll.checking import check_sites
from atoll_node.engine import ChosenEngine, DuckDbEngine
from atoll_node.engine.cohort_planning import plan_cohort
from atoll_node.engine.engine import tables_of
from atoll_node.errors import EngineError, MissingTable
from atoll_node.refusals import REFUSALS, refusal
from atoll_node.settings import EngineSettings, NodeSettings
from atoll_schemas.catalog import CatalogEntry, TableEntry
from atoll_schemas.cells import Counted
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.needs import needs_of
from atoll_schemas.query import (
    Analysis,
    Count,
    Death,
    Demographic,
    Event,
    KaplanMeier,
    NumberValue,
    Outcome,
    Presence,
    Table1,
    TrialArm,
)
from tests.support.hub_consortium import catalog
from tests.support.lake import release_of
from tests.support.questions import coded, cohort, concept_set, levels, query, variable
from tests.support.shared_data import shared

DAY = date(2005, 1, 1)
OBSERVED = {
    "person": [{"person_id": 1, "gender_concept_id": 8532, "year_of_birth": 1950}],
    "observation_period": [
        {"observation_period_id": 1, "person_id": 1,
         "observation_period_start_date": date(2000, 1, 1), "observation_period_end_date": date(2009, 12, 31)}
    ],
}  # fmt: skip
FLU = concept_set(0, 1)
ENTRY = {"ConditionOccurrence": {"CodesetId": 0}}
DRUG = {"Criteria": {"DrugExposure": {}}, "StartWindow": {"Start": {"Coeff": -1}, "End": {"Coeff": 1}}}


def beside(occurrence: dict[str, Any]) -> CohortExpression:
    """Return a cohort of everybody observed, with drugs counted around the entry event."""
    group = {"Type": "ALL", "CriteriaList": [{**DRUG, "Occurrence": occurrence}]}
    return cohort(AdditionalCriteria=group)


@pytest.fixture
def answer(tmp_path: Path) -> Any:
    settings = NodeSettings(site="a", title="A", hub="https://hub.example")
    engine = ChosenEngine(settings, tmp_path / "scratch")

    def asked(expression: CohortExpression, analysis: Analysis, *more: str) -> int:
        tables = OBSERVED | {name: [] for name in more}
        release = release_of(tables, tmp_path / "lake")
        found = engine.run(query(expression, analysis), release, clock=time.monotonic)
        return found.analysis.attrition[-1].persons

    yield asked
    engine.close()


def lacking(answer: Any, expression: CohortExpression, analysis: Analysis, *more: str) -> str:
    with pytest.raises(MissingTable) as caught:
        answer(expression, analysis, *more)
    return str(caught.value.table)


def test_a_cohort_of_a_table_that_is_not_there_is_refused(answer: Any) -> None:
    assert lacking(answer, cohort(ENTRY, ConceptSets=[FLU]), Count()) == "condition_occurrence"


def test_a_table_that_is_there_without_rows_is_an_answer(answer: Any) -> None:
    assert answer(cohort(ENTRY, ConceptSets=[FLU]), Count(), "condition_occurrence") == 0


@pytest.mark.parametrize(
    "occurrence", [{"Type": 2, "Count": 1}, {"Type": 0, "Count": 0}, {"Type": 1, "Count": 9}]
)
def test_criteria_beside_the_entry_need_their_table_too_though_any_person_could_fulfil_them(
    answer: Any, occurrence: dict[str, Any]
) -> None:
    assert lacking(answer, beside(occurrence), Count()) == "drug_exposure"


def test_an_inclusion_rule_and_a_censoring_event_need_theirs(answer: Any) -> None:
    rule = {
        "name": "treated",
        "expression": {"Type": "ANY", "CriteriaList": [{**DRUG, "Occurrence": {"Type": 2, "Count": 1}}]},
    }
    assert lacking(answer, cohort(InclusionRules=[rule]), Count()) == "drug_exposure"
    assert lacking(answer, cohort(CensoringCriteria=[{"Death": {}}]), Count()) == "death"


def test_an_attribute_of_what_a_record_names_needs_that_table(answer: Any) -> None:
    visited = {"ConditionOccurrence": {"VisitType": [{"CONCEPT_ID": 9201}]}}
    assert lacking(answer, cohort(visited), Count(), "condition_occurrence") == "visit_occurrence"
    located = {"VisitOccurrence": {"PlaceOfServiceLocation": 0}}
    needs = needs_of(cohort(located, ConceptSets=[FLU]))
    assert {"care_site", "location", "location_history"} <= needs.tables


@pytest.mark.parametrize(
    ("definition", "table"),
    [
        (Presence(domain="drug", codes=coded("x")), "drug_exposure"),
        (TrialArm(trial="T", levels=levels(a=["1"])), "trial_subject"),
    ],
)
def test_a_variable_needs_its_table_or_nobody_would_have_it(answer: Any, definition: Any, table: str) -> None:
    assert lacking(answer, cohort(), Count(by=(variable("v", definition),))) == table


def test_a_number_of_table_one_needs_its_table(answer: Any) -> None:
    weight = variable("weight", NumberValue(domain="measurement", codes=coded("weight")))
    assert lacking(answer, cohort(), Table1(variables=(weight,))) == "measurement"


def test_a_fact_of_the_person_needs_nothing_more(answer: Any) -> None:
    assert answer(cohort(), Count(by=(variable("sex", Demographic(field="sex")),))) == 1


@pytest.mark.parametrize(
    ("definition", "table"),
    [(Death(), "death"), (Event(domain="procedure", codes=coded("x")), "procedure_occurrence")],
)
def test_an_outcome_needs_its_table_or_nobody_would_reach_it(
    answer: Any, definition: Any, table: str
) -> None:
    survival = KaplanMeier(outcome=Outcome(name="end", definition=definition))
    assert lacking(answer, cohort(), survival) == table


@pytest.mark.parametrize(
    ("flag", "table"), [("includeDescendants", "concept_ancestor"), ("includeMapped", "concept_relationship")]
)
def test_concept_sets_that_are_expanded_need_a_vocabulary_with_rows(
    answer: Any, flag: str, table: str
) -> None:
    expanded = cohort(ENTRY, ConceptSets=[concept_set(0, 1, **{flag: True})])
    for more in ((), (table,)):
        with pytest.raises(EngineError) as caught:
            answer(expanded, Count(), "condition_occurrence", *more)
        assert caught.value.code == "engine.vocabulary"
        assert table in caught.value.message


def test_the_engine_by_itself_takes_an_absent_table_for_an_empty_one(tmp_path: Path) -> None:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")
    release = release_of(OBSERVED, tmp_path / "lake")
    raw = engine.run(query(cohort(ENTRY, ConceptSets=[FLU])), release, clock=time.monotonic)
    engine.close()
    assert raw.members.tolist() == []


def test_the_refusal_names_the_table_and_only_tables_of_the_data_model() -> None:
    told = refusal("engine.missing_table", table="drug_exposure")
    constant, _ = REFUSALS["engine.missing_table"]
    assert told.detail == f"{constant}: drug_exposure"
    assert refusal("engine.missing_table", table="patient 4711").detail == constant


def test_cohort_check_says_beforehand_what_the_node_would_refuse(answer: Any) -> None:
    expression = beside({"Type": 0, "Count": 0})
    (check,) = check_sites(expression, [_entry()], ())
    assert [obstacle.code for obstacle in check.obstacles] == ["table"]
    assert lacking(answer, expression, Count()) in check.obstacles[0].reason


def _entry() -> CatalogEntry:
    many = Counted(value=120)
    held = tuple(TableEntry(name=name, persons=many, rows=many, fields=()) for name in OBSERVED)
    (found,) = catalog("north").entries
    return found.model_copy(update={"tables": held, "shared_tables": ()})


class NoHierarchy:
    """A vocabulary in which every concept stands alone."""

    def descendants(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        return frozenset(concept_ids)

    def mapped(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        return frozenset()


def test_what_a_plan_reads_is_what_a_cohort_is_said_to_need() -> None:
    """No criteria may read a table that neither ``cohort check`` nor the refusal knows of."""
    for file in sorted(shared("circe/definitions").glob("*.json")):
        expression = CohortExpression.from_json(file.read_bytes())
        try:
            planned = plan_cohort(expression, NoHierarchy())
        except EngineError:
            continue
        assert tables_of(planned) <= needs_of(expression).tables, file.name
