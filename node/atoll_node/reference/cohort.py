"""Find who is in a cohort and from when to when, step by step as Circe's SQL does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from atoll_node.reference.conditions import IndexEvent, group_holds
from atoll_node.reference.events import Question, end_of, events
from atoll_node.reference.rows import Cdm, Row, day, integer
from atoll_schemas.circe.endings import CustomEra
from atoll_schemas.circe.parts import ResultLimit
from atoll_schemas.tables import DOMAINS


@dataclass(frozen=True)
class Stay:
    """A person's time in a cohort, both days included."""

    person_id: int
    start: date
    end: date


@dataclass(frozen=True)
class Selected:
    """The cohort, and the persons left after the entry events and after each rule."""

    stays: tuple[Stay, ...]
    left: tuple[int, ...]


def select(asked: Question) -> Selected:
    """Return the cohort and its attrition."""
    stays: list[Stay] = []
    left = [0] * (1 + len(asked.expression.inclusion_rules))
    for person_id in _persons(asked.cdm):
        qualified = _qualified(asked, person_id)
        passing = [qualified]
        for rule in asked.expression.inclusion_rules:
            passing.append([event for event in passing[-1] if group_holds(asked, rule.expression, event)])
        left = [total + bool(step) for total, step in zip(left, passing, strict=True)]
        included = _limited(passing[-1], asked.expression.expression_limit, _later_order)
        stays += _stays(asked, person_id, included)
    return Selected(tuple(stays), tuple(left))


def _persons(cdm: Cdm) -> list[int]:
    """Every person with an observation period: none else can have an entry event."""
    return sorted({integer(row, "person_id") or 0 for row in cdm.rows("observation_period")})


def _qualified(asked: Question, person_id: int) -> list[IndexEvent]:
    """Entry events with enough observation around them that fulfil the additional criteria."""
    expression = asked.expression
    entry = [
        index
        for place, criteria in enumerate(expression.primary_criteria.criteria_list)
        for event in events(asked, criteria, person_id)
        for period in asked.cdm.rows_of("observation_period", person_id)
        if (index := _observed(IndexEvent(event, *_span(period), place), asked)) is not None
    ]
    entry = _limited(entry, expression.primary_criteria.primary_criteria_limit, _entry_order)
    additional = expression.additional_criteria
    if additional is None:
        return entry
    held = [event for event in entry if group_holds(asked, additional, event)]
    return held if additional.empty else _limited(held, expression.qualified_limit, _later_order)


def _span(period: Row) -> tuple[date, date]:
    start = day(period, "observation_period_start_date") or date.max
    return start, day(period, "observation_period_end_date") or date.min


def _observed(index: IndexEvent, asked: Question) -> IndexEvent | None:
    window, start = asked.expression.primary_criteria.observation_window, index.event.start
    if not index.op_start <= start <= index.op_end:
        return None
    before, after = (start - index.op_start).days, (index.op_end - start).days
    return index if before >= window.prior_days and after >= window.post_days else None


def _limited(
    found: Sequence[IndexEvent], limit: ResultLimit, order: Callable[[IndexEvent], Any]
) -> list[IndexEvent]:
    """Keep all events, or the first or last by start; of one day, the first in the order."""
    if limit.type == "All" or not found:
        return list(found)
    days = [index.event.start for index in found]
    wanted = min(days) if limit.type == "First" else max(days)
    return [min((index for index in found if index.event.start == wanted), key=order)]


def _entry_order(index: IndexEvent) -> tuple[object, ...]:
    """The order of entry events of one day: the key, then the place of the criteria."""
    return (index.event.record_id, index.place, *_period(index), _visit(index))


def _later_order(index: IndexEvent) -> tuple[object, ...]:
    """The order of qualified and included events of one day: the visit, the place, then the key."""
    return (_visit(index), index.place, index.event.record_id, *_period(index))


def _visit(index: IndexEvent) -> tuple[bool, int]:
    """An event outside every visit comes before those in one."""
    visit = index.event.visit_id
    return visit is not None, visit or 0


def _period(index: IndexEvent) -> tuple[date, date, date]:
    return index.op_start, index.op_end, index.event.end


def _stays(asked: Question, person_id: int, included: Iterable[IndexEvent]) -> list[Stay]:
    """Each included event lasts to the earliest of its ends; near stays join; the window cuts."""
    spans = []
    for index in included:
        ends = [end for end in _ends(asked, index) if end >= index.event.start]
        if ends:
            spans.append((index.event.start, min(ends)))
    joined = _joined(spans, asked.expression.collapse_settings.era_pad)
    cut = (_cut(asked, start, end) for start, end in joined)
    return [Stay(person_id, start, end) for start, end in cut if start <= end]


def _cut(asked: Question, start: date, end: date) -> tuple[date, date]:
    window = asked.expression.censor_window
    return max(start, window.start_date or start), min(end, window.end_date or end)


def _ends(asked: Question, index: IndexEvent) -> list[date]:
    """The dates of which the earliest ends the stay: those of the strategy, and the first censoring event.

    Without a fixed offset, the end of observation is among them; a fixed offset is cut by it.
    """
    strategy = asked.expression.end_strategy
    if strategy is not None and strategy.date_offset is not None:
        offset = strategy.date_offset
        anchor = index.event.start if offset.date_field == "StartDate" else index.event.end
        fixed = min(anchor + timedelta(days=offset.offset), index.op_end)
        return [fixed, *_censored(asked, index)]
    era = None if strategy is None else strategy.custom_era
    eras = [] if era is None else _era_ends(asked, era, index)
    return [index.op_end, *eras, *_censored(asked, index)]


def _era_ends(asked: Question, era: CustomEra, index: IndexEvent) -> list[date]:
    """The end of every era of exposure that contains the event's start.

    A record counts when its drug, or the concept of its source code, is of the concept set.
    """
    domain, codeset = DOMAINS["drug"], asked.codesets[era.drug_codeset_id]
    spans = []
    for row in asked.cdm.rows_of(domain.table, index.event.person_id):
        start = day(row, domain.start_date)
        source = integer(row, domain.source_concept)
        if start is None or not (codeset.matches(row, domain) or source in codeset.concept_ids):
            continue
        supply = era.days_supply_override
        end = end_of(row, domain, start) if supply is None else start + timedelta(days=supply)
        spans.append((start, end))
    eras = [(start, end + timedelta(days=era.offset)) for start, end in _joined(spans, era.gap_days)]
    return [end for start, end in eras if start <= index.event.start <= end]


def _censored(asked: Question, index: IndexEvent) -> list[date]:
    found = [
        event.start
        for criteria in asked.expression.censoring_criteria
        for event in events(asked, criteria, index.event.person_id)
        if index.event.start <= event.start <= index.op_end
    ]
    return [min(found)] if found else []


def _joined(spans: Iterable[tuple[date, date]], pad: int) -> list[tuple[date, date]]:
    """Join spans that overlap or lie at most ``pad`` days apart."""
    found: list[tuple[date, date]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + timedelta(days=pad):
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
