"""Every bound of the cohort language: the last value inside is taken, the first outside is refused."""

import json
from typing import Any, get_args

import pytest

from atoll_schemas.circe import CohortExpression, InvalidCohort
from atoll_schemas.circe.limits import MOST_IN_A_LIST
from atoll_schemas.circe.spelling import form_of
from tests.support.circe_examples import CONCEPT_SET, CONCEPTS, NUMBER, PARTS, SELECTION, SINCE, TEXT, bodies

BASE: dict[str, Any] = {
    "ConceptSets": [CONCEPT_SET],
    "PrimaryCriteria": {"CriteriaList": [{"Death": {}}], "ObservationWindow": {}},
    "InclusionRules": [],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the expression of every attribute with another value at a path such as ``A.0.B``."""
    content = json.loads(json.dumps(PARTS[CohortExpression]))
    holder: Any = content
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        holder = holder[step]
    holder[last] = value
    return content


def takes(path: str, value: Any) -> bool:
    return bool(CohortExpression.from_json(changed(path, value)))


def refusal(path: str, value: Any) -> InvalidCohort:
    with pytest.raises(InvalidCohort) as caught:
        CohortExpression.from_json(changed(path, value))
    return caught.value


COUNTED = "AdditionalCriteria.CriteriaList.0"
NUMBERS = {
    f"{COUNTED}.StartWindow.Start.Days": (0, 100_000),
    f"{COUNTED}.Occurrence.Count": (0, 1_000_000),
    "AdditionalCriteria.Count": (0, 100_000),
    "EndStrategy.CustomEra.GapDays": (0, 100_000),
    "EndStrategy.CustomEra.Offset": (-100_000, 100_000),
    "EndStrategy.CustomEra.DaysSupplyOverride": (0, 100_000),
    "CollapseSettings.EraPad": (0, 100_000),
    "ConceptSets.0.expression.items.0.concept.CONCEPT_ID": (0, 2**53 - 1),
    "AdditionalCriteria.DemographicCriteriaList.0.Age.Value": (-(2**53), 2**53),
}


@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_ends_at_its_bounds(path: str) -> None:
    low, high = NUMBERS[path]
    assert takes(path, low)
    assert takes(path, high)
    for outside in (low - 1, high + 1):
        # At 2**53 the next number that a double holds is two away.
        assert refusal(path, outside).path.replace("[", ".").replace("]", "") == f"$.{path}"


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize("odd", ["one", "", [], {}, True, float("nan"), float("inf"), "１８"])
def test_a_number_is_no_word_no_list_and_no_flag(path: str, odd: Any) -> None:
    assert refusal(path, odd)


CHOICES = {
    f"{COUNTED}.StartWindow.Start.Coeff": [-1, 1],
    f"{COUNTED}.Occurrence.Type": [0, 1, 2],
    f"{COUNTED}.Occurrence.CountColumn": ["DOMAIN_CONCEPT", "START_DATE", "VISIT_ID", "IMAGE_STUDY"],
    "AdditionalCriteria.Type": ["ALL", "any", "AT_LEAST", "at_most"],
    "QualifiedLimit.Type": ["All", "FIRST", "last"],
    "CollapseSettings.CollapseType": ["ERA", "era"],
}


@pytest.mark.parametrize("path", CHOICES)
def test_a_choice_is_of_its_closed_list(path: str) -> None:
    assert all(takes(path, value) for value in CHOICES[path])
    assert refusal(path, "none of these")
    assert refusal(path, 7)


def test_a_near_choice_is_told() -> None:
    assert refusal("AdditionalCriteria.Type", "AT_LEST").nearest == "AT_LEAST"
    assert refusal(f"{COUNTED}.Occurrence.CountColumn", "VISIT").nearest == "VISIT_ID"


LISTS = {
    "ConceptSets.0.expression.items": (
        PARTS[CohortExpression]["ConceptSets"][0]["expression"]["items"],
        MOST_IN_A_LIST,
    ),
    "ConceptSets.0.SourceCodes": ([{"vocabulary": "ICD10", "code": "C18.9"}], 10_000),
    "InclusionRules": ([{"name": "r", "expression": {"Type": "ALL"}}], 200),
    "AdditionalCriteria.DemographicCriteriaList.0.Gender": (CONCEPTS[:1], 10_000),
}


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_not_too_long(path: str) -> None:
    items, most = LISTS[path]
    assert takes(path, items * most)
    assert refusal(path, items * (most + 1))


@pytest.mark.parametrize(
    "day", ["2026-13-01", "2026-02-30", "04.03.2026", "soon", "2026-03", "٢٠٢٦-01-01", 20260101]
)
def test_a_day_that_is_none_is_refused(day: Any) -> None:
    assert refusal("CensorWindow.StartDate", day).path == "$.CensorWindow.StartDate"


RULES: list[tuple[str, Any, str]] = [
    ("AdditionalCriteria.DemographicCriteriaList.0.Age", {"Value": 1, "Op": "!bt"}, "needs an Extent"),
    ("AdditionalCriteria.Count", None, "needs a Count"),
    ("EndStrategy", {}, "either DateOffset or CustomEra"),
    ("EndStrategy.DateOffset", {"Offset": 1}, "either DateOffset or CustomEra"),
    ("CensoringCriteria.0", {}, "exactly one domain"),
    ("CensoringCriteria.0.Death", {}, "exactly one domain"),
    ("ConceptSets", [], "names no concept set"),
    ("ConceptSets", [CONCEPT_SET, CONCEPT_SET], "the same id"),
    ("PrimaryCriteria.CriteriaList", [], "at least 1 item"),
]


@pytest.mark.parametrize(("path", "value", "words"), RULES)
def test_a_rule_over_fields_refuses_in_words(path: str, value: Any, words: str) -> None:
    assert words in refusal(path, value).message


@pytest.mark.parametrize("kind", bodies(), ids=lambda kind: kind.__name__)
def test_every_attribute_refuses_what_is_of_another_kind(kind: Any) -> None:
    fitting = (NUMBER, SINCE, TEXT, SELECTION, CONCEPTS, 1, True, ["x"])
    for field in form_of(kind).fields:
        taken = 0
        for value in fitting:
            try:
                kind.model_validate({field.key: value})
            except ValueError:
                continue
            taken += 1
        assert taken <= 2, field.key
        assert get_args(kind.model_fields[field.name].annotation) or field.default in (False, None, ())
