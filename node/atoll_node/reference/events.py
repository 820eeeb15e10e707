"""Find the records that criteria take as events, before any condition around them is looked at."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from atoll_node.reference.attributes import ATTRIBUTES
from atoll_node.reference.comparisons import date_fits, decimal_fits, text_fits, whole_fits
from atoll_node.reference.concept_sets import Codeset, codeset_of
from atoll_node.reference.coverage import RUNS
from atoll_node.reference.domains import DOMAINS, Attribute, Domain, Event
from atoll_node.reference.rows import Cdm, Row, integer, text
from atoll_schemas.circe import CohortExpression, refuse_beyond
from atoll_schemas.circe.parts import (
    Concept,
    ConceptSetSelection,
    DateAdjustment,
    DateRange,
    NumericRange,
    Period,
    TextFilter,
)


@dataclass(frozen=True)
class Question:
    """A cohort expression over the tables of a site."""

    cdm: Cdm
    expression: CohortExpression

    def codeset(self, codeset_id: int) -> Codeset:
        """Return what a concept set of the expression matches."""
        if codeset_id not in self._resolved:
            concept_set = next(item for item in self.expression.concept_sets if item.id == codeset_id)
            self._resolved[codeset_id] = codeset_of(self.cdm, concept_set)
        return self._resolved[codeset_id]

    @cached_property
    def _resolved(self) -> dict[int, Codeset]:
        return {}


def question(cdm: Cdm, expression: CohortExpression) -> Question:
    """Return the question. Raises ``UnsupportedCohort`` for what this engine does not run."""
    refuse_beyond(expression, RUNS)
    return Question(cdm, expression)


def events(asked: Question, body: Any, person_id: int) -> list[Event]:
    """Return the person's events of the criteria, in no particular order.

    ``First`` keeps the first record of the concept sets by its own date and key. Only then the dates are
    adjusted, and the other attributes look at what is left (the inner and the outer query of circe-be's
    templates).
    """
    domain = DOMAINS[type(body).__name__]
    found = list(_records(asked, body, domain, person_id))
    if getattr(body, "first", False):
        found = sorted(found, key=lambda event: (event.start, event.record_id))[:1]
    adjusted = [moved for event in found if (moved := _adjusted(event, body)) is not None]
    return [_seen(event, body) for event in adjusted if fits(asked, event, body)]


def _records(asked: Question, body: Any, domain: Domain, person_id: int) -> Iterator[Event]:
    """The records of the concept set, and of the source concept set where the criteria name one."""
    for row in domain.records(asked.cdm, person_id):
        start = domain.start(asked.cdm, row)
        if start is None or not _is_of(asked, body, domain, row):
            continue
        concept_id = integer(row, domain.concept)
        yield Event(
            person_id=person_id,
            record_id=integer(row, domain.key) or 0,
            start=start,
            end=domain.end(row, start),
            order=start,
            visit_id=integer(row, domain.visit),
            concept_id=domain.no_concept if concept_id is None else concept_id,
            row=row,
        )


def _is_of(asked: Question, body: Any, domain: Domain, row: Row) -> bool:
    codeset_id = getattr(body, "codeset_id", None)
    source_id = getattr(body, domain.source_attribute or "", None)
    standard = codeset_id is None or matches(asked.codeset(codeset_id), row, domain)
    source = source_id is None or (
        integer(row, domain.source_concept) in asked.codeset(source_id).concept_ids
    )
    return standard and source


def matches(codeset: Codeset, row: Row, domain: Domain) -> bool:
    """Whether a record is of the concept set: by its concept, or by what its source wrote."""
    return integer(row, domain.concept) in codeset.concept_ids or (
        text(row, domain.source_value) in codeset.codes
    )


def _adjusted(event: Event, body: Any) -> Event | None:
    """Move an event's dates; one that would end before it starts is none (``dateAdjustment.sql``).

    circe-be moves a death from its own two days whatever the adjustment starts with, and never a specimen.
    """
    adjustment: DateAdjustment | None = getattr(body, "date_adjustment", None)
    if adjustment is None or type(body).__name__ == "Specimen":
        return event
    days = {"START_DATE": event.start, "END_DATE": event.end}
    first, last = days[adjustment.start_with], days[adjustment.end_with]
    if type(body).__name__ == "Death":
        first, last = event.start, event.end
    if first is None or last is None:
        return None
    start = first + timedelta(days=adjustment.start_offset)
    end = last + timedelta(days=adjustment.end_offset)
    return replace(event, start=start, end=end, order=start) if start <= end else None


def _seen(event: Event, body: Any) -> Event:
    """A period of the user's own choice stands in for the record's dates, but not in their order."""
    period: Period | None = getattr(body, "user_defined_period", None)
    if period is None:
        return event
    return replace(event, start=period.start_date or event.start, end=period.end_date or event.end)


def fits(asked: Question, event: Event, body: Any) -> bool:
    """Whether every attribute that the criteria name holds; an unknown value never does."""
    known = ATTRIBUTES[type(body).__name__]
    return _covers(event, getattr(body, "user_defined_period", None)) and all(
        _holds(asked, event, attribute, wanted, opposite=_is_opposite(body, name))
        for name, attribute in known.items()
        if (wanted := getattr(body, name, None)) is not None and wanted != ()
    )


def _is_opposite(body: Any, name: str) -> bool:
    """Whether ``…Exclude`` turns a list into what must not be recorded.

    Beside a list, the concept set of the same name has its own ``IsExclusion`` only.
    """
    plain = name.removesuffix("_cs")
    own = plain == name or not hasattr(body, plain)
    return own and getattr(body, f"{plain}_exclude", False) is True


def _covers(event: Event, period: Period | None) -> bool:
    """Whether the record's dates include each date of the user's own period."""
    moments = () if period is None else (period.start_date, period.end_date)
    return all(
        event.start <= moment and event.end is not None and moment <= event.end
        for moment in moments
        if moment is not None
    )


def _holds(asked: Question, event: Event, attribute: Attribute, wanted: Any, *, opposite: bool) -> bool:
    value: Any = attribute.read(asked.cdm, event)
    if isinstance(wanted, bool):
        return value is wanted or (attribute.is_flag and not wanted)
    if isinstance(wanted, DateRange):
        return date_fits(wanted, value)
    if isinstance(wanted, NumericRange):
        return (decimal_fits if attribute.decimals else whole_fits)(wanted, value)
    if isinstance(wanted, TextFilter):
        return text_fits(wanted, value)
    return _listed(asked, wanted, value, opposite=opposite)


def _listed(asked: Question, wanted: Any, value: Any, *, opposite: bool) -> bool:
    """Whether a value is of a list or concept set, or is none of it; an unknown value is neither."""
    if isinstance(wanted, ConceptSetSelection):
        wanted, opposite = wanted.codeset_id, wanted.is_exclusion != opposite
    if isinstance(wanted, int):
        values: Collection[object] = asked.codeset(wanted).concept_ids
    else:
        values = [item.concept_id if isinstance(item, Concept) else item for item in wanted]
    found = value if isinstance(value, list) else [value]
    return any(item is not None and (item in values) != opposite for item in found)
