"""Count what a release holds, before the gate: tables, fields, years, concepts. Raw; it stays here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atoll_node.catalog.achilles import EVENTS, Count, Events, events_by, persons_by
from atoll_node.catalog.duckdb_adapter import ReleaseView, quoted
from atoll_node.raw import Unserialisable
from atoll_node.release import Release
from atoll_schemas.tables import Table, core_1

PERSON_CONCEPTS = ("gender_concept_id", "race_concept_id", "ethnicity_concept_id")


@dataclass(frozen=True, repr=False)
class FieldProfile(Unserialisable):
    """Persons with a value in one field; ``required`` fields are full by the standard."""

    name: str
    datatype: str
    required: bool
    filled: int


@dataclass(frozen=True, repr=False)
class TableProfile(Unserialisable):
    """One table that names persons."""

    name: str
    persons: int
    rows: int
    fields: tuple[FieldProfile, ...]


@dataclass(frozen=True, repr=False)
class ConceptProfile(Unserialisable):
    """One concept, or one code without a concept, in one table."""

    table: str
    partition: str
    """The field by which the table's rows fall apart into such figures."""
    concept_id: int
    code: str | None
    persons: int
    rows: int


@dataclass(frozen=True, repr=False)
class YearProfile(Unserialisable):
    """Persons and rows of one table in one calendar year."""

    table: str
    year: int
    persons: int
    rows: int


@dataclass(frozen=True)
class Named:
    """A concept as the vocabulary tables name it: no word of it comes from a record."""

    name: str
    vocabulary: str
    code: str


@dataclass(frozen=True, repr=False)
class Profile(Unserialisable):
    """All raw figures of a release."""

    persons: int
    tables: tuple[TableProfile, ...]
    years: tuple[YearProfile, ...]
    concepts: tuple[ConceptProfile, ...]
    names: dict[int, Named]
    vocabulary_version: str | None
    shared_tables: tuple[str, ...] = ()


def profile_of(view: ReleaseView, release: Release) -> Profile:
    """Count the release. Concept and year figures are Achilles' (inside observation periods)."""
    model = core_1()
    specs = [model.table(table.name) for table in release.tables if model.has(table.name)]
    concepts = (
        *_person_concepts(view),
        *(c for events in EVENTS.values() for c in _concepts(view, events)),
    )
    return Profile(
        persons=_number(view, "select count(distinct person_id) from person") if view.has("person") else 0,
        tables=tuple(_table(view, spec) for spec in specs if view.has(spec.name) and spec.person_field),
        years=tuple(year for events in EVENTS.values() for year in _years(view, events)),
        concepts=concepts,
        names=_names(view, {concept.concept_id for concept in concepts}),
        vocabulary_version=_vocabulary_version(view) or release.vocabulary_version,
        shared_tables=tuple(_shared(release, specs)),
    )


def _shared(release: Release, specs: Sequence[Table]) -> Iterator[str]:
    """The tables without persons that hold rows; how many says nothing of a person."""
    for spec in specs:
        pinned = release.table(spec.name)
        if not spec.person_field and pinned is not None and pinned.rows:
            yield spec.name


def _number(view: ReleaseView, sql: str) -> int:
    return int(view.rows(sql)[0][0] or 0)


def _table(view: ReleaseView, spec: Table) -> TableProfile:
    """Count persons with a value per field in one pass over the table."""
    person = quoted(spec.person_field or "")
    fields = [field for field in spec.fields if view.has(spec.name, field.name)]
    filled = ", ".join(
        f"count(distinct {person}) filter (where {quoted(field.name)} is not null)" for field in fields
    )
    sql = f"select count(distinct {person}), count(*), {filled} from {quoted(spec.name)}"
    persons, rows, *counts = (int(value or 0) for value in view.rows(sql)[0])
    return TableProfile(
        name=spec.name,
        persons=persons,
        rows=rows,
        fields=tuple(
            FieldProfile(field.name, field.datatype.value, field.required, number)
            for field, number in zip(fields, counts, strict=True)
        ),
    )


def _person_concepts(view: ReleaseView) -> tuple[ConceptProfile, ...]:
    return tuple(
        ConceptProfile("person", field, int(count.stratum[0] or 0), None, count.persons, count.rows)
        for field in PERSON_CONCEPTS
        for count in persons_by(view, field)
    )


def _concepts(view: ReleaseView, events: Events) -> tuple[ConceptProfile, ...]:
    """Count by concept; what has no concept is counted by the source's code instead."""
    mapped = [count for count in events_by(view, events, ("concept",)) if count.stratum[0]]
    coded: list[Count] = []
    if events.source and view.has(events.table, events.source):
        pairs = events_by(view, events, ("concept", "code"))
        coded = [count for count in pairs if not count.stratum[0] and count.stratum[1] is not None]
    return (
        *(
            ConceptProfile(
                events.table, events.concept, int(count.stratum[0] or 0), None, count.persons, count.rows
            )
            for count in mapped
        ),
        *(
            ConceptProfile(events.table, events.concept, 0, str(count.stratum[1]), count.persons, count.rows)
            for count in coded
        ),
    )


def _years(view: ReleaseView, events: Events) -> tuple[YearProfile, ...]:
    return tuple(
        YearProfile(events.table, int(count.stratum[0]), count.persons, count.rows)
        for count in events_by(view, events, ("year",))
        if count.stratum[0] is not None
    )


def _names(view: ReleaseView, concepts: set[int]) -> dict[int, Named]:
    if not view.has("concept", "concept_id", "concept_name", "vocabulary_id", "concept_code"):
        return {}
    rows = view.rows("select concept_id, concept_name, vocabulary_id, concept_code from concept")
    return {
        int(concept): Named(str(name), str(vocabulary), str(code))
        for concept, name, vocabulary, code in rows
        if concept is not None and int(concept) in concepts
    }


def _vocabulary_version(view: ReleaseView) -> str | None:
    """The version of the whole vocabulary stands at the row ``None`` (OMOP CDM v5.4, VOCABULARY)."""
    if not view.has("vocabulary", "vocabulary_id", "vocabulary_version"):
        return None
    rows = view.rows("select vocabulary_version from vocabulary where vocabulary_id = 'None'")
    return str(rows[0][0]) if rows and rows[0][0] is not None else None
