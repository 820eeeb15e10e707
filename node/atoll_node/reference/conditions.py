"""Decide whether a group of conditions holds around an index event."""

from dataclasses import dataclass
from datetime import date, timedelta

from atoll_node.reference.events import Event, Question, events, person_fits
from atoll_schemas.circe.criteria import CorrelatedCriteria, CriteriaGroup
from atoll_schemas.circe.groups import Endpoint, Window


@dataclass(frozen=True)
class IndexEvent:
    """An event with the observation period that contains it."""

    event: Event
    op_start: date
    op_end: date
    place: int
    """Where the event's criteria stand in the list of entry criteria."""


def group_holds(asked: Question, group: CriteriaGroup, index: IndexEvent) -> bool:
    """Whether so many members hold as the group's type wants; a group without members holds."""
    if group.empty:
        return True
    person = asked.cdm.person(index.event.person_id)
    held = [criterion_holds(asked, item, index) for item in group.criteria_list]
    held += [
        bool(person) and person_fits(person, index.event.start, index.event.end, item)
        for item in group.demographic_criteria_list
    ]
    held += [group_holds(asked, item, index) for item in group.groups]
    count = sum(held)
    if group.type == "ALL":
        return count == len(held)
    if group.type == "ANY":
        return count > 0
    wanted = group.count or 0
    return count >= wanted if group.type == "AT_LEAST" else count <= wanted


def criterion_holds(asked: Question, item: CorrelatedCriteria, index: IndexEvent) -> bool:
    """Whether the events around the index event are exactly, at most or at least so many."""
    near = [
        event
        for event in events(asked, item.criteria, index.event.person_id)
        if _lies_around(event, item, index)
    ]
    if item.occurrence.is_distinct:
        count = len({event.concept_id for event in near} - {None})
    else:
        count = len(near)
    wanted = item.occurrence.count
    return {0: count == wanted, 1: count <= wanted, 2: count >= wanted}[item.occurrence.type]


def _lies_around(event: Event, item: CorrelatedCriteria, index: IndexEvent) -> bool:
    observed = not item.ignore_observation_period
    if observed and not index.op_start <= event.start <= index.op_end:
        return False
    if item.restrict_visit and (event.visit_id is None or event.visit_id != index.event.visit_id):
        return False
    starts = item.start_window is None or _within(
        item.start_window, event, index, by_end=False, observed=observed
    )
    ends = item.end_window is None or _within(item.end_window, event, index, by_end=True, observed=observed)
    return starts and ends


def _within(window: Window, event: Event, index: IndexEvent, *, by_end: bool, observed: bool) -> bool:
    use_end = by_end if window.use_event_end is None else window.use_event_end
    moment = event.end if use_end else event.start
    anchor = index.event.end if window.use_index_end else index.event.start
    first = _limit(window.start, anchor, index, observed=observed)
    last = _limit(window.end, anchor, index, observed=observed)
    return (first is None or moment >= first) and (last is None or moment <= last)


def _limit(end: Endpoint, anchor: date, index: IndexEvent, *, observed: bool) -> date | None:
    """Without days a window reaches to the end of observation, or without end when that is ignored."""
    if end.days is not None:
        return anchor + timedelta(days=end.coeff * end.days)
    if not observed:
        return None
    return index.op_start if end.coeff < 0 else index.op_end
