"""An engine says what it runs; what it does not run is refused at its place, and what says nothing is not."""

from typing import Any

import pytest

from atoll_schemas.circe import CohortExpression, Coverage, UnsupportedCohort, refuse_beyond
from atoll_schemas.circe.concepts import ConceptSetItem
from atoll_schemas.circe.criteria import ConditionOccurrence, Criteria
from atoll_schemas.circe.groups import Endpoint, Occurrence
from atoll_schemas.circe.writing import as_read, path_of, placed
from tests.support.circe_examples import PARTS

EVERYTHING = CohortExpression.from_json(PARTS[CohortExpression])


def refused(coverage: Coverage) -> str:
    with pytest.raises(UnsupportedCohort) as caught:
        refuse_beyond(EVERYTHING, coverage)
    return caught.value.path


@pytest.mark.parametrize(
    ("coverage", "path"),
    [
        ({ConceptSetItem: frozenset({"concept"})}, "$.ConceptSets[0].expression.items[0].isExcluded"),
        ({Occurrence: frozenset({"type", "count", "is_distinct"})}, ".Occurrence.CountColumn"),
        ({Criteria: frozenset({"drug_era"})}, "$.PrimaryCriteria.CriteriaList[1].Death"),
        ({CohortExpression: frozenset({"primary_criteria"})}, "$.ConceptSets"),
    ],
)
def test_the_first_field_beyond_the_coverage_is_named(coverage: Coverage, path: str) -> None:
    assert refused(coverage).endswith(path)


def test_a_class_without_an_entry_runs_whole() -> None:
    refuse_beyond(EVERYTHING, {})
    refuse_beyond(EVERYTHING, {ConditionOccurrence: frozenset()})


def value_at(value: Any, path: str) -> Any:
    for step in path.replace("[", ".").replace("]", "").split(".")[1:]:
        value = value[int(step)] if step.isdigit() else value[step]
    return value


@pytest.mark.parametrize(
    "path",
    [
        "$.ConceptSets[0].expression.items[0].concept",
        "$.PrimaryCriteria.CriteriaList[0].DrugEra.GapDays",
        "$.AdditionalCriteria.Groups[0].CriteriaList[0].StartWindow.Start",
        "$.InclusionRules[0].expression.DemographicCriteriaList[0].RaceCS",
        "$.EndStrategy.CustomEra",
    ],
)
def test_a_path_leads_to_the_part_and_to_its_json(path: str) -> None:
    part = dict(placed(EVERYTHING))[path]
    assert as_read(part) == value_at(EVERYTHING.to_circe(), path)


def test_every_part_has_a_path_of_its_own() -> None:
    found = list(placed(EVERYTHING))
    assert found[0] == ("$", EVERYTHING)
    assert len({path for path, _ in found}) == len(found)


def test_the_path_of_a_field_names_it_as_circe_does() -> None:
    counted = EVERYTHING.additional_criteria.criteria_list[0]  # type: ignore[union-attr]
    end = counted.end_window
    assert end is not None
    path = path_of(EVERYTHING, end.start, "days")
    assert path == "$.AdditionalCriteria.CriteriaList[0].EndWindow.Start.Days"
    assert path_of(EVERYTHING, Endpoint.model_validate({"Coeff": 1}), "coeff") == "$.Coeff"
