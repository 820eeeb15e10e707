"""Two cohorts differ by what they mean, never by numbers of sets, order of lists or spelling."""

from typing import Any

from atoll.differing import Change, differences
from atoll_schemas.circe import CohortExpression


def concept_set(number: int, name: str, *concepts: int) -> dict[str, Any]:
    items = [{"concept": {"CONCEPT_ID": concept}} for concept in concepts]
    return {"id": number, "name": name, "expression": {"items": items}}


def rule(name: str, low: int) -> dict[str, Any]:
    facts = {"Age": {"Value": low, "Op": "gte"}}
    return {"name": name, "expression": {"Type": "ALL", "DemographicCriteriaList": [facts]}}


def cohort(flu: int = 0, **parts: Any) -> dict[str, Any]:
    return {
        "ConceptSets": [concept_set(flu, "flu", 1, 2), concept_set(1 - flu, "cold", 3)],
        "PrimaryCriteria": {
            "CriteriaList": [
                {"ConditionOccurrence": {"CodesetId": flu}},
                {"ConditionOccurrence": {"CodesetId": 1 - flu}},
            ]
        },
        **parts,
    }


def between(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    return differences(CohortExpression.from_json(before), CohortExpression.from_json(after))


def test_a_cohort_does_not_differ_from_itself() -> None:
    assert between(cohort(), cohort()) == ()


def test_numbers_of_concept_sets_and_order_and_spelling_do_not_count() -> None:
    other = cohort(flu=1, Title="The same", CensorWindow={}, InclusionRules=[])
    other["ConceptSets"].reverse()
    other["PrimaryCriteria"]["CriteriaList"].reverse()
    other["PrimaryCriteria"]["CriteriaList"][0]["ConditionOccurrence"]["First"] = False
    assert between(cohort(), other) == ()


def test_a_changed_value_is_told_with_both_values() -> None:
    (change,) = between(
        cohort(InclusionRules=[rule("adult", 18)]), cohort(InclusionRules=[rule("adult", 21)])
    )
    assert change.kind == "changed"
    assert (change.before, change.after) == (18, 21)
    assert change.path == "$.InclusionRules.adult.expression.DemographicCriteriaList[0].Age.Value"
    assert change.told() == f"~ {change.path}: 18 → 21"


def test_added_and_removed_rules_are_told_by_name() -> None:
    adult, old = rule("adult", 18), rule("old", 65)
    (change,) = between(cohort(InclusionRules=[adult]), cohort(InclusionRules=[old, adult]))
    assert (change.kind, change.path) == ("added", "$.InclusionRules.old")
    (change,) = between(cohort(InclusionRules=[adult]), cohort())
    assert (change.kind, change.path) == ("removed", "$.InclusionRules.adult")


def test_a_limit_that_is_left_out_is_first() -> None:
    (change,) = between(cohort(), cohort(ExpressionLimit={"Type": "All"}))
    assert (change.before, change.after) == ("First", "All")


def test_a_concept_more_is_told_in_its_set() -> None:
    other = cohort()
    other["ConceptSets"][0]["expression"]["items"].append({"concept": {"CONCEPT_ID": 9}})
    (change,) = between(cohort(), other)
    assert change.kind == "added"
    assert change.path.startswith("$.ConceptSets.flu.expression.items")
    assert change.after == {"concept": {"CONCEPT_ID": 9}}


def test_two_sets_of_one_name_are_told_apart() -> None:
    first, second = cohort(), cohort()
    for value in (first, second):
        value["ConceptSets"][1]["name"] = "flu"
    second["PrimaryCriteria"]["CriteriaList"][1]["ConditionOccurrence"]["CodesetId"] = 0
    (change,) = between(first, second)
    assert (change.before, change.after) == ("flu (2)", "flu")


def test_a_long_change_is_cut() -> None:
    many = [concept_set(0, "flu", *range(200)), concept_set(1, "cold", 3)]
    other = cohort(ConceptSets=[concept_set(0, "influenza", *range(200)), many[1]])
    changes = between(cohort(ConceptSets=many), other)
    assert {change.kind for change in changes} >= {"added", "removed"}
    assert all(len(change.told()) < 400 for change in changes)
