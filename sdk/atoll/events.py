"""Say which records count as events, and conditions on what lies around an event: the whole of Circe.

A value of an attribute is written as Python says it: a range is a pair ``(low, high)`` with ``None`` for an
open end, concepts are ids or a ``ConceptSet``, a text is compared whole unless ``starting``, ``containing``
or ``ending`` is said. Every error names the line that made it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from atoll.callers import invalid, made_at
from atoll.concept_sets import ConceptSet
from atoll_schemas.circe.criteria import CorrelatedCriteria, Criteria, CriteriaBody, CriteriaGroup
from atoll_schemas.circe.expression import codeset_fields
from atoll_schemas.circe.groups import DemographicCriteria
from atoll_schemas.circe.parts import (
    Concept,
    ConceptSetSelection,
    DateRange,
    NumericRange,
    Period,
    TextFilter,
)
from atoll_schemas.circe.reading import told
from atoll_schemas.circe.spelling import circe_name, form_of, nearest_name

Side = Literal["start", "end"]
Days = tuple[int | None, int | None]
Number = Callable[[ConceptSet], int]
"""Gives a concept set its number in the cohort that is being written."""
Json = Mapping[str, Any]

DOMAINS: Mapping[str, str] = {
    "condition": "condition_occurrence",
    "drug": "drug_exposure",
    "procedure": "procedure_occurrence",
    "device": "device_exposure",
    "visit": "visit_occurrence",
    "payer_plan": "payer_plan_period",
    "region": "location_region",
    "image": "image_occurrence",
    "variant": "variant_occurrence",
    "trial": "trial_participation",
} | {name: name for name in Criteria.model_fields}
"""Short names of the kinds of criteria, and Circe's own."""


@dataclass(frozen=True)
class Comparison:
    """A comparison with Circe's own operator; ``~`` turns it round."""

    op: str
    value: Any
    extent: Any = None

    def __invert__(self) -> Self:
        return replace(self, op=_OPPOSITES.get(self.op) or f"!{self.op}")


_OPPOSITES = {"gt": "lte", "lte": "gt", "lt": "gte", "gte": "lt"} | {
    f"!{op}": op for op in ("eq", "bt", "startsWith", "contains", "endsWith")
}


def above(value: float | date | str) -> Comparison:
    """Return ``> value``; for a date, after that day."""
    return Comparison("gt", value)


def below(value: float | date | str) -> Comparison:
    """Return ``< value``; for a date, before that day."""
    return Comparison("lt", value)


def starting(text: str) -> Comparison:
    """Return a text that begins so."""
    return Comparison("startsWith", text)


def containing(text: str) -> Comparison:
    """Return a text that holds these words."""
    return Comparison("contains", text)


def ending(text: str) -> Comparison:
    """Return a text that ends so."""
    return Comparison("endsWith", text)


@dataclass(frozen=True)
class Without:
    """None of these concepts."""

    concepts: ConceptSet


def without(concepts: ConceptSet) -> Without:
    """Return the opposite of a concept set, for an attribute such as ``gender``."""
    return Without(concepts)


@dataclass(frozen=True)
class Selected:
    """A concept set in the place of a list of concepts."""

    concepts: ConceptSet
    is_exclusion: bool


@dataclass(frozen=True)
class Event:
    """Records that count as events."""

    domain: str
    attributes: Mapping[str, Any]
    place: str
    inner: "Group | None" = None
    adjustment: Json | None = None

    def given(self, *conditions: "Condition") -> Self:
        """Keep the events around which all conditions hold."""
        group = (
            conditions[0]
            if len(conditions) == 1 and isinstance(conditions[0], Group)
            else all_of(*conditions)
        )
        return replace(self, inner=group)

    def moved(
        self, *, start: int = 0, end: int = 0, start_from: Side = "start", end_from: Side = "end"
    ) -> Self:
        """Let the events start and end so many days after (before, if negative) their own start or end."""
        found = {
            "StartWith": _side(start_from),
            "StartOffset": start,
            "EndWith": _side(end_from),
            "EndOffset": end,
        }
        return replace(self, adjustment=found)

    def occurs(
        self,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        exactly: int | None = None,
        days: Days | None = (None, 0),
        ends: Days | None = None,
        relative_to: Side = "start",
        same_visit: bool = False,
        outside_observation: bool = False,
        distinct: str | None = None,
    ) -> "Counted":
        """Ask for so many events, at least one unless told otherwise.

        ``days`` is where they start and ``ends`` where they end, in days from the index event's start (or
        ``relative_to`` its end); ``None`` is open. ``distinct`` counts each ``"DOMAIN_CONCEPT"``,
        ``"START_DATE"``, ``"VISIT_ID"``, … once.
        """
        kinds = {2: at_least, 1: at_most, 0: exactly}
        named = [(kind, count) for kind, count in kinds.items() if count is not None] or [(2, 1)]
        if len(named) > 1:
            raise invalid("event.count", "give one of at_least, at_most and exactly", None)
        windows = {
            "StartWindow": _window(days, relative_to, by_end=False),
            "EndWindow": _window(ends, relative_to, by_end=True),
        }
        rest: dict[str, Any] = {key: window for key, window in windows.items() if window is not None}
        occurrence: dict[str, Any] = {"Type": named[0][0], "Count": named[0][1]}
        if distinct is not None:
            occurrence |= {"IsDistinct": True, "CountColumn": distinct}
        rest |= {"Occurrence": occurrence}
        rest |= {"RestrictVisit": True} if same_visit else {}
        rest |= {"IgnoreObservationPeriod": True} if outside_observation else {}
        counted = Counted(self, rest, made_at())
        _check(CorrelatedCriteria, counted.circe(_any_number), counted.place)
        return counted

    def never(self, *, days: Days | None = (None, 0), **windows: Any) -> "Counted":
        """Ask that there be no such event."""
        return self.occurs(exactly=0, days=days, **windows)

    def circe(self, number: Number) -> Json:
        """Return the criteria as Circe writes them."""
        kind = _kind(self.domain)
        body = {circe_name(name): _valued(value, number) for name, value in self.attributes.items()}
        if self.inner is not None:
            body["CorrelatedCriteria"] = self.inner.circe(number)
        if self.adjustment is not None:
            body["DateAdjustment"] = self.adjustment
        return {kind.__name__: body}


@dataclass(frozen=True)
class Counted:
    """So many events around an index event."""

    event: Event
    rest: Json
    place: str

    def circe(self, number: Number) -> Json:
        """Return the correlated criteria as Circe writes them."""
        return {"Criteria": self.event.circe(number), **self.rest}


@dataclass(frozen=True)
class Person:
    """Facts of the person at the index event."""

    attributes: Mapping[str, Any]
    place: str

    def circe(self, number: Number) -> Json:
        """Return the demographic criteria as Circe writes them."""
        return {circe_name(name): _valued(value, number) for name, value in self.attributes.items()}


@dataclass(frozen=True)
class Group:
    """Conditions of which all, any, at least or at most so many must hold."""

    type: str
    members: tuple["Condition", ...]
    count: int | None
    place: str

    def circe(self, number: Number) -> Json:
        """Return the group as Circe writes it."""
        found: dict[str, Any] = {"Type": self.type}
        if self.count is not None:
            found["Count"] = self.count
        for key, kind in _LISTS:
            found[key] = [member.circe(number) for member in self.members if isinstance(member, kind)]
        return found


Condition = Counted | Person | Group
_LISTS: tuple[tuple[str, type[Condition]], ...] = (
    ("CriteriaList", Counted),
    ("DemographicCriteriaList", Person),
    ("Groups", Group),
)


def event(domain: str, concepts: ConceptSet | None = None, /, **attributes: Any) -> Event:
    """Return records of a domain, such as ``event("condition", colon, first=True, age=(18, None))``."""
    name = DOMAINS.get(domain)
    if name is None:
        near = nearest_name(domain, DOMAINS)
        raise invalid(
            "event.domain", f"there is no domain {domain}", f"Did you mean {near}?" if near else None
        )
    given = {} if concepts is None else {"codeset_id": concepts}
    made = Event(name, _attributes(_kind(name), {**given, **attributes}), made_at())
    _check(Criteria, made.circe(_any_number), made.place)
    return made


def person(**facts: Any) -> Person:
    """Return facts of the person at the index event: ``person(age=(18, None), gender=[8532])``."""
    made = Person(_attributes(DemographicCriteria, facts), made_at())
    _check(DemographicCriteria, made.circe(_any_number), made.place)
    return made


def all_of(*conditions: Condition) -> Group:
    """Return a group of which all conditions must hold."""
    return _group("ALL", conditions, None)


def any_of(*conditions: Condition) -> Group:
    """Return a group of which one condition must hold."""
    return _group("ANY", conditions, None)


def at_least(count: int, *conditions: Condition) -> Group:
    """Return a group of which at least ``count`` conditions must hold."""
    return _group("AT_LEAST", conditions, count)


def at_most(count: int, *conditions: Condition) -> Group:
    """Return a group of which at most ``count`` conditions may hold."""
    return _group("AT_MOST", conditions, count)


def _group(kind: str, conditions: tuple[Condition, ...], count: int | None) -> Group:
    for condition in conditions:
        if not isinstance(condition, (Counted, Person, Group)):
            raise invalid(
                "event.condition",
                f"{type(condition).__name__} is no condition",
                "Say how often an event occurs: event(…).occurs(at_least=1).",
            )
    made = Group(kind, conditions, count, made_at())
    _check(CriteriaGroup, made.circe(_any_number), made.place)
    return made


def _kind(domain: str) -> type[CriteriaBody]:
    """Return the class of the criteria of a domain."""
    return next(
        kind
        for kind in get_args(Criteria.model_fields[domain].annotation)
        if isinstance(kind, type) and issubclass(kind, CriteriaBody)
    )


def _attributes(kind: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes under the model's names, with values as Circe writes them."""
    found = {}
    for name, value in given.items():
        if value is not None:
            field, written = _attribute(kind, name, value)
            found[field] = written
    return found


def _attribute(kind: type[BaseModel], name: str, value: Any) -> tuple[str, Any]:
    fields = kind.model_fields
    chosen = name
    if isinstance(value, (ConceptSet, Without)) and f"{name}_cs" in fields:
        chosen = f"{name}_cs"
    if chosen not in fields and f"{name}_cs" in fields:
        chosen = f"{name}_cs"
    if chosen not in fields or chosen in ("correlated_criteria", "date_adjustment"):
        near = nearest_name(name, fields)
        step = f"Did you mean {near}?" if near else None
        raise invalid("event.attribute", f"{kind.__name__} has no {name}", step)
    return chosen, _written(kind, chosen, fields[chosen], value)


def _written(kind: type[BaseModel], name: str, field: FieldInfo, value: Any) -> Any:
    part = _part_of(field)
    if isinstance(value, (ConceptSet, Without)):
        return _chosen(kind, name, part, value)
    if part is Concept:
        return [{"CONCEPT_ID": number} for number in _several(value)]
    if part in (NumericRange, DateRange, TextFilter):
        return _compared(part, value)
    if part is Period:
        start, end = value
        return {key: str(day) for key, day in (("StartDate", start), ("EndDate", end)) if day is not None}
    return list(_several(value)) if _is_list(field) else value


def _chosen(
    kind: type[BaseModel], name: str, part: type[BaseModel] | None, value: ConceptSet | Without
) -> ConceptSet | Selected:
    if part is ConceptSetSelection:
        is_exclusion = isinstance(value, Without)
        return Selected(value.concepts if isinstance(value, Without) else value, is_exclusion)
    if isinstance(value, Without) or name not in codeset_fields(kind):
        raise invalid("event.value", f"{kind.__name__}.{name} takes no such concept set")
    return value


def _part_of(field: FieldInfo) -> type[BaseModel] | None:
    stack = [field.annotation]
    while stack:
        item = stack.pop()
        if isinstance(item, type) and issubclass(item, BaseModel):
            return item
        stack.extend(get_args(item))
    return None


def _is_list(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is tuple


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _compared(part: type[BaseModel], value: Any) -> dict[str, Any]:
    key = "Text" if part is TextFilter else "Value"
    compared = _pair(value) if isinstance(value, tuple) else value
    if not isinstance(compared, Comparison):
        compared = Comparison("eq", compared)
    found = {key: _plain(compared.value), "Op": compared.op}
    return found if compared.extent is None else {**found, "Extent": _plain(compared.extent)}


def _pair(value: tuple[Any, ...]) -> Comparison:
    low, high = value if len(value) == 2 else (None, None)
    if low is None and high is None:
        raise invalid("cohort.range", "a range needs at least one end", "Such as (18, None).")
    if low is None:
        return Comparison("lte", high)
    return Comparison("gte", low) if high is None else Comparison("bt", low, high)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _valued(value: Any, number: Number) -> Any:
    """Put a concept set's number where it is named."""
    if isinstance(value, Selected):
        return {"CodesetId": number(value.concepts), "IsExclusion": value.is_exclusion}
    if isinstance(value, ConceptSet):
        return number(value)
    return value


def _any_number(_: ConceptSet) -> int:
    return 0


def _side(side: Side) -> str:
    return "START_DATE" if side == "start" else "END_DATE"


def _window(days: Days | None, relative_to: Side, *, by_end: bool) -> dict[str, Any] | None:
    if days is None:
        return None
    start, end = days
    return {
        "Start": endpoint(start, -1),
        "End": endpoint(end, 1),
        "UseIndexEnd": relative_to == "end",
        "UseEventEnd": by_end,
    }


def endpoint(day: int | None, open_side: int) -> dict[str, int]:
    """Return one end of a window; an open one reaches to the end of observation on its side."""
    if day is None:
        return {"Coeff": open_side}
    return {"Days": abs(day), "Coeff": -1 if day < 0 or (day == 0 and open_side < 0) else 1}


def _check(part: type[BaseModel], value: Json, place: str) -> None:
    """Refuse a value at the line that made it."""
    form_of(part)
    try:
        part.model_validate(value)
    except ValidationError as error:
        found = told(error, part)
        near = f"Did you mean {found.nearest}?" if found.nearest else None
        raise invalid("cohort.invalid", f"{found.path}: {found.message}", near, place) from None
