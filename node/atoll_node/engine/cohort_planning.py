"""Plan a cohort expression: from the words of Circe to values that any engine can run.

Where the words leave a choice open, the SQL that OHDSI's circe-be generates decides.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, cast

from atoll_node.engine.attributes import ATTRIBUTES, COUNTED, Asked
from atoll_node.engine.labels import distinct_names
from atoll_node.engine.plan import (
    Abnormal,
    Bound,
    CodeMatch,
    Cohort,
    Compare,
    Condition,
    Counted,
    DrugEraEnd,
    Events,
    Filter,
    FixedEnd,
    Like,
    OneOf,
    Order,
    Person,
    Rule,
    Shift,
)
from atoll_node.engine.sources import CRITERIA, SOURCES
from atoll_node.engine.vocabulary import Vocabulary, resolve_sets
from atoll_node.errors import EngineError
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.criteria import CorrelatedCriteria, Criteria, CriteriaBody, CriteriaGroup
from atoll_schemas.circe.endings import EndStrategy
from atoll_schemas.circe.expression import used_codesets
from atoll_schemas.circe.groups import DemographicCriteria, Endpoint, Occurrence, Window
from atoll_schemas.circe.parts import (
    Concept,
    ConceptSetSelection,
    DateAdjustment,
    DateRange,
    NumericRange,
    Part,
    Period,
    ResultLimit,
    TextFilter,
)
from atoll_schemas.circe.writing import path_of
from atoll_schemas.tables import UnknownTable, core_1

Sets = Mapping[int, CodeMatch]
_OPS: Mapping[int, Literal["exactly", "at_most", "at_least"]] = {0: "exactly", 1: "at_most", 2: "at_least"}
_ABNORMAL = (4155142, 4155143)
"""Abnormal, and abnormally high: the concepts that circe-be's MeasurementSqlBuilder lists."""
_SOURCE_SETS = (
    "condition_source_concept", "drug_source_concept", "procedure_source_concept", "device_source_concept",
    "measurement_source_concept", "observation_source_concept", "visit_source_concept",
    "visit_detail_source_concept", "death_source_concept", "variant_source_concept",
)  # fmt: skip
"""Attributes that name a concept set for the source concept of a record."""
_SAID_ELSEWHERE = frozenset(
    {"codeset_id", "first", "correlated_criteria", "date_adjustment", "user_defined_period", *_SOURCE_SETS}
)


class _NotRun(Exception):
    """A field of a part that no engine can run; its path is worked out where the whole is at hand."""

    def __init__(self, part: Part, field: str, why: str) -> None:
        super().__init__(why)
        self.part = part
        self.field = field
        self.why = why


def plan_cohort(expression: CohortExpression, vocabulary: Vocabulary) -> Cohort:
    """Return the plan of a cohort expression. Raises ``EngineError`` for what none can run."""
    try:
        return _planned(expression, vocabulary)
    except _NotRun as found:
        path = path_of(expression, found.part, found.field)
        raise EngineError("engine.unsupported", f"{path}: {found.why}", "leave it out") from None


def _planned(expression: CohortExpression, vocabulary: Vocabulary) -> Cohort:
    used = used_codesets(expression)
    sets = resolve_sets((item for item in expression.concept_sets if item.id in used), vocabulary)
    primary = expression.primary_criteria
    names = distinct_names(tuple(rule.name for rule in expression.inclusion_rules))
    additional = expression.additional_criteria
    window = expression.censor_window
    return Cohort(
        entry=tuple(_events(criteria, sets) for criteria in primary.criteria_list),
        prior_days=primary.observation_window.prior_days,
        post_days=primary.observation_window.post_days,
        entry_order=_order(primary.primary_criteria_limit),
        additional=None if additional is None else _condition(additional, sets),
        qualified_order=_order(expression.qualified_limit),
        rules=tuple(
            Rule(name, _condition(rule.expression, sets))
            for name, rule in zip(names, expression.inclusion_rules, strict=True)
        ),
        expression_order=_order(expression.expression_limit),
        end=_end(expression.end_strategy, sets),
        censoring=tuple(_events(criteria, sets) for criteria in expression.censoring_criteria),
        era_pad=expression.collapse_settings.era_pad,
        window=(window.start_date, window.end_date),
    )


def _order(limit: ResultLimit) -> Order:
    return cast(Order, limit.type.lower())


def _events(criteria: Criteria, sets: Sets) -> Events:
    body = criteria.body
    group = body.correlated_criteria
    period: Period | None = getattr(body, "user_defined_period", None)
    return Events(
        domain=CRITERIA[criteria.domain],
        matches=tuple(_matches(body, sets)),
        first=getattr(body, "first", False),
        filters=tuple(_filters(body, sets)),
        condition=None if group is None or group.empty else _condition(group, sets),
        period=(None, None) if period is None else (period.start_date, period.end_date),
        shift=_shift(criteria.domain, body.date_adjustment),
    )


def _matches(body: CriteriaBody, sets: Sets) -> Iterator[CodeMatch]:
    """The concept set, and the set for the source concept where there is one: both must hold."""
    codeset: int | None = getattr(body, "codeset_id", None)
    if codeset is not None:
        yield sets[codeset]
    for name in _SOURCE_SETS:
        source: int | None = getattr(body, name, None)
        if source is not None:
            yield CodeMatch(sets[source].concept_ids, standard=False)


def _shift(domain: str, adjustment: DateAdjustment | None) -> Shift | None:
    """circe-be never adjusts a specimen, and adjusts a death's two days each from itself."""
    if adjustment is None or domain == "specimen":
        return None
    start, end = adjustment.start_with, adjustment.end_with
    if domain == "death":
        start, end = "START_DATE", "END_DATE"
    return Shift(_side(start), adjustment.start_offset, _side(end), adjustment.end_offset)


def _side(name: str) -> Literal["start_date", "end_date"]:
    return "start_date" if name == "START_DATE" else "end_date"


def _filters(body: Part, sets: Sets) -> Iterator[Filter]:
    known = ATTRIBUTES[type(body).__name__]
    for name in type(body).model_fields:
        value = getattr(body, name) if name in body.model_fields_set else None
        if value is None or value == () or name in _SAID_ELSEWHERE or name.endswith("_exclude"):
            continue
        if name not in known:
            raise _NotRun(body, name, "it has no field in OMOP CDM v5.4, or no meaning in circe-be")
        found = _filter(known[name], value, sets, opposite=_is_opposite(body, name))
        if found is not None:
            yield found


def _is_opposite(body: Part, name: str) -> bool:
    """``…Exclude`` turns a list; it turns a concept set where the criteria have no such list."""
    plain = name.removesuffix("_cs")
    own = plain == name or not hasattr(body, plain)
    return own and getattr(body, f"{plain}_exclude", False) is True


def _filter(asked: Asked, value: Any, sets: Sets, *, opposite: bool) -> Filter | None:
    if isinstance(value, bool):
        return _truth(asked.attribute, held=value)
    if isinstance(value, (NumericRange, DateRange)):
        high = value.extent if value.op.endswith("bt") else None
        low_bound = _bound(value.value, decimals=asked.decimals)
        return Compare(
            asked.attribute,
            value.op,
            low_bound,
            None if high is None else _bound(high, decimals=asked.decimals),
        )
    if isinstance(value, TextFilter):
        return _like(asked.attribute, value)
    if isinstance(value, ConceptSetSelection):
        return OneOf(asked.attribute, sets[value.codeset_id].concept_ids, value.is_exclusion != opposite)
    if isinstance(value, int):
        return OneOf(asked.attribute, sets[value].concept_ids)
    return OneOf(asked.attribute, _listed(value), opposite)


def _truth(attribute: str, *, held: bool) -> Filter | None:
    """``Abnormal`` asks only when it is true; ``Censored`` asks for either."""
    if attribute == "abnormal":
        return Abnormal(_ABNORMAL) if held else None
    return Compare(attribute, "gt" if held else "eq", 0)


def _bound(value: float | date, *, decimals: bool) -> float | date:
    """Circe writes a bound with four decimals, or cuts them off."""
    if isinstance(value, date):
        return value
    if not decimals:
        return int(value)
    return float(Decimal(repr(float(value))).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def _like(attribute: str, wanted: TextFilter) -> Like:
    kind = wanted.op.removeprefix("!")
    before = "%" if kind in {"endsWith", "contains"} else ""
    after = "%" if kind in {"startsWith", "contains"} else ""
    return Like(attribute, f"{before}{wanted.text}{after}", wanted.op.startswith("!"))


def _listed(values: tuple[Any, ...]) -> tuple[int, ...] | tuple[str, ...]:
    if isinstance(values[0], Concept):
        return tuple(sorted({concept.concept_id for concept in values}))
    return tuple(sorted(set(values)))


def _condition(group: CriteriaGroup, sets: Sets) -> Condition:
    members: tuple[Counted | Person | Condition, ...] = (
        *(_counted(item, sets) for item in group.criteria_list),
        *(_person(item, sets) for item in group.demographic_criteria_list),
        *(_condition(item, sets) for item in group.groups),
    )
    if not members:
        return Condition((), 0)
    count = group.count or 0
    if group.type == "AT_MOST":
        return Condition(members, 0, count)
    return Condition(members, {"ALL": len(members), "ANY": 1, "AT_LEAST": count}[group.type])


def _person(item: DemographicCriteria, sets: Sets) -> Person:
    return Person(tuple(_filters(item, sets)))


def _counted(item: CorrelatedCriteria, sets: Sets) -> Counted:
    bounds = (*_bounds(item.start_window, event_end=False), *_bounds(item.end_window, event_end=True))
    if item.ignore_observation_period:
        bounds = tuple(bound for bound in bounds if bound.days is not None)
    events = _events(item.criteria, sets)
    return Counted(
        events=events,
        bounds=bounds,
        op=_OPS[item.occurrence.type],
        count=item.occurrence.count,
        distinct=_distinct(item.occurrence, events),
        same_visit=item.restrict_visit,
        observed=not item.ignore_observation_period,
    )


_OF_ALL = frozenset({"concept_id", "start_date", "end_date", "visit_id", "length"})


def _distinct(occurrence: Occurrence, events: Events) -> str | None:
    if not occurrence.is_distinct:
        return None
    counted = COUNTED[occurrence.count_column or "DOMAIN_CONCEPT"]
    source = SOURCES[events.domain]
    known = counted in _OF_ALL or counted in source.counted
    if counted == "source_concept_id":
        known = source.source_concept is not None
    if not known and not _has(source.table, counted):
        raise _NotRun(
            occurrence, "count_column", f"events of {source.table} have no {occurrence.count_column} to count"
        )
    return counted


def _has(table: str, name: str) -> bool:
    try:
        return core_1().table(table).has(name)
    except UnknownTable:
        return False


def _bounds(window: Window | None, *, event_end: bool) -> tuple[Bound, ...]:
    if window is None:
        return ()
    use_end = event_end if window.use_event_end is None else window.use_event_end
    event: Literal["start_date", "end_date"] = "end_date" if use_end else "start_date"
    anchor: Literal["start_date", "end_date"] = "end_date" if window.use_index_end else "start_date"
    return (
        Bound(event, ">=", anchor, _signed(window.start), window.start.coeff > 0),
        Bound(event, "<=", anchor, _signed(window.end), window.end.coeff > 0),
    )


def _signed(end: Endpoint) -> int | None:
    return None if end.days is None else end.days * end.coeff


def _end(strategy: EndStrategy | None, sets: Sets) -> FixedEnd | DrugEraEnd | None:
    if strategy is None:
        return None
    if strategy.date_offset is not None:
        field = strategy.date_offset.date_field
        return FixedEnd("start_date" if field == "StartDate" else "end_date", strategy.date_offset.offset)
    era = strategy.custom_era
    if era is None:
        return None
    named = sets[era.drug_codeset_id]
    matches = (named, CodeMatch(named.concept_ids, standard=False))
    return DrugEraEnd(matches, era.gap_days, era.offset, era.days_supply_override)
