"""What ATLAS wrote is written again: other spellings, forms of numbers, nulls and empty lists included."""

import json
from typing import Any

import pytest

from atoll_schemas.circe import CohortExpression, InvalidCohort, UnsupportedCohort
from tests.support.circe_examples import PARTS
from tests.support.shared_data import shared
from tests.unit.test_circe_reading import expression, with_entry


def entry(**attributes: Any) -> dict[str, Any]:
    return with_entry({"ConditionOccurrence": {"CodesetId": 1, **attributes}})


def around(window: dict[str, Any]) -> dict[str, Any]:
    counted = {
        "Criteria": {"Death": {}},
        "StartWindow": window,
        "Occurrence": {"Type": 2, "Count": 1},
    }
    return expression(AdditionalCriteria={"Type": "ALL", "CriteriaList": [counted]})


LOSSLESS = {
    "a number as a text": entry(Age={"Value": "18", "Op": "gte"}),
    "a whole number as a fraction": entry(Age={"Value": 18.0, "Op": "gte"}),
    "days as a text": around({"Start": {"Days": "30", "Coeff": -1}, "End": {"Days": 0.0, "Coeff": "1"}}),
    "nulls": entry(First=None, Age=None, Gender=None, VisitTypeCS=None, CorrelatedCriteria=None),
    "empty lists": entry(Gender=[], VisitType=[]),
    "what is absent too": entry(First=False, ConditionTypeExclude=False),
    "types in another case": expression(ExpressionLimit={"Type": "ALL"}, AdditionalCriteria={"Type": "any"}),
    "a date without noughts": entry(OccurrenceStartDate={"Value": "2020-1-5", "Op": "gt"}),
    "a date with a time": entry(OccurrenceStartDate={"Value": "2012-01-01T05:00:00.000Z", "Op": "gt"}),
    "a bare number for a selection": with_entry({"VisitDetail": {"GenderCS": 1}}),
    "small first letters": with_entry(
        {"VisitDetail": {"codesetId": 1, "visitDetailTypeCS": {"codesetId": 1}}}
    ),
    "days by their unit": around(
        {"Start": {"TimeUnit": "day", "TimeUnitValue": 30, "Coeff": -1}, "End": {"Coeff": 1}}
    ),
    "days twice": around(
        {"Start": {"Days": 30, "TimeUnitValue": 30, "TimeUnit": "day", "Coeff": -1}, "End": {"Coeff": 1}}
    ),
    "an open censor window": expression(CensorWindow={}),
    "an offset in units": expression(EndStrategy={"DateOffset": {"OffsetUnit": "day", "OffsetUnitValue": 7}}),
    "documents": expression(Title="Colon cancer", cdmVersionRange=">=5.0.0", ConceptSets=[
        {"id": 1, "name": "x", "expression": {"items": [{"concept": {
            "CONCEPT_ID": 7, "CONCEPT_NAME": "Cancer", "INVALID_REASON": None, "VALID_START_DATE": 1009839,
        }}]}}
    ], InclusionRules=[{"name": "r", "description": "why", "expression": {"Type": "ALL"}}]),
    "every attribute": PARTS[CohortExpression],
}  # fmt: skip


@pytest.mark.parametrize("content", LOSSLESS.values(), ids=LOSSLESS)
def test_what_was_read_is_written_again(content: dict[str, Any]) -> None:
    text = json.dumps(content, sort_keys=True)
    assert json.dumps(CohortExpression.from_json(content).to_circe(), sort_keys=True) == text


@pytest.mark.parametrize("content", LOSSLESS.values(), ids=LOSSLESS)
def test_other_spellings_of_one_question_have_one_digest(content: dict[str, Any]) -> None:
    read = CohortExpression.from_json(content)
    again = CohortExpression.from_json(read.wire())
    assert again == read
    assert again.digest() == read.digest()
    assert hash(again) == hash(read)
    assert again.to_circe() == read.wire()


@pytest.mark.shared
def test_every_shared_definition_is_written_as_it_was_read() -> None:
    files = sorted(shared("circe/definitions").glob("*.json"))
    for file in files:
        text = file.read_text("utf-8")
        assert CohortExpression.from_json(text).to_circe() == json.loads(text), file.name
    assert len(files) == 300


def test_values_are_those_that_circe_reads() -> None:
    read = CohortExpression.from_json(LOSSLESS["days by their unit"])
    assert read.additional_criteria is not None
    window = read.additional_criteria.criteria_list[0].start_window
    assert window is not None
    assert window.start.days == 30
    detail = CohortExpression.from_json(LOSSLESS["small first letters"]).primary_criteria.criteria_list[0]
    assert detail.domain == "visit_detail"
    assert detail.visit_detail is not None
    assert detail.visit_detail.visit_detail_type_cs is not None
    assert detail.visit_detail.visit_detail_type_cs.codeset_id == 1


@pytest.mark.parametrize(
    ("content", "path", "nearest"),
    [
        (entry(Agee={"Value": 1, "Op": "gt"}), "ConditionOccurrence.Agee", "Age"),
        (entry(Age={"Value": 1, "Op": "gteq"}), "ConditionOccurrence.Age.Op", "gte"),
        (around({"Start": {"Dayz": 3, "Coeff": -1}}), "StartWindow.Start.Dayz", "Days"),
        (around({"Start": {"Days": -3, "Coeff": -1}, "End": {"Coeff": 1}}), "StartWindow.Start.Days", None),
        (entry(Age={"Value": "x", "Op": "gt"}), "ConditionOccurrence.Age.Value", None),
        (entry(GapDays=None), "ConditionOccurrence.GapDays", None),
        (entry(codeset_id=1), "ConditionOccurrence.codeset_id", "CodesetId"),
        (entry(First="true"), "ConditionOccurrence.First", None),
        (entry(First=1), "ConditionOccurrence.First", None),
        (entry(ConditionSourceConcept=True), "ConditionOccurrence.ConditionSourceConcept", None),
        (entry(codesetId=2), "ConditionOccurrence.codesetId", None),
        (entry(OccurrenceStartDate={"Value": 86400, "Op": "gt"}), "OccurrenceStartDate.Value", None),
        (entry(Age={"Value": "1_8", "Op": "gt"}), "ConditionOccurrence.Age.Value", None),
    ],
)
def test_an_unknown_name_or_value_is_refused_by_its_path(
    content: dict[str, Any], path: str, nearest: str | None
) -> None:
    with pytest.raises(InvalidCohort) as caught:
        CohortExpression.from_json(content)
    assert caught.value.path.endswith(path)
    assert caught.value.nearest == nearest


def test_a_unit_other_than_the_day_is_not_run() -> None:
    with pytest.raises(UnsupportedCohort) as caught:
        CohortExpression.from_json(
            around({"Start": {"TimeUnit": "hour", "TimeUnitValue": 3, "Coeff": -1}, "End": {"Coeff": 1}})
        )
    assert caught.value.path.endswith("StartWindow.Start.TimeUnit")


def test_a_changed_copy_is_written_from_its_values() -> None:
    read = CohortExpression.from_json(entry(Age={"Value": "18", "Op": "gte"}))
    body = read.primary_criteria.criteria_list[0].condition_occurrence
    assert body is not None
    assert body.age is not None
    assert body.age.model_copy(update={"value": 21}).wire() == {"Value": 21, "Op": "gte"}
