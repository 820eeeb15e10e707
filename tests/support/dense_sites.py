"""Make up small CDMs in which every table is dense: ties, unknown values, days on the edge of a period.

Every concept field draws from the same few concepts and every text from the same few texts, so that a random
expression over any attribute mostly finds somebody.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from random import Random
from typing import Any

from atoll_schemas.tables import Datatype, Field, Table, core_1

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

FIRST_DAY = date(2020, 1, 1)
DAYS = 60
CONCEPTS = (1, 2, 3, 4)
TEXTS = ("A", "B", "AB", "a%", "A_B")
NUMBERS = (0.0, 1.0, 2.0, 2.5, 0.00004, 3.0)
BIRTHS = (1990, 2000, 2010)
ENUMERATED = {
    "origin": ("somatic", "germline", "unknown"),
    "assembly": ("GRCh37", "GRCh38"),
}
"""Texts of a closed list in the language."""
POINTED_TO = (1147138, 1147165, 1)
"""The keys of measurements and of observations, and no such field."""
EVENT_TABLES = (
    "condition_occurrence", "drug_exposure", "procedure_occurrence", "device_exposure", "measurement",
    "observation", "visit_occurrence", "visit_detail", "specimen", "condition_era", "drug_era", "dose_era",
    "payer_plan_period", "image_occurrence", "image_feature", "variant_occurrence", "trial_subject",
    "trial_epoch", "trial_exposure", "trial_endpoint",
)  # fmt: skip
"""Tables of a person's records with a key of their own."""
_SHARED = ("provider", "care_site", "location")


def site(chance: Random, persons: int, tables: Iterable[str] = EVENT_TABLES) -> Tables:
    """Make up the tables of a site with so many persons, of whom each has a few records of every table.

    ``tables`` names those that have records; the others are empty.
    """
    found: Tables = {name: [] for name in (*EVENT_TABLES, "person", "observation_period", "death", *_SHARED)}
    found |= _vocabulary()
    for name in _SHARED:
        found[name] = [_row(chance, core_1().table(name), key=key) for key in (1, 2, 3)]
    chosen = [name for name in EVENT_TABLES if name in set(tables)]
    for person_id in range(1, persons + 1):
        _fill(chance, found, person_id, chosen)
    return found


def _vocabulary() -> Tables:
    """Concept 1 has the children 2 and 3, of which 3 has the child 4; 4 is invalid. Concept 5 maps to 1."""
    lines = ((1, 2), (1, 3), (1, 4), (3, 4), *((concept, concept) for concept in CONCEPTS))
    levels = {"min_levels_of_separation": 1, "max_levels_of_separation": 1}
    maps = ((5, 1, None), (2, 3, None), (1, 4, "D"))
    return {
        "concept": [
            {"concept_id": concept, "invalid_reason": "D" if concept == 4 else None} for concept in CONCEPTS
        ],
        "concept_ancestor": [
            {"ancestor_concept_id": parent, "descendant_concept_id": child, **levels}
            for parent, child in lines
        ],
        "concept_relationship": [
            {"concept_id_1": one, "concept_id_2": two, "relationship_id": "Maps to", "invalid_reason": reason}
            for one, two, reason in maps
        ],
    }


def _fill(chance: Random, tables: Tables, person_id: int, chosen: Iterable[str]) -> None:
    person = _row(chance, core_1().table("person"), key=person_id)
    tables["person"].append(person | {"year_of_birth": chance.choice(BIRTHS)})
    for first, last in _periods(chance):
        tables["observation_period"].append(
            {
                "observation_period_id": 1 + len(tables["observation_period"]),
                "person_id": person_id,
                "observation_period_start_date": first,
                "observation_period_end_date": last,
                "period_type_concept_id": chance.choice(CONCEPTS),
            }
        )
    for name in chosen:
        for _ in range(chance.choice((0, 1, 2, 3, 4))):
            _add(chance, tables, name, person_id)
    if chance.random() < 0.5:
        tables["death"].append(_row(chance, core_1().table("death"), key=person_id))


def _periods(chance: Random) -> list[tuple[date, date]]:
    """Mostly one long period; two that touch, overlap or leave a gap; now and then one day, or none."""
    if chance.random() < 0.05:
        return []
    first = FIRST_DAY - timedelta(days=chance.choice((0, 1, 30, 30)))
    last = first + timedelta(days=chance.choice((0, 20, 60, 100, 100)))
    later = last + timedelta(days=chance.choice((-5, 0, 1, 2, 10)))
    second = (later, later + timedelta(days=chance.choice((0, 30, 60))))
    return chance.choice(([(first, last)], [(first, last)], [(first, last), second]))


def _add(chance: Random, tables: Tables, name: str, person_id: int) -> None:
    table = core_1().table(name)
    row = _row(chance, table, key=1 + len(tables[name])) | {"person_id": person_id}
    starts = [field.name for field in table.fields if _is_start(field)]
    for start in starts:
        row[start] = _day(chance)
        end = start.replace("start", "end")
        if end != start and end in row:
            row[end] = row[start] + timedelta(days=chance.choice((0, 1, 5, 10, -1)))
            if not table.field(end).required and chance.random() < 0.3:
                row[end] = None
    if name == "drug_exposure" and chance.random() < 0.5:
        row["drug_exposure_end_date"] = None
    if name == "visit_occurrence" and chance.random() < 0.2:
        row["visit_end_date"] = None
    if starts and chance.random() < 0.02:
        row[starts[0]] = None
    tables[name].append(row)


def _is_start(field: Field) -> bool:
    return field.datatype is Datatype.DATE and field.required and "end" not in field.name.split("_")


def _day(chance: Random) -> date:
    """Few days, so that many events fall on one."""
    return FIRST_DAY + timedelta(days=chance.choice((0, 1, 2, 10, 11, 20, 30, 31, 45, DAYS)))


def _row(chance: Random, table: Table, key: int) -> dict[str, Any]:
    keys = {field.name for field in table.fields if field.primary_key} or {"person_id"}
    return {
        field.name: key if field.name in keys else _value(chance, field)
        for field in table.fields
        if field.datatype is not Datatype.TIMESTAMP
    }


def _value(chance: Random, field: Field) -> Any:
    if not field.required and chance.random() < 0.2:
        return None
    if field.name == "image_feature_event_field_concept_id":
        return chance.choice(POINTED_TO)
    if field.name == "domain_id":
        return chance.choice(("PERSON", "CARE_SITE"))
    return {
        Datatype.BIGINT: lambda: chance.choice(CONCEPTS),
        Datatype.INTEGER: lambda: chance.choice((0, 1, 2, 3)),
        Datatype.DOUBLE: lambda: chance.choice(NUMBERS),
        Datatype.DATE: lambda: _day(chance),
        Datatype.VARCHAR: lambda: chance.choice(ENUMERATED.get(field.name, TEXTS)),
    }[field.datatype]()
