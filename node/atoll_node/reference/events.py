"""Find the records that a criterion of a cohort expression takes as events."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from atoll_node.reference.coverage import RUNS
from atoll_node.reference.rows import Cdm, Row, day, integer, number, text
from atoll_schemas.circe import CohortExpression, refuse_beyond
from atoll_schemas.circe.concepts import ConceptSet
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.parts import Concept, DateRange, NumericRange
from atoll_schemas.tables import DOMAIN_OF_TABLE, DOMAINS, DomainTable

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Event:
    """A record as an event of a person."""

    person_id: int
    record_id: int
    start: date
    end: date
    visit_id: int | None
    concept_id: int | None
    row: Row


@dataclass(frozen=True)
class Codeset:
    """What a concept set matches: a concept, or a code of the source."""

    concept_ids: frozenset[int]
    codes: frozenset[str]

    def matches(self, row: Row, domain: DomainTable) -> bool:
        """Whether a record is of the set."""
        return (
            integer(row, domain.concept) in self.concept_ids or text(row, domain.source_value) in self.codes
        )


@dataclass(frozen=True)
class Question:
    """A cohort expression over the tables of a site, its concept sets resolved."""

    cdm: Cdm
    expression: CohortExpression
    codesets: Mapping[int, Codeset]


def question(cdm: Cdm, expression: CohortExpression) -> Question:
    """Resolve the concept sets: the included concepts less the excluded ones.

    Raises ``UnsupportedCohort`` for what this engine does not run.
    """
    refuse_beyond(expression, RUNS)
    return Question(cdm, expression, {item.id: _codeset(cdm, item) for item in expression.concept_sets})


def _codeset(cdm: Cdm, concept_set: ConceptSet) -> Codeset:
    sides: dict[bool, set[int]] = {True: set(), False: set()}
    for item in concept_set.expression.items:
        one = {item.concept.concept_id}
        sides[item.is_excluded] |= cdm.with_descendants(one) if item.include_descendants else one
    return Codeset(
        frozenset(sides[False] - sides[True]), frozenset(code.code for code in concept_set.source_codes)
    )


def events(asked: Question, criteria: Criteria, person_id: int) -> list[Event]:
    """Return the person's events of the criteria.

    ``First`` keeps the first record of the concept set; the other attributes look at what is left.
    """
    body = criteria.body
    found = list(_records(asked, criteria, person_id))
    if getattr(body, "first", False):
        found = sorted(found, key=lambda event: (event.start, event.record_id))[:1]
    return [event for event in found if _fits(event, body, asked.cdm.person(person_id))]


def _records(asked: Question, criteria: Criteria, person_id: int) -> Iterator[Event]:
    domain = DOMAINS[DOMAIN_OF_TABLE[criteria.domain]]
    codeset_id: int | None = getattr(criteria.body, "codeset_id", None)
    for row in asked.cdm.rows_of(domain.table, person_id):
        start = day(row, domain.start_date)
        if start is None:
            continue
        if codeset_id is None or asked.codesets[codeset_id].matches(row, domain):
            yield Event(
                person_id=person_id,
                record_id=integer(row, domain.key) or 0,
                start=start,
                end=end_of(row, domain, start),
                visit_id=integer(row, "visit_occurrence_id"),
                concept_id=integer(row, domain.concept),
                row=row,
            )


def end_of(row: Row, domain: DomainTable, start: date) -> date:
    """Return when an event ends: as recorded, else after the days of supply, else on the next day."""
    recorded = day(row, domain.end_date)
    if recorded is not None:
        return recorded
    supply = integer(row, "days_supply") if domain.table == "drug_exposure" else None
    return start + ONE_DAY if supply is None else start + timedelta(days=supply)


def _fits(event: Event, body: object, person: Row) -> bool:
    """Whether every attribute that the criteria name holds; an unknown value never does."""
    checks: dict[str, Callable[[], object]] = {
        "occurrence_start_date": lambda: event.start,
        "occurrence_end_date": lambda: event.end,
        "era_start_date": lambda: event.start,
        "era_end_date": lambda: event.end,
        "period_start_date": lambda: event.start,
        "period_end_date": lambda: event.end,
        "age": lambda: age_at(person, event.start),
        "gender": lambda: integer(person, "gender_concept_id"),
        "race": lambda: integer(person, "race_concept_id"),
        "ethnicity": lambda: integer(person, "ethnicity_concept_id"),
        "value_as_number": lambda: number(event.row, "value_as_number"),
        "value_as_concept": lambda: integer(event.row, "value_as_concept_id"),
    }
    return all(
        _holds(getattr(body, name), value()) for name, value in checks.items() if getattr(body, name, None)
    )


def person_fits(person: Row, start: date, end: date, body: object) -> bool:
    """Whether the person's facts hold at an event from ``start`` to ``end``."""
    return _fits(Event(0, 0, start, end, None, None, {}), body, person)


def age_at(person: Row, moment: date) -> int | None:
    """Return the year of the date less the year of birth."""
    born = integer(person, "year_of_birth")
    return None if born is None else moment.year - born


def _holds(wanted: object, value: object) -> bool:
    if value is None:
        return False
    if isinstance(wanted, DateRange) and isinstance(value, date):
        return _compared(value, wanted.op, wanted.value, wanted.extent)
    if isinstance(wanted, NumericRange) and isinstance(value, (int, float)):
        return _compared(value, wanted.op, wanted.value, wanted.extent)
    return isinstance(wanted, Iterable) and value in {
        concept.concept_id for concept in wanted if isinstance(concept, Concept)
    }


T = TypeVar("T", date, float)


def _compared(value: T, op: str, low: T, high: T | None) -> bool:
    top = low if high is None else high
    return {
        "lt": value < low,
        "lte": value <= low,
        "eq": value == low,
        "!eq": value != low,
        "gt": value > low,
        "gte": value >= low,
        "bt": low <= value <= top,
        "!bt": not low <= value <= top,
    }[op]
