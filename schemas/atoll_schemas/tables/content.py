"""Decide what every field of the published definitions holds, so that de-identification fails closed.

The definitions of OMOP CDM v5.4 and MI-CDM give types and keys but not what a field may reveal. The rules
below do. A text field that no rule knows is free text, and free text is dropped.

Source values that are codes by the standard's own words (``condition_source_value``: “the verbatim value
from the source … representing the condition”, a code of the hospital's vocabulary) are ``code``. Source
values that identify (``person_source_value``, ``provider_source_value``, ``family_source_value``) are not.
"""

from collections.abc import Mapping

from atoll_schemas.tables.model import Content, Datatype, Group, Link

GROUPS: Mapping[str, Group] = {
    **dict.fromkeys(
        (
            "person", "observation_period", "visit_occurrence", "visit_detail", "condition_occurrence",
            "drug_exposure", "procedure_occurrence", "device_exposure", "measurement", "observation", "death",
            "note", "note_nlp", "specimen", "fact_relationship",
        ),
        "clinical",
    ),
    **dict.fromkeys(("location", "care_site", "provider"), "health_system"),
    **dict.fromkeys(("payer_plan_period", "cost"), "economics"),
    **dict.fromkeys(("drug_era", "dose_era", "condition_era", "episode", "episode_event"), "derived"),
    **dict.fromkeys(("metadata", "cdm_source"), "metadata"),
    **dict.fromkeys(
        (
            "concept", "vocabulary", "domain", "concept_class", "concept_relationship", "relationship",
            "concept_synonym", "concept_ancestor", "source_to_concept_map", "drug_strength",
        ),
        "vocabulary",
    ),
    **dict.fromkeys(("cohort", "cohort_definition"), "results"),
    **dict.fromkeys(("image_occurrence", "image_feature"), "imaging"),
}  # fmt: skip

PERSON_FIELD: Mapping[str, str] = {"cohort": "subject_id"}
"""The field that names the person where it is not ``person_id``."""

LINKS: Mapping[str, Link] = {
    "note_nlp": Link(field="note_id", table="note"),
    "episode_event": Link(field="episode_id", table="episode"),
}
UNLINKED = frozenset({"cost", "fact_relationship"})

NATURAL_KEYS: Mapping[str, tuple[str, ...]] = {
    "death": ("person_id",),
    "fact_relationship": (
        "domain_concept_id_1", "fact_id_1", "domain_concept_id_2", "fact_id_2", "relationship_concept_id",
    ),
    "episode_event": ("episode_id", "event_id", "episode_event_field_concept_id"),
    "cdm_source": ("cdm_source_abbreviation",),
    "concept_relationship": ("concept_id_1", "concept_id_2", "relationship_id"),
    "concept_synonym": ("concept_id", "concept_synonym_name", "language_concept_id"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id"),
    "source_to_concept_map": ("source_code", "source_vocabulary_id", "target_concept_id", "valid_end_date"),
    "drug_strength": ("drug_concept_id", "ingredient_concept_id", "valid_end_date"),
    "cohort": ("cohort_definition_id", "subject_id", "cohort_start_date", "cohort_end_date"),
    "cohort_definition": ("cohort_definition_id",),
}  # fmt: skip

BIRTH = frozenset({"year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime"})

DIRECT_IDENTIFIERS = frozenset(
    {
        "person.person_source_value",
        "location.address_1", "location.address_2", "location.city", "location.zip", "location.county",
        "location.location_source_value", "location.latitude", "location.longitude",
        "care_site.care_site_name", "care_site.care_site_source_value",
        "provider.provider_name", "provider.npi", "provider.dea", "provider.provider_source_value",
        "provider.year_of_birth",
        "payer_plan_period.family_source_value",
        "drug_exposure.lot_number",
        "device_exposure.unique_device_id", "device_exposure.production_id",
        "specimen.specimen_source_id",
        "image_occurrence.wadors_uri", "image_occurrence.local_path",
        "image_occurrence.image_study_uid", "image_occurrence.image_series_uid",
    }
)  # fmt: skip
"""Names, addresses, record and serial numbers, places finer than a state, UIDs and paths."""

CODES = frozenset(
    {
        "location.state",
        "cost.cost_domain_id",
        "note_nlp.nlp_system", "note_nlp.term_exists",
        "cdm_source.cdm_source_abbreviation", "cdm_source.cdm_version", "cdm_source.vocabulary_version",
    }
)  # fmt: skip
"""Coded text whose name does not end in ``_source_value``."""

FREE_TEXT = frozenset({"note.note_source_value"})
"""Source values that are words, not codes."""

STRUCTURAL = frozenset({"cohort_definition.cohort_initiation_date"})
"""Dates that are of no patient, outside the vocabulary tables."""

_BY_DATATYPE: Mapping[Datatype, Content] = {
    Datatype.DATE: Content.DATE,
    Datatype.TIMESTAMP: Content.DATE,
    Datatype.BIGINT: Content.KEY,
    Datatype.INTEGER: Content.NUMBER,
    Datatype.DOUBLE: Content.NUMBER,
    Datatype.VARCHAR: Content.FREE_TEXT,
}
_NOT_OF_PATIENTS = frozenset({"vocabulary", "metadata"})


def content_of(table: str, field: str, datatype: Datatype) -> Content:
    """Return what a field holds; the first rule that knows it decides, and unknown text is free text."""
    named = _by_name(table, field)
    if named is not None:
        return named
    if datatype is Datatype.BIGINT and "concept_id" in field:
        return Content.CONCEPT
    if GROUPS[table] == "vocabulary" or (
        GROUPS[table] in _NOT_OF_PATIENTS and datatype is not Datatype.VARCHAR
    ):
        return Content.STRUCTURAL
    if datatype is Datatype.VARCHAR and field.endswith("_source_value"):
        return Content.CODE
    return _BY_DATATYPE[datatype]


def _by_name(table: str, field: str) -> Content | None:
    place = f"{table}.{field}"
    if place in DIRECT_IDENTIFIERS:
        return Content.DIRECT_IDENTIFIER
    if field == PERSON_FIELD.get(table, "person_id"):
        return Content.PERSON_KEY
    if place in CODES:
        return Content.CODE
    if place in FREE_TEXT:
        return Content.FREE_TEXT
    if place in STRUCTURAL:
        return Content.STRUCTURAL
    return Content.BIRTH if field in BIRTH else None
