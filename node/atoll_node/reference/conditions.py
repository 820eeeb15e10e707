"""Decide whether a group of conditions holds around an index event, and which events fulfil nested ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from atoll_node.reference.columns import counted
from atoll_node.reference.domains import Event
from atoll_node.reference.events import Question, events, fits
from atoll_node.reference.rows import day
from atoll_schemas.circe.criteria import CorrelatedCriteria, CriteriaGroup
from atoll_schemas.circe.groups import DemographicCriteria, Endpoint, Window


@dataclass(frozen=True)
class IndexEvent:
    """An event with the observation period that contains it."""

    event: Event
    op_start: date
    op_end: date
    place: int = 0
    """Where the event's criteria stand in the list of entry criteria."""


def observed(asked: Question, event: Event, place: int = 0) -> list[IndexEvent]:
    """Return the event once for each observation period that its start lies in."""
    return [
        IndexEvent(event, first, last, place)
        for row in asked.cdm.rows_of("observation_period", event.person_id)
        if (first := day(row, "observation_period_start_date")) is not None
        and (last := day(row, "observation_period_end_date")) is not None
        and first <= event.start <= last
    ]


def fulfilled(asked: Question, body: Any, person_id: int) -> list[Event]:
    """Return the person's events of the criteria around which their own correlated criteria hold.

    Each event is the index event of the group within it; one outside every observation period has no group
    that could hold (circe-be's ``eventTableExpression``).
    """
    found = events(asked, body, person_id)
    group: CriteriaGroup | None = getattr(body, "correlated_criteria", None)
    if group is None or group.empty:
        return found
    return [
        event for event in found if any(group_holds(asked, group, index) for index in observed(asked, event))
    ]


def group_holds(asked: Question, group: CriteriaGroup, index: IndexEvent) -> bool:
    """Whether so many members hold as the group's type wants; a group without members holds.

    ALL wants each member, ANY at least one, AT_LEAST and AT_MOST count them (``groupQuery.sql``).
    """
    if group.empty:
        return True
    held = [criterion_holds(asked, item, index) for item in group.criteria_list]
    held += [person_fits(asked, item, index.event) for item in group.demographic_criteria_list]
    held += [group_holds(asked, item, index) for item in group.groups]
    count, wanted = sum(held), group.count or 0
    return {
        "ALL": count == len(held),
        "ANY": count > 0,
        "AT_LEAST": count >= wanted,
        "AT_MOST": count <= wanted,
    }[group.type]


def person_fits(asked: Question, criteria: DemographicCriteria, event: Event) -> bool:
    """Whether the person is known and their facts hold at the event (``demographicCriteria.sql``)."""
    return bool(asked.cdm.person(event.person_id)) and fits(asked, event, criteria)


def criterion_holds(asked: Question, item: CorrelatedCriteria, index: IndexEvent) -> bool:
    """Whether the events around the index event are exactly, at most or at least so many.

    circe-be counts from the index events where the count may be 0 (``additionalCriteriaExclude.sql``).
    """
    near = [
        event
        for event in fulfilled(asked, item.criteria.body, index.event.person_id)
        if _lies_around(event, item, index)
    ]
    occurrence = item.occurrence
    if occurrence.is_distinct:
        column = occurrence.count_column or "DOMAIN_CONCEPT"
        count = len({counted(asked.cdm, item.criteria.body, column, event) for event in near} - {None})
    else:
        count = len(near)
    wanted = occurrence.count
    return {0: count == wanted, 1: count <= wanted, 2: count >= wanted}[occurrence.type]


def _lies_around(event: Event, item: CorrelatedCriteria, index: IndexEvent) -> bool:
    """Whether an event lies in the index event's observation, visit and windows (``windowedCriteria.sql``).

    A start window looks at the event's start and an end window at its end, unless they say otherwise.
    """
    bounded = not item.ignore_observation_period
    if bounded and not index.op_start <= event.start <= index.op_end:
        return False
    if item.restrict_visit and (event.visit_id is None or event.visit_id != index.event.visit_id):
        return False
    windows = [(item.start_window, False), (item.end_window, True)]
    return all(
        _within(window, event, index, by_end=by_end, bounded=bounded)
        for window, by_end in windows
        if window is not None
    )


def _within(window: Window, event: Event, index: IndexEvent, *, by_end: bool, bounded: bool) -> bool:
    """Both ends of a window are included. A date that is unknown lies in no window that has a limit."""
    use_end = by_end if window.use_event_end is None else window.use_event_end
    moment = event.end if use_end else event.start
    anchor = index.event.end if window.use_index_end else index.event.start
    low = _limit(window.start, anchor, index, bounded=bounded)
    high = _limit(window.end, anchor, index, bounded=bounded)
    return all(_after(moment, limit) for limit in low) and all(_after(limit, moment) for limit in high)


def _limit(
    bound: Endpoint, anchor: date | None, index: IndexEvent, *, bounded: bool
) -> Iterable[date | None]:
    """The one day at which a window ends; none where it has no days and observation does not matter."""
    if bound.days is not None:
        return [None if anchor is None else anchor + timedelta(days=bound.coeff * bound.days)]
    if not bounded:
        return []
    return [index.op_start if bound.coeff < 0 else index.op_end]


def _after(moment: date | None, limit: date | None) -> bool:
    return moment is not None and limit is not None and moment >= limit
