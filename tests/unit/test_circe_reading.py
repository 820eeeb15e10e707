"""Reading Circe JSON: what is taken, what is refused, and where the refusal points."""

import json
import time
from typing import Any

import pytest
from pydantic import ValidationError

from atoll_schemas.circe import (
    CohortError,
    CohortExpression,
    InvalidCohort,
    UnsupportedCohort,
    refuse_beyond,
)
from atoll_schemas.circe.criteria import ConditionOccurrence, Criteria
from atoll_schemas.query import Query

ENTRY = {"ConditionOccurrence": {"CodesetId": 1}}


def expression(**parts: Any) -> dict[str, Any]:
    return {
        "ConceptSets": [{"id": 1, "name": "x", "expression": {"items": [{"concept": {"CONCEPT_ID": 7}}]}}],
        "PrimaryCriteria": {
            "CriteriaList": [ENTRY],
            "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "All"},
        },
        **parts,
    }


def with_entry(criteria: dict[str, Any]) -> dict[str, Any]:
    content = expression()
    content["PrimaryCriteria"]["CriteriaList"] = [criteria]
    return content


def refused(content: Any) -> CohortError:
    with pytest.raises(CohortError) as caught:
        CohortExpression.from_json(content)
    return caught.value


def test_a_text_its_bytes_and_its_object_read_the_same() -> None:
    content = expression()
    text = json.dumps(content)
    assert CohortExpression.from_json(text) == CohortExpression.from_json(content)
    assert CohortExpression.from_json(text.encode()) == CohortExpression.from_json(content)


def test_what_atlas_exports_only_to_document_changes_neither_meaning_nor_digest() -> None:
    plain = CohortExpression.from_json(expression())
    content = expression(cdmVersionRange=">=5.0.0", Title="Colon cancer", AdditionalCriteria=None)
    content["PrimaryCriteria"]["CriteriaList"] = [
        {"ConditionOccurrence": {"CodesetId": 1, "ConditionTypeExclude": False, "VisitType": []}}
    ]
    concept = content["ConceptSets"][0]["expression"]["items"][0]["concept"]
    concept.update(CONCEPT_NAME="Cancer", INVALID_REASON_CAPTION="Valid", VOCABULARY_ID="SNOMED")
    assert CohortExpression.from_json(content) == plain
    assert CohortExpression.from_json(content).digest() == plain.digest()


def test_the_wire_form_uses_circes_names_and_reads_back() -> None:
    read = CohortExpression.from_json(
        expression(EndStrategy={"DateOffset": {"DateField": "EndDate", "Offset": 30}})
    )
    assert read.wire()["EndStrategy"] == {"DateOffset": {"DateField": "EndDate", "Offset": 30}}
    assert "AdditionalCriteria" not in read.wire()
    assert CohortExpression.from_wire(read.wire()) == read


def test_a_query_carries_the_expression_over_the_wire() -> None:
    query = Query.from_wire(
        {"project": "P-001", "dataset": "colon", "cohort": expression(), "analysis": {"method": "count"}}
    )
    assert Query.from_wire(query.wire()) == query
    assert Query.from_wire(json.loads(query.canonical())).digest() == query.digest()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("VisitType", [{"CONCEPT_ID": 9201}]),
        ("ConditionTypeExclude", True),
        ("ProviderSpecialtyCS", {"CodesetId": 1}),
        ("ConditionStatus", [{"CONCEPT_ID": 1}]),
    ],
)
def test_an_attribute_that_an_engine_does_not_run_is_refused_by_its_path(attribute: str, value: Any) -> None:
    read = CohortExpression.from_json(with_entry({"ConditionOccurrence": {"CodesetId": 1, attribute: value}}))
    with pytest.raises(UnsupportedCohort) as caught:
        refuse_beyond(read, {ConditionOccurrence: frozenset({"codeset_id"})})
    assert caught.value.path == f"$.PrimaryCriteria.CriteriaList[0].ConditionOccurrence.{attribute}"


def test_an_attribute_that_says_nothing_is_run_by_every_engine() -> None:
    entry = {"ConditionOccurrence": {"CodesetId": 1, "VisitType": [], "First": False, "Age": None}}
    refuse_beyond(
        CohortExpression.from_json(with_entry(entry)), {ConditionOccurrence: frozenset({"codeset_id"})}
    )


def test_a_domain_that_an_engine_does_not_run_is_refused_by_its_path() -> None:
    read = CohortExpression.from_json(with_entry({"PayerPlanPeriod": {}}))
    with pytest.raises(UnsupportedCohort) as caught:
        refuse_beyond(read, {Criteria: frozenset({"death"})})
    assert caught.value.path == "$.PrimaryCriteria.CriteriaList[0].PayerPlanPeriod"


def test_a_misspelled_name_is_told_the_nearest_known_one() -> None:
    error = refused(with_entry({"ConditionOccurence": {}}))
    assert isinstance(error, InvalidCohort)
    assert error.nearest == "ConditionOccurrence"
    assert "did you mean ConditionOccurrence?" in str(error)


def test_a_null_under_an_unknown_name_is_still_refused() -> None:
    assert isinstance(refused(expression(Frobnicate=None)), InvalidCohort)


def test_a_strange_key_is_quoted_and_cut_in_the_path() -> None:
    error = refused(expression(**{"a b\n" + "x" * 500: 1}))
    assert error.path.startswith('$["a b\\nx')
    assert len(error.path) < 80


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "3",
        "{",
        '{"a": NaN}',
        '{"ConceptSets": [], "ConceptSets": []}',
        b"\xff\xfe",
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5_000,
    ],
)
def test_text_that_is_no_expression_is_refused_fast(content: str | bytes) -> None:
    started = time.monotonic()
    assert isinstance(refused(content), InvalidCohort)
    assert time.monotonic() - started < 2


def nested(depth: int) -> dict[str, Any]:
    group: dict[str, Any] = {"Type": "ALL", "Groups": []}
    for _ in range(depth):
        group = {"Type": "ALL", "Groups": [group]}
    return group


def test_groups_may_be_sixty_deep() -> None:
    read = CohortExpression.from_json(expression(AdditionalCriteria=nested(60)))
    assert CohortExpression.from_wire(read.wire()) == read


@pytest.mark.parametrize("depth", [66, 200, 5_000])
def test_deeper_groups_are_refused(depth: int) -> None:
    assert "deeper" in refused(expression(AdditionalCriteria=nested(depth))).message


def test_deep_groups_are_refused_inside_a_query_too() -> None:
    content = {
        "project": "P-1",
        "dataset": "colon",
        "cohort": expression(AdditionalCriteria=nested(400)),
        "analysis": {"method": "count"},
    }
    with pytest.raises(ValidationError, match="deeper"):
        Query.from_wire(content)


def test_an_endless_list_is_refused_fast() -> None:
    started = time.monotonic()
    content = expression()
    content["PrimaryCriteria"]["CriteriaList"] = [ENTRY] * 3_000
    assert "more than 2000 criteria" in refused(content).message
    content["PrimaryCriteria"]["CriteriaList"] = [ENTRY] * 600_000
    assert "values" in refused(content).message
    assert "bytes" in refused(" " * 9_000_000).message
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_entry({"ConditionOccurrence": {"CodesetId": 9}}), "no concept set"),
        (with_entry({}), "exactly one domain"),
        (with_entry({"Death": {}, "Specimen": {}}), "exactly one domain"),
        (expression(EndStrategy={}), "either"),
        (expression(AdditionalCriteria={"Type": "AT_LEAST"}), "needs a Count"),
        (
            with_entry({"ConditionOccurrence": {"Age": {"Value": 3, "Op": "bt"}}}),
            "needs an Extent",
        ),
        (expression(ConceptSets=[{"id": 1}, {"id": 1}]), "same id"),
        (expression(CollapseSettings={"CollapseType": "ERA", "EraPad": -1}), "greater than or equal"),
    ],
)
def test_what_cannot_mean_anything_is_refused(content: dict[str, Any], words: str) -> None:
    error = refused(content)
    assert isinstance(error, InvalidCohort)
    assert words in error.message


def test_types_are_read_in_any_case_as_circe_does() -> None:
    content = expression(ExpressionLimit={"Type": "ALL"}, AdditionalCriteria={"Type": "any"})
    read = CohortExpression.from_json(content)
    assert read.expression_limit.type == "All"
    assert read.additional_criteria is not None
    assert read.additional_criteria.type == "ANY"
