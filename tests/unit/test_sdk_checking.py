"""A site can run a cohort, or a missing table, vocabulary or version says why not and what would help."""

from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.checking import SiteCheck, check_sites
from atoll_schemas.catalog import CatalogEntry, SiteView, TableEntry
from atoll_schemas.cells import Counted, Withheld
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.needs import needs_of
from tests.support.hub_consortium import catalog

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cohort(criteria: dict[str, Any], **flags: bool) -> CohortExpression:
    items = [{"concept": {"CONCEPT_ID": 1}, **flags}]
    return CohortExpression.from_json(
        {
            "ConceptSets": [
                {"id": 0, "name": "flu", "expression": {"items": items}},
                {
                    "id": 1,
                    "name": "never used",
                    "expression": {"items": [{**items[0], "includeMapped": True}]},
                },
            ],
            "PrimaryCriteria": {"CriteriaList": [criteria]},
        }
    )


FLU = {"ConditionOccurrence": {"CodesetId": 0}}


def entry(*tables: str, shared: tuple[str, ...] = (), persons: Any = None) -> CatalogEntry:
    counted = Counted(value=120) if persons is None else persons
    held = tuple(
        TableEntry(name=name, persons=counted, rows=counted, fields=())
        for name in ("person", "observation_period", *tables)
    )
    (found,) = catalog("north").entries
    return found.model_copy(update={"tables": held, "shared_tables": shared})


def view(state: Any = "online") -> SiteView:
    return SiteView(
        site="north", title="North", state=state, last_seen=NOW, software="atoll-node/0.0.9", protocol="0"
    )


def checked(expression: CohortExpression, held: CatalogEntry, state: Any = "online") -> SiteCheck:
    (check,) = check_sites(expression, [held], [view(state)])
    return check


def test_a_site_with_the_tables_runs_it() -> None:
    check = checked(cohort(FLU), entry("condition_occurrence"))
    assert check.runs
    assert check.notes == ()
    assert check.to_dict()["runs"] is True


def test_a_missing_table_is_named() -> None:
    (obstacle,) = checked(cohort(FLU), entry()).obstacles
    assert obstacle.code == "table"
    assert "condition_occurrence" in obstacle.reason
    assert "ingests condition_occurrence" in obstacle.fix


def test_without_a_vocabulary_descendants_cannot_be_expanded() -> None:
    expression = cohort(FLU, includeDescendants=True)
    (obstacle,) = checked(expression, entry("condition_occurrence")).obstacles
    assert obstacle.code == "vocabulary"
    assert "«flu»" in obstacle.reason
    assert checked(expression, entry("condition_occurrence", shared=("concept_ancestor",))).runs


def test_mapped_concepts_need_relationships_and_unused_sets_need_nothing() -> None:
    (obstacle,) = checked(cohort(FLU, includeMapped=True), entry("condition_occurrence")).obstacles
    assert "concept_relationship" in obstacle.reason
    assert checked(cohort({"Death": {}}, includeMapped=True), entry("death")).runs


def test_an_attribute_without_a_field_is_told_by_its_path() -> None:
    dosed = {"DrugExposure": {"EffectiveDrugDose": {"Value": 3, "Op": "gt"}, "DoseUnit": []}}
    (obstacle,) = checked(cohort(dosed), entry("drug_exposure")).obstacles
    assert obstacle.code == "attribute"
    assert "$.PrimaryCriteria.CriteriaList[0].DrugExposure.EffectiveDrugDose" in obstacle.reason


def test_another_protocol_is_a_version_and_offline_is_a_note() -> None:
    (obstacle,) = checked(cohort(FLU), entry("condition_occurrence"), "incompatible").obstacles
    assert (obstacle.code, "atoll-node/0.0.9" in obstacle.reason) == ("version", True)
    check = checked(cohort(FLU), entry("condition_occurrence"), "offline")
    assert check.runs
    assert check.notes == ("its node is offline",)


def test_a_table_of_few_persons_is_a_note() -> None:
    check = checked(cohort(FLU), entry("condition_occurrence", persons=Withheld()))
    assert check.runs
    assert "condition_occurrence holds few persons or none" in check.notes


@pytest.mark.parametrize(
    ("criteria", "tables"),
    [
        ({"TrialParticipation": {}}, {"trial_subject"}),
        ({"ImageFeature": {}}, {"image_feature", "image_occurrence"}),
        ({"LocationRegion": {}}, {"location", "location_history"}),
        ({"DrugExposure": {"ProviderSpecialty": [{"CONCEPT_ID": 1}]}}, {"drug_exposure", "provider"}),
        ({"DrugExposure": {"ProviderSpecialty": [], "VisitTypeCS": None}}, {"drug_exposure"}),
        ({"Measurement": {"VisitTypeCS": {"CodesetId": 0}}}, {"measurement", "visit_occurrence"}),
        ({"VisitDetail": {"PlaceOfServiceCS": {"CodesetId": 0}}}, {"visit_detail", "care_site"}),
    ],
)
def test_attributes_need_the_tables_that_they_look_into(criteria: dict[str, Any], tables: set[str]) -> None:
    assert needs_of(cohort(criteria)).tables == tables | {"person", "observation_period"}


def test_nested_criteria_and_custom_eras_need_their_tables_too() -> None:
    inner = {"Criteria": {"Specimen": {}}, "Occurrence": {"Type": 2, "Count": 1}}
    criteria = {"Death": {"CorrelatedCriteria": {"Type": "ALL", "CriteriaList": [inner]}}}
    value = cohort(criteria).to_circe() | {"EndStrategy": {"CustomEra": {"DrugCodesetId": 0}}}
    needs = needs_of(CohortExpression.from_json(value))
    assert needs.tables >= {"death", "specimen", "drug_exposure"}
