"""Plan a checked query: from the words of Circe and of the analysis to values that any engine can run."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from atoll_node.engine.checking import outcome_parts
from atoll_node.engine.coverage import RUNS
from atoll_node.engine.labels import (
    PERSON_LEVELS,
    bin_labels,
    category_labels,
    distinct_names,
)
from atoll_node.engine.plan import (
    AnalysisPlan,
    Bound,
    CodeMatch,
    Cohort,
    Compare,
    Condition,
    Counted,
    CountPlan,
    CrosstabPlan,
    DrugEraEnd,
    Events,
    Filter,
    FixedEnd,
    Level,
    LevelColumn,
    Number,
    NumberColumn,
    OneOf,
    Order,
    OutcomeRecord,
    Person,
    PersonConcept,
    PersonField,
    Plan,
    Recorded,
    RecordedLevel,
    RecordedNumber,
    RecordedPresence,
    Rule,
    SurvivalPlan,
    Table1Plan,
    TrialLevel,
)
from atoll_node.engine.vocabulary import Vocabulary, resolve_codes, resolve_sets
from atoll_node.errors import EngineError
from atoll_schemas.circe import CohortExpression, UnsupportedCohort, refuse_beyond
from atoll_schemas.circe.criteria import CorrelatedCriteria, Criteria, CriteriaGroup
from atoll_schemas.circe.endings import EndStrategy
from atoll_schemas.circe.expression import used_codesets
from atoll_schemas.circe.groups import DemographicCriteria, Endpoint, Window
from atoll_schemas.circe.parts import Concept, DateRange, NumericRange, Part, ResultLimit
from atoll_schemas.query import (
    CategoryValue,
    Count,
    Crosstab,
    Death,
    Demographic,
    KaplanMeier,
    NumberValue,
    Presence,
    Query,
    Table1,
    TrialArm,
    Variable,
)
from atoll_schemas.tables import DOMAIN_OF_TABLE, DomainName

Sets = Mapping[int, CodeMatch]
_OPS: Mapping[int, Literal["exactly", "at_most", "at_least"]] = {0: "exactly", 1: "at_most", 2: "at_least"}

_RANGES = {
    "occurrence_start_date": "start_date",
    "occurrence_end_date": "end_date",
    "era_start_date": "start_date",
    "era_end_date": "end_date",
    "period_start_date": "start_date",
    "period_end_date": "end_date",
    "age": "age",
    "value_as_number": "value_as_number",
}
"""Circe attributes that compare, and what they compare."""
_CONCEPTS = {
    "gender": "gender",
    "race": "race",
    "ethnicity": "ethnicity",
    "value_as_concept": "value_as_concept_id",
}
"""Circe attributes that list concepts, and what must be among them."""


def plan(query: Query, vocabulary: Vocabulary) -> Plan:
    """Return the plan of a checked query. Raises ``EngineError`` for what the engine does not run."""
    try:
        cohort = plan_cohort(query.cohort, vocabulary)
    except UnsupportedCohort as error:
        raise EngineError("engine.unsupported", str(error), "leave it out, or ask when it runs") from None
    return Plan(cohort, _analysis(query, vocabulary))


def plan_cohort(expression: CohortExpression, vocabulary: Vocabulary) -> Cohort:
    """Return the plan of a cohort expression. Raises ``UnsupportedCohort`` for what is not run."""
    refuse_beyond(expression, RUNS)
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
        additional=None if additional is None or additional.empty else _condition(additional, sets),
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
    codeset: int | None = getattr(body, "codeset_id", None)
    return Events(
        domain=DOMAIN_OF_TABLE[criteria.domain],
        matches=() if codeset is None else (sets[codeset],),
        first=getattr(body, "first", False),
        filters=_filters(body),
    )


def _filters(body: Part) -> tuple[Filter, ...]:
    found: list[Filter] = []
    for name, value in body:
        if isinstance(value, (NumericRange, DateRange)):
            found.append(Compare(_RANGES[name], value.op, value.value, value.extent))
        elif isinstance(value, tuple) and value:
            found.append(OneOf(_CONCEPTS[name], _ids(value)))
    return tuple(found)


def _ids(concepts: Sequence[Concept]) -> tuple[int, ...]:
    return tuple(sorted({concept.concept_id for concept in concepts}))


def _condition(group: CriteriaGroup, sets: Sets) -> Condition:
    members: tuple[Counted | Person | Condition, ...] = (
        *(_counted(item, sets) for item in group.criteria_list),
        *(_person(item) for item in group.demographic_criteria_list),
        *(_condition(item, sets) for item in group.groups),
    )
    least = {"ALL": len(members), "ANY": min(1, len(members)), "AT_LEAST": group.count, "AT_MOST": 0}
    most = group.count if group.type == "AT_MOST" else None
    return Condition(members, least[group.type] or 0 if members else 0, most if members else None)


def _person(item: DemographicCriteria) -> Person:
    return Person(_filters(item))


def _counted(item: CorrelatedCriteria, sets: Sets) -> Counted:
    bounds = (*_bounds(item.start_window, event_end=False), *_bounds(item.end_window, event_end=True))
    if item.ignore_observation_period:
        bounds = tuple(bound for bound in bounds if bound.days is not None)
    return Counted(
        events=_events(item.criteria, sets),
        bounds=bounds,
        op=_OPS[item.occurrence.type],
        count=item.occurrence.count,
        distinct="concept_id" if item.occurrence.is_distinct else None,
        same_visit=item.restrict_visit,
        observed=not item.ignore_observation_period,
    )


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


def _analysis(query: Query, vocabulary: Vocabulary) -> AnalysisPlan:
    analysis = query.analysis
    if isinstance(analysis, Count):
        return CountPlan(tuple(_levels(item, vocabulary) for item in analysis.by))
    if isinstance(analysis, Crosstab):
        return CrosstabPlan(tuple(_levels(item, vocabulary) for item in analysis.variables))
    by = None if analysis.by is None else _levels(analysis.by, vocabulary)
    if isinstance(analysis, Table1):
        return Table1Plan(tuple(_column(item, vocabulary) for item in analysis.variables), by)
    return _survival(analysis, by, vocabulary)


def _survival(analysis: KaplanMeier, by: LevelColumn | None, vocabulary: Vocabulary) -> SurvivalPlan:
    outcomes = tuple(
        OutcomeRecord("death", None, on_index_date=True)
        if isinstance(part, Death)
        else OutcomeRecord(part.domain, resolve_codes(part.codes, vocabulary), on_index_date=False)
        for part in outcome_parts(analysis.outcome)
    )
    return SurvivalPlan(analysis.outcome.name, outcomes, by, analysis.max_days)


def _column(variable: Variable, vocabulary: Vocabulary) -> NumberColumn | LevelColumn:
    if variable.numeric:
        source = cast(Number, _source(variable, vocabulary))
        return NumberColumn(variable.name, source, variable.edges, variable.unit)
    return _levels(variable, vocabulary)


def _levels(variable: Variable, vocabulary: Vocabulary) -> LevelColumn:
    source = _source(variable, vocabulary)
    if variable.numeric:
        return LevelColumn(variable.name, source, bin_labels(variable.edges), variable.edges)
    return LevelColumn(variable.name, source, category_labels(variable.definition))


def _source(variable: Variable, vocabulary: Vocabulary) -> Level | Number:
    definition = variable.definition
    if isinstance(definition, Demographic):
        return _demographic(definition)
    if isinstance(definition, TrialArm):
        return TrialLevel(definition.trial, tuple(level.values for level in definition.levels))
    records = _recorded(definition, vocabulary)
    if isinstance(definition, CategoryValue):
        return RecordedLevel(records, tuple(level.values for level in definition.levels))
    return RecordedNumber(records) if isinstance(definition, NumberValue) else RecordedPresence(records)


def _demographic(definition: Demographic) -> Level | Number:
    known = PERSON_LEVELS.get(definition.field)
    if known is None:
        return PersonField(definition.field)
    return PersonConcept(known.column, tuple((concept,) for concept, _ in known.levels))


def _recorded(definition: NumberValue | CategoryValue | Presence, vocabulary: Vocabulary) -> Recorded:
    return Recorded(
        domain=cast(DomainName, definition.domain),
        match=resolve_codes(definition.codes, vocabulary),
        start=definition.window.start,
        end=definition.window.end,
        latest=getattr(definition, "take", "latest") == "latest",
    )
