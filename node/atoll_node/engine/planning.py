"""Plan a checked query: from the words of Circe and of the analysis to values that any engine can run."""

from typing import cast

from atoll_node.engine.checking import outcome_parts
from atoll_node.engine.cohort_planning import plan_cohort
from atoll_node.engine.labels import PERSON_LEVELS, bin_labels, category_labels
from atoll_node.engine.plan import (
    AnalysisPlan,
    CountPlan,
    CrosstabPlan,
    Level,
    LevelColumn,
    Number,
    NumberColumn,
    OutcomeRecord,
    PersonConcept,
    PersonField,
    Plan,
    Recorded,
    RecordedLevel,
    RecordedNumber,
    RecordedPresence,
    SurvivalPlan,
    Table1Plan,
    TrialLevel,
)
from atoll_node.engine.vocabulary import Vocabulary, resolve_codes
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
from atoll_schemas.tables import DomainName


def plan(query: Query, vocabulary: Vocabulary) -> Plan:
    """Return the plan of a checked query."""
    return Plan(plan_cohort(query.cohort, vocabulary), _analysis(query, vocabulary))


def _analysis(query: Query, vocabulary: Vocabulary) -> AnalysisPlan:
    analysis = query.analysis
    if isinstance(analysis, Count):
        groups = tuple(_levels(item, vocabulary) for item in analysis.by)
        return CountPlan(groups, best_event=analysis.attrition == "best_event")
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
