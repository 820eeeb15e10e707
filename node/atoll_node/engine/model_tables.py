"""Give the specs of the tables that cohorts may read: those of the data model, and what Circe's regions need.

Regions lie in ``location_history`` and ``location.region_concept_id``, which OHDSI's GIS extension adds to
OMOP. A release never has them; a folder of CDM files may.
"""

from functools import cache

from atoll_schemas.tables import Content, Datatype, Field, Table, core_1


@cache
def table_spec(name: str) -> Table:
    """Return a table's spec. Raises ``UnknownTable``."""
    if name == "location_history":
        return _HISTORY
    table = core_1().table(name)
    return table.model_copy(update={"fields": (*table.fields, _REGION)}) if name == "location" else table


def _number(name: str, description: str) -> Field:
    return Field(name=name, datatype=Datatype.BIGINT, content=Content.KEY, description=description)


_REGION = Field(
    name="region_concept_id",
    datatype=Datatype.BIGINT,
    content=Content.CONCEPT,
    description="The region in which the location lies.",
)
_HISTORY = Table(
    name="location_history",
    group="health_system",
    scope="unlinked",
    description="Where persons, providers and care sites were, from when to when.",
    fields=(
        _number("location_history_id", "The row's key."),
        _number("location_id", "The location."),
        _number("entity_id", "The person, provider or care site."),
        Field(
            name="domain_id",
            datatype=Datatype.VARCHAR,
            content=Content.CODE,
            length=50,
            description="PERSON, PROVIDER or CARE_SITE.",
        ),
        Field(name="start_date", datatype=Datatype.DATE, content=Content.DATE, description="The first day."),
        Field(name="end_date", datatype=Datatype.DATE, content=Content.DATE, description="The last day."),
    ),
)
