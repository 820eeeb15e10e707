"""Check that a query means something before anything is planned."""

from collections.abc import Iterator

from atoll_node.errors import EngineError, MissingTable
from atoll_node.release import Release
from atoll_schemas.circe.needs import needs_of
from atoll_schemas.query import (
    AnyOf,
    Count,
    Crosstab,
    Death,
    Demographic,
    Event,
    KaplanMeier,
    Level,
    Outcome,
    Query,
    Table1,
    TrialArm,
    Variable,
)
from atoll_schemas.tables import DOMAINS

_RESERVED = frozenset({"other", "missing", "*"})


def check(query: Query, release: Release) -> Query:
    """Return the query, or raise ``EngineError`` with what is wrong and what to do."""
    if query.dataset != release.dataset:
        raise EngineError("engine.dataset", "the release is of another dataset than the query")
    _check_table(release, "observation_period")
    names = [variable.name for variable in variables_of(query)]
    if len(set(names)) != len(names):
        raise EngineError("engine.variable", "two variables have the same name", "rename one of them")
    for variable in levels_of(query):
        _check_levels(variable)
    if isinstance(query.analysis, KaplanMeier):
        for table in _outcome_tables(query.analysis.outcome):
            _check_table(release, table)
    return query


def require_tables(query: Query, release: Release) -> None:
    """Raise ``MissingTable`` or ``EngineError`` when the release lacks what the query looks at.

    An absent table would count as one without rows: a site would answer with fewer persons and not say so.
    It is what ``atoll cohort check`` says of the cohort, and the same of variables and outcomes.
    """
    needs = needs_of(query.cohort)
    for table in sorted(needs.tables | _analysis_tables(query)):
        _check_table(release, table)
    for names, table in ((needs.descendants, "concept_ancestor"), (needs.mapped, "concept_relationship")):
        pinned = release.table(table)
        if names and (pinned is None or not pinned.rows):
            raise EngineError(
                "engine.vocabulary",
                f"the query expands concept sets, and the release has no {table}",
                "ingest the OMOP vocabularies and release again",
            )


def _analysis_tables(query: Query) -> frozenset[str]:
    definitions = [variable.definition for variable in variables_of(query)]
    found = {"trial_subject" for one in definitions if isinstance(one, TrialArm)}
    found |= {DOMAINS[one.domain].table for one in definitions if not isinstance(one, Demographic | TrialArm)}
    if isinstance(query.analysis, KaplanMeier):
        found |= set(_outcome_tables(query.analysis.outcome))
    return frozenset(found)


def variables_of(query: Query) -> tuple[Variable, ...]:
    """Return every variable of the analysis."""
    analysis = query.analysis
    if isinstance(analysis, Count):
        return analysis.by
    if isinstance(analysis, Crosstab):
        return analysis.variables
    by = () if analysis.by is None else (analysis.by,)
    return (*analysis.variables, *by) if isinstance(analysis, Table1) else by


def levels_of(query: Query) -> tuple[Variable, ...]:
    """Return the variables that must yield levels."""
    analysis = query.analysis
    if isinstance(analysis, Table1):
        numbers = tuple(variable for variable in analysis.variables if not variable.numeric)
        return numbers if analysis.by is None else (*numbers, analysis.by)
    return variables_of(query)


def _check_levels(variable: Variable) -> None:
    if variable.numeric and not variable.edges:
        raise EngineError(
            "engine.edges",
            f"the number {variable.name} is used as a category without bins",
            "declare the variable's edges",
        )
    declared: tuple[Level, ...] = getattr(variable.definition, "levels", ())
    labels = [level.label for level in declared]
    if len(set(labels)) != len(labels) or _RESERVED & set(labels):
        raise EngineError(
            "engine.levels",
            f"the levels of {variable.name} are not distinct, or one is called other, missing or *",
            "rename the levels",
        )


def _outcome_tables(outcome: Outcome) -> Iterator[str]:
    for part in outcome_parts(outcome):
        yield DOMAINS["death" if isinstance(part, Death) else part.domain].table


def outcome_parts(outcome: Outcome) -> tuple[Death | Event, ...]:
    """Return the outcomes of which the earliest counts."""
    definition = outcome.definition
    return definition.outcomes if isinstance(definition, AnyOf) else (definition,)


def _check_table(release: Release, table: str) -> None:
    if release.table(table) is None:
        raise MissingTable(table)
