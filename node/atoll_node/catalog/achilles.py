"""Count a release as OHDSI's Achilles does, analysis by analysis; the catalog's figures come from here.

Source of the rules: OHDSI/Achilles 1.7, inst/sql. An event counts when it starts inside an observation
period of its person. The decile of age is the floor of (year of the event - year of birth) / 10.
"""

from dataclasses import dataclass
from typing import Literal

from atoll_node.catalog.duckdb_adapter import ReleaseView, quoted
from atoll_node.raw import Unserialisable

Figure = Literal["persons", "rows"]
Stratum = Literal["concept", "year", "gender", "decile", "code"]


@dataclass(frozen=True)
class Events:
    """A table of dated events: its concept, its start, and the code as the source wrote it."""

    table: str
    concept: str
    date: str
    source: str | None = None


EVENTS = {
    events.table: events
    for events in (
        Events("visit_occurrence", "visit_concept_id", "visit_start_date", "visit_source_value"),
        Events(
            "condition_occurrence", "condition_concept_id", "condition_start_date", "condition_source_value"
        ),
        Events("drug_exposure", "drug_concept_id", "drug_exposure_start_date", "drug_source_value"),
        Events("procedure_occurrence", "procedure_concept_id", "procedure_date", "procedure_source_value"),
        Events("device_exposure", "device_concept_id", "device_exposure_start_date", "device_source_value"),
        Events("measurement", "measurement_concept_id", "measurement_date", "measurement_source_value"),
        Events("observation", "observation_concept_id", "observation_date", "observation_source_value"),
        Events("specimen", "specimen_concept_id", "specimen_date", "specimen_source_value"),
        Events("death", "cause_concept_id", "death_date", "cause_source_value"),
        Events("drug_era", "drug_concept_id", "drug_era_start_date"),
        Events("condition_era", "condition_concept_id", "condition_era_start_date"),
    )
}


@dataclass(frozen=True)
class Count(Unserialisable):
    """Persons and rows of one stratum."""

    stratum: tuple[int | str | None, ...]
    persons: int
    rows: int


def persons_by(view: ReleaseView, field: str) -> tuple[Count, ...]:
    """Count persons by a field of ``person``, such as ``gender_concept_id``."""
    if not view.has("person", field):
        return ()
    return _counts(
        view.rows(f"select {quoted(field)}, count(*), count(*) from person group by all order by all")
    )


def persons_by_periods(view: ReleaseView) -> tuple[Count, ...]:
    """Count persons by their number of observation periods, whether or not ``person`` holds them."""
    if not view.has("observation_period"):
        return ()
    return _counts(
        view.rows(
            "select periods, count(*), sum(periods)::bigint from"
            " (select count(*) as periods from observation_period group by person_id)"
            " group by all order by all"
        )
    )


def events_by(view: ReleaseView, events: Events, strata: tuple[Stratum, ...]) -> tuple[Count, ...]:
    """Count persons and rows of events inside an observation period.

    A site without observation periods counts every event.
    """
    if not view.has(events.table, events.concept, events.date):
        return ()
    columns = [_stratum(events, stratum) for stratum in strata]
    joins = "join person using (person_id)" if {"gender", "decile"} & set(strata) else ""
    listed = "".join(f"{column}, " for column in columns)
    return _counts(
        view.rows(
            f"select {listed}count(distinct event.person_id), count(*)"
            f" from {quoted(events.table)} as event {joins} where {_inside(view, events)}"
            " group by all order by all"
        )
    )


def _inside(view: ReleaseView, events: Events) -> str:
    if not view.has("observation_period"):
        return "true"
    day = f"event.{quoted(events.date)}"
    return (
        "exists (select 1 from observation_period as period where period.person_id = event.person_id"
        f" and {day} between observation_period_start_date and observation_period_end_date)"
    )


def _stratum(events: Events, stratum: Stratum) -> str:
    match stratum:
        case "concept":
            return f"event.{quoted(events.concept)}"
        case "year":
            return f"year(event.{quoted(events.date)})"
        case "gender":
            return "gender_concept_id"
        case "decile":
            return f"floor((year(event.{quoted(events.date)}) - year_of_birth) / 10)::bigint"
        case "code":
            return f"event.{quoted(events.source)}" if events.source else "null"


def _counts(rows: list[tuple[int | str | None, ...]]) -> tuple[Count, ...]:
    return tuple(Count(tuple(row[:-2]), int(row[-2] or 0), int(row[-1] or 0)) for row in rows)


@dataclass(frozen=True)
class Analysis:
    """One Achilles analysis: its number, and how it counts."""

    number: int
    name: str
    table: str
    strata: tuple[Stratum, ...] = ()
    field: str = ""
    figure: Figure = "persons"

    def counts(self, view: ReleaseView) -> dict[tuple[str, ...], int]:
        """Return the figure by its strata, written as Achilles writes them."""
        if self.table == "person":
            found = persons_by(view, self.field)
        elif self.table == "observation_period":
            found = persons_by_periods(view)
        else:
            found = events_by(view, EVENTS[self.table], self.strata)
        return {
            tuple(str(part) for part in count.stratum): getattr(count, self.figure)
            for count in found
            if None not in count.stratum
        }


_ALL: tuple[Stratum, ...] = ("concept", "year", "gender", "decile")
_ONE: tuple[Stratum, ...] = ("concept",)
ACHILLES = (
    Analysis(2, "persons by gender", "person", field="gender_concept_id"),
    Analysis(4, "persons by race", "person", field="race_concept_id"),
    Analysis(113, "persons by number of observation periods", "observation_period"),
    Analysis(204, "persons by visit concept, year, gender, age decile", "visit_occurrence", _ALL),
    Analysis(400, "persons by condition concept", "condition_occurrence", _ONE),
    Analysis(604, "persons by procedure concept, year, gender, age decile", "procedure_occurrence", _ALL),
    Analysis(700, "persons by drug concept", "drug_exposure", _ONE),
    Analysis(704, "persons by drug concept, year, gender, age decile", "drug_exposure", _ALL),
    Analysis(800, "persons by observation concept", "observation", _ONE),
    Analysis(801, "records by observation concept", "observation", _ONE, figure="rows"),
    Analysis(900, "persons by drug era concept", "drug_era", _ONE),
    Analysis(1004, "persons by condition era concept, year, gender, age decile", "condition_era", _ALL),
    Analysis(1800, "persons by measurement concept", "measurement", _ONE),
    Analysis(1801, "records by measurement concept", "measurement", _ONE, figure="rows"),
)
