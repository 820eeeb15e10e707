"""Chapter 16. Where persons live and visits take place, for sites that keep ``location_history``.

OHDSI's GIS extension adds that table and ``location.region_concept_id`` to the CDM; a release of ``core@1``
has neither, a folder of CDM files may. Location 1 lies in region 10, location 2 in region 11.
"""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from atoll_node.engine.model_tables import table_spec
from atoll_schemas.circe import CohortExpression
from atoll_schemas.tables import Datatype
from tests.support.circe_text import cohort, item
from tests.support.records import persons, record
from tests.support.text_tables import Rows
from tests.support.three_engines import NodeEngines, reference_answers

TYPES = {Datatype.BIGINT: pa.int64(), Datatype.DATE: pa.date32(), Datatype.VARCHAR: pa.string()}
SETS = [{"id": 0, "name": "ten", "expression": {"items": [item(10)]}}]
OWN = {"EndStrategy": {"DateOffset": {"DateField": "EndDate", "Offset": 0}}, "ConceptSets": SETS}
PLACES: Rows = [{"location_id": 1, "region_concept_id": 10}, {"location_id": 2, "region_concept_id": 11}]


def moved(*stays: tuple[int, int, str, date, date | None]) -> Rows:
    names = ("entity_id", "location_id", "domain_id", "start_date", "end_date")
    return [
        {"location_history_id": key, **dict(zip(names, stay, strict=True))}
        for key, stay in enumerate(stays, 1)
    ]


def as_file(name: str, rows: Rows) -> pa.Table:
    """Return the rows as a file of the extension holds them."""
    fields = [field for field in table_spec(name).fields if any(field.name in row for row in rows)]
    columns = {
        field.name: pa.array([row[field.name] for row in rows], TYPES[field.datatype]) for field in fields
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> NodeEngines:
    return NodeEngines(tmp_path_factory.mktemp("regions"))


@pytest.fixture(params=["statements", "arrays", "reference"])
def lives(request: pytest.FixtureRequest, engines: NodeEngines) -> Any:
    """Return ``lives(tables, history, criteria)``: the rows of a cohort with these entry events."""

    def found(tables: dict[str, Any], history: Rows, criteria: dict[str, Any]) -> list[str]:
        asked = [CohortExpression.from_json(cohort(criteria, **OWN))]
        extra = {"location": PLACES, "location_history": history}
        if request.param == "reference":
            rows = reference_answers({**tables, **extra}, asked)[0].rows
        else:
            files = {**tables, **{name: as_file(name, rows) for name, rows in extra.items()}}
            by_arrays = request.param == "arrays"
            rows = (
                engines.by_arrays(files, asked)[0].rows
                if by_arrays
                else engines.by_statements(files, asked)[0]
            )
        return [f"{who}: {start} to {end}" for who, start, end in sorted(rows)]

    return found


MARCH, JUNE = date(2020, 3, 1), date(2020, 6, 1)
HOMES = moved((1, 1, "PERSON", MARCH, JUNE), (1, 2, "PERSON", JUNE, None), (2, 1, "CARE_SITE", MARCH, None))


@pytest.mark.parametrize(
    "attributes, expected",
    [
        ({"CodesetId": 0}, ["1: 2020-03-01 to 2020-06-01"]),
        ({}, ["1: 2020-03-01 to 2020-12-31"]),
        ({"StartDate": {"Value": "2020-06-01", "Op": "gte"}}, ["1: 2020-06-01 to 2020-12-31"]),
        ({"EndDate": {"Value": "2099-12-31", "Op": "eq"}}, ["1: 2020-06-01 to 2020-12-31"]),
    ],
)
def test_a_stay_of_a_person_in_a_region_is_an_event_without_end_until_2099(lives, attributes, expected):
    assert lives(persons(2), HOMES, {"LocationRegion": attributes}) == expected


@pytest.mark.parametrize(
    "kind, table", [("VisitOccurrence", "visit_occurrence"), ("VisitDetail", "visit_detail")]
)
@pytest.mark.parametrize(
    "history, expected",
    [
        ((7, 1, "CARE_SITE", MARCH, None), 1),
        ((7, 1, "CARE_SITE", MARCH, MARCH), 1),
        ((7, 1, "CARE_SITE", date(2020, 3, 2), None), 0),
        ((7, 1, "CARE_SITE", date(2020, 1, 1), date(2020, 2, 29)), 0),
        ((7, 2, "CARE_SITE", MARCH, None), 0),
        ((8, 1, "CARE_SITE", MARCH, None), 0),
        ((7, 1, "PERSON", MARCH, None), 0),
    ],
)
def test_the_care_site_of_a_visit_lies_in_a_region_for_the_whole_visit(lives, kind, table, history, expected):
    tables = persons(1)
    tables[table] = [record(table, 1, care_site_id=7)]
    tables["care_site"] = [{"care_site_id": 7}, {"care_site_id": 8}]
    found = lives(tables, moved(history), {kind: {"PlaceOfServiceLocation": 0}})
    assert len(found) == expected
