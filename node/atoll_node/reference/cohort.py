"""Find who is in a cohort and from when to when, step by step as circe-be's ``generateCohort.sql`` does."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from atoll_node.reference.conditions import IndexEvent, fulfilled, group_holds, observed
from atoll_node.reference.domains import DOMAINS
from atoll_node.reference.events import Question, matches
from atoll_node.reference.rows import Cdm, integer
from atoll_schemas.circe.endings import CustomEra
from atoll_schemas.circe.parts import ResultLimit


@dataclass(frozen=True)
class Stay:
    """A person's time in a cohort, both days included."""

    person_id: int
    start: date
    end: date


@dataclass(frozen=True)
class Qualified:
    """A qualified event, and the places of the inclusion rules that hold around it."""

    index: IndexEvent
    rules: tuple[int, ...]

    @property
    def mask(self) -> int:
        """Return the sum of 2 to the power of each rule's place."""
        return sum(2**rule for rule in self.rules)


@dataclass(frozen=True)
class Selected:
    """The cohort, and what the inclusion rules said of every qualified event."""

    stays: tuple[Stay, ...]
    qualified: tuple[Qualified, ...]
    rules: int

    def persons_left(self, *, best: bool = False) -> tuple[frozenset[int], ...]:
        """Persons with a qualified event, then with one that passes the first rule, the first two, …

        With ``best``, each person's best event must pass them.
        """
        return tuple(
            frozenset(
                item.index.event.person_id
                for item in (self.best if best else self.qualified)
                if set(range(count)) <= set(item.rules)
            )
            for count in range(self.rules + 1)
        )

    @property
    def left(self) -> tuple[int, ...]:
        """How many persons each step leaves."""
        return tuple(len(persons) for persons in self.persons_left())

    @property
    def best(self) -> list[Qualified]:
        """Each person's event that the most rules hold around; of those, the one of the earliest first rule.

        Then the earliest event is the best (``#best_events``), then the one that passes the earlier rules.
        """

        def order(item: Qualified) -> tuple[Any, ...]:
            return (
                -len(item.rules),
                min(item.rules, default=0),
                item.index.event.start,
                tuple(number not in item.rules for number in range(self.rules)),
            )

        persons: dict[int, list[Qualified]] = {}
        for item in self.qualified:
            persons.setdefault(item.index.event.person_id, []).append(item)
        return [min(found, key=order) for found in persons.values()]

    def masks(self, mode: int) -> Mapping[int, int]:
        """Return how many events have each mask: of all events (mode 0), of each person's best (mode 1)."""
        return Counter(item.mask for item in (self.best if mode else self.qualified))

    def summary(self, mode: int) -> tuple[int, int]:
        """Return how many events there are, and around how many every rule holds."""
        found = self.masks(mode)
        return sum(found.values()), found.get(2**self.rules - 1, 0)


def select(asked: Question) -> Selected:
    """Return the cohort and what the inclusion rules said."""
    rules = asked.expression.inclusion_rules
    stays: list[Stay] = []
    seen: list[Qualified] = []
    for person_id in _persons(asked.cdm):
        own = [
            Qualified(
                index, tuple(n for n, rule in enumerate(rules) if group_holds(asked, rule.expression, index))
            )
            for index in _qualified(asked, person_id)
        ]
        passed = [item.index for item in own if len(item.rules) == len(rules)]
        seen += own
        stays += _stays(
            asked, person_id, _limited(passed, asked.expression.expression_limit, _by_start, _later_order)
        )
    return Selected(tuple(stays), tuple(seen), len(rules))


def _persons(cdm: Cdm) -> list[int]:
    """Every person with an observation period: none else can have an entry event."""
    return sorted({integer(row, "person_id") or 0 for row in cdm.rows("observation_period")})


def _qualified(asked: Question, person_id: int) -> list[IndexEvent]:
    """Entry events with enough observation around them that fulfil the additional criteria.

    The limit on entry events counts those with enough observation (``primaryEventsQuery.sql``). The limit on
    qualified events is looked at where there are additional criteria (``buildExpressionQuery``).
    """
    expression = asked.expression
    entry = [
        index
        for place, criteria in enumerate(expression.primary_criteria.criteria_list)
        for event in fulfilled(asked, criteria.body, person_id)
        for index in observed(asked, event, place)
        if _long_enough(asked, index)
    ]
    entry = _limited(entry, expression.primary_criteria.primary_criteria_limit, _by_order, _entry_order)
    additional = expression.additional_criteria
    if additional is None:
        return entry
    held = [index for index in entry if group_holds(asked, additional, index)]
    return _limited(held, expression.qualified_limit, _by_start, _later_order)


def _long_enough(asked: Question, index: IndexEvent) -> bool:
    window = asked.expression.primary_criteria.observation_window
    before = (index.event.start - index.op_start).days
    after = (index.op_end - index.event.start).days
    return before >= window.prior_days and after >= window.post_days


def _limited(
    found: Sequence[IndexEvent],
    limit: ResultLimit,
    moment: Callable[[IndexEvent], date],
    order: Callable[[IndexEvent], Any],
) -> list[IndexEvent]:
    """Keep all events, or the first or last by day; of one day, the first in the order."""
    if limit.type == "All" or not found:
        return list(found)
    wanted = (min if limit.type == "First" else max)(moment(index) for index in found)
    return [min((index for index in found if moment(index) == wanted), key=order)]


def _by_start(index: IndexEvent) -> date:
    return index.event.start


def _by_order(index: IndexEvent) -> date:
    """Entry events are put in order by ``sort_date``, which a user defined period does not move."""
    return index.event.order


def _entry_order(index: IndexEvent) -> tuple[object, ...]:
    """The order of entry events of one day: the key, then the place of the criteria."""
    return (index.event.record_id, index.place, *_period(index), _visit(index))


def _later_order(index: IndexEvent) -> tuple[object, ...]:
    """The order of qualified and included events of one day: the visit, the place, then the key.

    circe-be leaves it open; this is the order that DuckDB gives its published SQL.
    """
    return (_visit(index), index.place, index.event.record_id, *_period(index))


def _visit(index: IndexEvent) -> tuple[bool, int]:
    """An event outside every visit comes before those in one."""
    visit = index.event.visit_id
    return visit is not None, visit or 0


def _period(index: IndexEvent) -> tuple[date, date, date]:
    return index.op_start, index.op_end, index.event.end or date.max


def _stays(asked: Question, person_id: int, included: Iterable[IndexEvent]) -> list[Stay]:
    """Each included event lasts to the earliest of its ends; near stays join; the window cuts.

    An event none of whose ends lies on or after its start makes no stay (``#cohort_rows``).
    """
    spans = []
    for index in included:
        ends = [end for end in _ends(asked, index) if end >= index.event.start]
        if ends:
            spans.append((index.event.start, min(ends)))
    joined = _joined(spans, asked.expression.collapse_settings.era_pad)
    cut = (_cut(asked, start, end) for start, end in joined)
    return [Stay(person_id, start, end) for start, end in cut if start <= end]


def _cut(asked: Question, start: date, end: date) -> tuple[date, date]:
    """Cut a stay to the censor window (``getFinalCohortQuery``)."""
    window = asked.expression.censor_window
    return max(start, window.start_date or start), min(end, window.end_date or end)


def _ends(asked: Question, index: IndexEvent) -> list[date]:
    """The dates of which the earliest ends the stay: those of the strategy, and the first censoring event.

    Without a fixed offset, the end of observation is among them; a fixed offset is cut by it
    (``dateOffsetStrategy.sql``).
    """
    strategy = asked.expression.end_strategy
    offset = None if strategy is None else strategy.date_offset
    era = None if strategy is None else strategy.custom_era
    if offset is not None:
        anchor = index.event.start if offset.date_field == "StartDate" else index.event.end
        own = [] if anchor is None else [min(anchor + timedelta(days=offset.offset), index.op_end)]
    else:
        own = [index.op_end, *([] if era is None else _era_ends(asked, era, index))]
    return [*own, *_censored(asked, index)]


def _era_ends(asked: Question, era: CustomEra, index: IndexEvent) -> list[date]:
    """The end of the era of exposure that contains the event's start (``customEraStrategy.sql``).

    A record counts when its drug, or the concept of its source code, is of the concept set. It lasts its
    days and ``Offset`` more; eras join over ``GapDays``.
    """
    domain, codeset = DOMAINS["DrugExposure"], asked.codeset(era.drug_codeset_id)
    spans = []
    for row in domain.records(asked.cdm, index.event.person_id):
        start = domain.start(asked.cdm, row)
        of_source = integer(row, domain.source_concept) in codeset.concept_ids
        if start is None or not (matches(codeset, row, domain) or of_source):
            continue
        supply = era.days_supply_override
        end = domain.end(row, start) if supply is None else start + timedelta(days=supply)
        if end is not None:
            spans.append((start, end + timedelta(days=era.offset)))
    return [end for start, end in _joined(spans, era.gap_days) if start <= index.event.start <= end]


def _censored(asked: Question, index: IndexEvent) -> list[date]:
    """The first censoring event from the start to the end of observation (``censoringInsert.sql``)."""
    found = [
        event.start
        for criteria in asked.expression.censoring_criteria
        for event in fulfilled(asked, criteria.body, index.event.person_id)
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
