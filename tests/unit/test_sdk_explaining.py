"""A cohort is told in English and French; the words are kept, and none is missing.

``python -m tests.unit.test_sdk_explaining`` writes the kept words again.
"""

from typing import Any

import pytest

from atoll import words
from atoll.explaining import explain
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.groups import CountColumn, Occurrence
from tests.support.circe_examples import bodies
from tests.support.shared_data import shared
from tests.support.told_cohorts import GOLDEN, TOLD

STRUCTURE = {"first", "codeset_id", "correlated_criteria", "date_adjustment"}


def told(name: str, language: words.Language) -> str:
    return explain(CohortExpression.from_json(TOLD[name]), language)


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("name", TOLD)
def test_the_words_are_those_that_are_kept(name: str, language: words.Language) -> None:
    assert told(name, language) == (GOLDEN / f"{name}.{language}.txt").read_text("utf-8")


def test_every_kind_and_every_attribute_has_words() -> None:
    attributes = {name for kind in bodies() for name in kind.model_fields} - STRUCTURE
    bases = {name.removesuffix("_cs").removesuffix("_exclude") for name in attributes}
    assert bases == set(words.ATTRIBUTES)
    assert set(Criteria.model_fields) == set(words.DOMAINS)
    assert set(CountColumn.__args__) == set(words.DISTINCT)
    assert Occurrence.model_fields["count_column"].default is None


@pytest.mark.parametrize(
    "table",
    [words.DOMAINS, words.ATTRIBUTES, words.NUMBERS, words.DATES, words.TEXTS, words.DISTINCT, words.PHRASES],
)
def test_both_languages_say_the_same_things(table: dict[str, tuple[str, str]]) -> None:
    for english, french in table.values():
        assert english
        assert french
        for place in ("{0}", "{1}", "{2}"):
            assert (place in english) == (place in french)


@pytest.mark.shared
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_shared_definition_can_be_told(language: words.Language) -> None:
    for file in shared("circe/definitions").glob("*.json"):
        lines = explain(CohortExpression.from_json(file.read_text("utf-8")), language).splitlines()
        assert len(lines) > 8
        assert not any("{" in line for line in lines if "{" not in file.read_text("utf-8"))


def cohort(**parts: Any) -> CohortExpression:
    entry = {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}]}
    sets = [{"id": 0, "name": "flu"}]
    return CohortExpression.from_json({"ConceptSets": sets, "PrimaryCriteria": entry, **parts})


def test_a_time_on_one_day_is_told_as_that_day() -> None:
    window = {"Start": {"Days": 0, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}}
    counted = {
        "Criteria": {"Death": {}},
        "StartWindow": window,
        "Occurrence": {"Type": 0, "Count": 0},
    }
    rule = {"name": "alive", "expression": {"Type": "ALL", "CriteriaList": [counted]}}
    assert "never death; starting on the day of entry" in explain(cohort(InclusionRules=[rule]))


def test_a_long_list_of_concepts_is_counted() -> None:
    items = [{"concept": {"CONCEPT_ID": number}} for number in range(20)]
    sets = [{"id": 0, "name": "flu", "expression": {"items": items}}]
    assert "6, 7 and 12 more" in explain(cohort(ConceptSets=sets))
    assert "6, 7 et 12 autres" in explain(cohort(ConceptSets=sets), "fr")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for kept in TOLD:
        for spoken in words.LANGUAGES:
            (GOLDEN / f"{kept}.{spoken}.txt").write_text(told(kept, spoken), "utf-8")
