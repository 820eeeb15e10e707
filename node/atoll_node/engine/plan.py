"""Hold a plan: a query resolved against one release, as frozen values that no engine's dialect enters.

Domains are rows of ``atoll_schemas.tables.DOMAINS``; attributes are fields of those tables, or
``start_date`` or ``end_date``, or the person's ``age``, ``gender``, ``race`` or ``ethnicity``.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal

from atoll_schemas.tables import DomainName


@dataclass(frozen=True)
class CodeMatch:
    """A record matches when its concept is one of the ids or its source value one of the codes.

    The hash is kept: a concept set may hold thousands of ids, and streams of events are looked up by it.
    """

    concept_ids: tuple[int, ...] = ()
    source_codes: tuple[str, ...] = ()
    standard: bool = True
    """Whether the standard concept is looked at; else the source concept."""

    def __hash__(self) -> int:
        return self._kept_hash

    @cached_property
    def _kept_hash(self) -> int:
        return hash((self.concept_ids, self.source_codes, self.standard))

    @property
    def nothing(self) -> bool:
        """Whether no record can match."""
        return not (self.concept_ids or self.source_codes)


@dataclass(frozen=True)
class Compare:
    """An attribute lies in a range; ``high`` is set for ``bt`` and ``!bt`` alone."""

    attribute: str
    op: str
    low: float | date
    high: float | date | None = None


@dataclass(frozen=True)
class OneOf:
    """An attribute is one of the concept ids or texts, or, ``negated``, none of them. Unknown is neither."""

    attribute: str
    concept_ids: tuple[int, ...] | tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class Like:
    """A text fits a pattern in which ``%`` and ``_`` stand for any text and any letter, as in SQL."""

    attribute: str
    pattern: str
    negated: bool = False


@dataclass(frozen=True)
class Abnormal:
    """A measurement lies outside its range, or is coded as abnormal."""

    concept_ids: tuple[int, ...]


Filter = Compare | OneOf | Like | Abnormal


@dataclass(frozen=True)
class Shift:
    """An event's dates are its start or end, moved by days; one that would end before its start is none."""

    start_from: Literal["start_date", "end_date"]
    start_days: int
    end_from: Literal["start_date", "end_date"]
    end_days: int


@dataclass(frozen=True)
class Events:
    """Records of one domain as events. ``first`` is applied after ``matches``, before ``filters``."""

    domain: str
    """A name of ``atoll_node.engine.sources.SOURCES``."""
    matches: tuple[CodeMatch, ...] = ()
    first: bool = False
    filters: tuple[Filter, ...] = ()
    condition: "Condition | None" = None
    """What must hold around the event itself (nested criteria)."""
    period: tuple[date | None, date | None] = (None, None)
    """Dates that stand for the event's own (observation and payer plan periods); both lie within it."""
    shift: Shift | None = None


@dataclass(frozen=True)
class Bound:
    """One side of a window: the index event's ``anchor`` and ``days``; ``None``: end of observation."""

    event: Literal["start_date", "end_date"]
    side: Literal[">=", "<="]
    anchor: Literal["start_date", "end_date"]
    days: int | None
    forward: bool
    """Without days: whether the bound is the observation's end rather than its start."""


@dataclass(frozen=True)
class Counted:
    """So many events around the index event. ``distinct`` names what is counted once."""

    events: Events
    bounds: tuple[Bound, ...]
    op: Literal["exactly", "at_most", "at_least"]
    count: int
    distinct: str | None = None
    """``concept_id``, ``start_date``, ``end_date``, ``visit_id``, ``length`` or a field of the table."""
    same_visit: bool = False
    observed: bool = True
    """Whether only events inside the index event's observation period count."""


@dataclass(frozen=True)
class Person:
    """Facts of the person at the index event, all of which must hold."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Condition:
    """At least ``least`` and at most ``most`` of the members hold."""

    members: tuple["Counted | Person | Condition", ...]
    least: int
    most: int | None = None


Order = Literal["all", "first", "last"]


@dataclass(frozen=True)
class Rule:
    """A named inclusion rule."""

    name: str
    condition: Condition


@dataclass(frozen=True)
class FixedEnd:
    """The cohort ends ``days`` after the event's start or end, or with the observation if that is sooner."""

    anchor: Literal["start_date", "end_date"]
    days: int


@dataclass(frozen=True)
class DrugEraEnd:
    """The cohort ends with continuous exposure, gaps of ``gap_days`` bridged, plus ``days``."""

    matches: tuple[CodeMatch, ...]
    gap_days: int
    days: int
    days_supply: int | None


@dataclass(frozen=True)
class Cohort:
    """Who enters, who stays, and when each period ends."""

    entry: tuple[Events, ...]
    prior_days: int
    post_days: int
    entry_order: Order
    additional: Condition | None
    qualified_order: Order
    rules: tuple[Rule, ...]
    expression_order: Order
    end: FixedEnd | DrugEraEnd | None
    censoring: tuple[Events, ...]
    era_pad: int
    window: tuple[date | None, date | None]

    @property
    def one_event_qualifies(self) -> bool:
        """Whether limits leave each person at most one event before the inclusion rules."""
        return self.entry_order != "all" or (self.additional is not None and self.qualified_order != "all")

    @property
    def one_row_per_person(self) -> bool:
        """Whether limits leave each person at most one period."""
        return self.one_event_qualifies or self.expression_order != "all"

    @property
    def takes_one_of_many(self) -> bool:
        """Whether a limit chooses among a person's events, so that their order matters."""
        return self.one_row_per_person

    @cached_property
    def looks_at_visits(self) -> bool:
        """Whether a criterion must lie in the visit of an entry event."""
        groups = (rule.condition for rule in self.rules)
        return any(map(_same_visit, groups if self.additional is None else (self.additional, *groups)))

    @property
    def end_can_exclude(self) -> bool:
        """Whether a person can pass every rule and yet have no cohort period."""
        fixed = self.end if isinstance(self.end, FixedEnd) else None
        negative = fixed is not None and (fixed.days < 0 or fixed.anchor == "end_date")
        return negative or any(self.window)


def _same_visit(member: "Counted | Person | Condition") -> bool:
    if isinstance(member, Condition):
        return any(map(_same_visit, member.members))
    return isinstance(member, Counted) and member.same_visit


@dataclass(frozen=True)
class PersonField:
    """A number of the person: ``age``, ``birth_year`` or ``index_year``."""

    field: str


@dataclass(frozen=True)
class PersonConcept:
    """A concept of the person as a level: ``gender_concept_id`` and the like."""

    column: str
    levels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Recorded:
    """Records of a domain in days relative to the index date, both ends included."""

    domain: DomainName
    match: CodeMatch
    start: int | None
    end: int | None
    latest: bool = True


@dataclass(frozen=True)
class RecordedNumber:
    """The number of the first or latest record."""

    records: Recorded


@dataclass(frozen=True)
class RecordedLevel:
    """The coded value of the first or latest record; each level's values as texts."""

    records: Recorded
    levels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RecordedPresence:
    """Whether there is a record."""

    records: Recorded


@dataclass(frozen=True)
class TrialLevel:
    """The arm of a trial; each level's arm codes."""

    trial: str
    levels: tuple[tuple[str, ...], ...]


Number = PersonField | RecordedNumber
Level = PersonConcept | RecordedLevel | RecordedPresence | TrialLevel


@dataclass(frozen=True)
class NumberColumn:
    """A number per person; ``edges`` bin it."""

    name: str
    source: Number
    edges: tuple[float, ...]
    unit: str | None


@dataclass(frozen=True)
class LevelColumn:
    """The index of a level per person; ``labels`` name the levels. A binned number has its edges."""

    name: str
    source: Level | Number
    labels: tuple[str, ...]
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class OutcomeRecord:
    """One outcome: death on or after the index date, or the first record of the codes after it."""

    domain: DomainName
    match: CodeMatch | None
    on_index_date: bool


@dataclass(frozen=True)
class CountPlan:
    """Attrition, and persons by levels."""

    by: tuple[LevelColumn, ...]
    best_event: bool = False
    """Whether attrition follows each person's best event, rather than any."""


@dataclass(frozen=True)
class Table1Plan:
    """A summary per variable, by levels of one."""

    variables: tuple[NumberColumn | LevelColumn, ...]
    by: LevelColumn | None


@dataclass(frozen=True)
class CrosstabPlan:
    """Persons by two or three levels."""

    variables: tuple[LevelColumn, ...]


@dataclass(frozen=True)
class SurvivalPlan:
    """Time to the earliest of the outcomes."""

    name: str
    outcomes: tuple[OutcomeRecord, ...]
    by: LevelColumn | None
    max_days: int | None


AnalysisPlan = CountPlan | Table1Plan | CrosstabPlan | SurvivalPlan


@dataclass(frozen=True)
class Plan:
    """A cohort and what to compute over it."""

    cohort: Cohort
    analysis: AnalysisPlan
