"""Say what a cohort needs of a site: tables, and a vocabulary to expand its concept sets with."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from atoll_schemas.circe.concepts import ConceptSet
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.endings import CustomEra
from atoll_schemas.circe.expression import CohortExpression, parts_of, used_codesets
from atoll_schemas.circe.spelling import form_of
from atoll_schemas.circe.writing import placed

ALWAYS = frozenset({"person", "observation_period"})
_TABLES = {
    "trial_participation": frozenset({"trial_subject"}),
    "location_region": frozenset({"location_history", "location"}),
    "image_feature": frozenset({"image_feature", "image_occurrence"}),
}
"""Where criteria of a kind look, if not in the table of their own name."""
_ATTRIBUTES = {
    "provider_specialty": frozenset({"provider"}),
    "provider_specialty_cs": frozenset({"provider"}),
    "visit_type": frozenset({"visit_occurrence"}),
    "visit_type_cs": frozenset({"visit_occurrence"}),
    "place_of_service": frozenset({"care_site"}),
    "place_of_service_cs": frozenset({"care_site"}),
    "place_of_service_location": frozenset({"care_site", "location", "location_history"}),
    "place_of_service_distance": frozenset({"care_site", "location", "location_history"}),
}
"""Attributes that look into a further table."""

WITHOUT_FIELD = frozenset(
    {
        ("DrugExposure", "effective_drug_dose"),
        ("DrugExposure", "dose_unit"),
        ("DrugExposure", "dose_unit_cs"),
        ("VisitOccurrence", "place_of_service_distance"),
        ("VisitDetail", "place_of_service_distance"),
        ("Death", "cause_source_concept"),
        ("Specimen", "specimen_source_concept"),
    }
)
"""Attributes that Circe knows and OMOP CDM v5.4 has no field for: every node refuses them."""


@dataclass(frozen=True)
class Needs:
    """What a cohort needs of a site."""

    tables: frozenset[str]
    descendants: tuple[str, ...] = ()
    """The names of the concept sets that are expanded to descendants."""
    mapped: tuple[str, ...] = ()
    """The names of the concept sets that take mapped concepts in."""
    without_field: tuple[str, ...] = ()
    """The JSON paths of attributes that no site can answer."""


def needs_of(expression: CohortExpression) -> Needs:
    """Return the tables and the vocabulary that the cohort needs; unused concept sets need nothing."""
    tables = set(ALWAYS)
    for part in parts_of(expression):
        if isinstance(part, Criteria):
            tables |= _TABLES.get(part.domain, {part.domain})
            tables |= _further(part.body)
        elif isinstance(part, CustomEra):
            tables.add("drug_exposure")
    used = used_codesets(expression)
    sets = [concept_set for concept_set in expression.concept_sets if concept_set.id in used]
    return Needs(
        frozenset(tables),
        tuple(_name(item) for item in sets if _asks(item, "include_descendants")),
        tuple(_name(item) for item in sets if _asks(item, "include_mapped")),
        tuple(_without_field(expression)),
    )


def _without_field(expression: CohortExpression) -> Iterator[str]:
    for place, part in placed(expression):
        for field in form_of(type(part)).fields:
            if (type(part).__name__, field.name) in WITHOUT_FIELD and getattr(part, field.name) not in (
                None,
                (),
            ):
                yield f"{place}.{field.key}"


def _further(body: BaseModel) -> set[str]:
    return {
        table
        for name, tables in _ATTRIBUTES.items()
        for table in tables
        if name in body.model_fields_set and getattr(body, name) not in (None, ())
    }


def _asks(concept_set: ConceptSet, flag: str) -> bool:
    return any(getattr(item, flag) for item in concept_set.expression.items)


def _name(concept_set: ConceptSet) -> str:
    return concept_set.name or f"concept set {concept_set.id}"
