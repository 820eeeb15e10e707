"""Emit one row per person of the cohort with each variable as a column: the frame of an analysis.

A number is a DOUBLE or NULL; a level is the index of its label. Labels stay outside the SQL.
"""

from dataclasses import dataclass

from atoll_node.engine.facts import matches_sql
from atoll_node.engine.plan import (
    Level,
    LevelColumn,
    Number,
    NumberColumn,
    OutcomeRecord,
    PersonConcept,
    PersonField,
    Recorded,
    RecordedLevel,
    RecordedNumber,
    RecordedPresence,
    SurvivalPlan,
    TrialLevel,
)
from atoll_node.engine.sources import SOURCES
from atoll_node.engine.sql import Binder, Statement, days_between, quoted
from atoll_schemas.tables import DOMAINS, DomainTable

_PERSON_FIELDS = {
    "age": "year(i.index_date) - p.year_of_birth",
    "birth_year": "p.year_of_birth",
    "index_year": "year(i.index_date)",
}


@dataclass(frozen=True)
class _Column:
    """A value per person, and the joins that it needs."""

    value: str
    joins: tuple[str, ...] = ()


def frame_statement(columns: tuple[NumberColumn | LevelColumn, ...]) -> Statement:
    """Return the statement that makes ``frame`` with the columns ``v0``, ``v1``, … of the variables."""
    binder = Binder()
    built = [_column(column, f"j{number}", binder) for number, column in enumerate(columns)]
    return _frame(built, [f"v{number}" for number in range(len(built))], binder)


def survival_statement(plan: SurvivalPlan) -> Statement:
    """Return the statement that makes ``frame`` with ``day``, ``event`` and, when grouped, ``v0``."""
    binder = Binder()
    last = "coalesce(o.last_day, 0)"
    if plan.max_days is not None:
        last = f"least({last}, {binder.bind(plan.max_days)})"
    joins = [_observed_join()]
    days = []
    for number, outcome in enumerate(plan.outcomes):
        joins.append(
            f"LEFT JOIN ({_outcome(outcome, binder)}) t{number} ON t{number}.person_id = i.person_id"
        )
        days.append(f"t{number}.day")
    first = days[0] if len(days) == 1 else f"least({', '.join(days)})"
    event = f"coalesce({first} <= {last}, FALSE)"
    built = [_Column(f"CASE WHEN {event} THEN {first} ELSE {last} END", tuple(joins)), _Column(event)]
    names = ["day", "event"]
    if plan.by is not None:
        built.append(_column(plan.by, "j0", binder))
        names.append("v0")
    return _frame(built, names, binder)


def _frame(columns: list[_Column], names: list[str], binder: Binder) -> Statement:
    values = "".join(
        f", {column.value} AS {quoted(name)}" for column, name in zip(columns, names, strict=True)
    )
    joins = dict.fromkeys(join for column in columns for join in column.joins)
    return binder.statement(
        f"CREATE TEMP TABLE frame AS SELECT i.person_id{values} FROM cohort_index i {' '.join(joins)}"
    )


_PERSON_JOIN = "LEFT JOIN person p ON p.person_id = i.person_id"


def _column(column: NumberColumn | LevelColumn, name: str, binder: Binder) -> _Column:
    if isinstance(column, NumberColumn):
        return _number(column.source, name, binder)
    if isinstance(column.source, (PersonField, RecordedNumber)):
        number = _number(column.source, name, binder)
        return _Column(bin_sql(number.value, column.edges, len(column.labels) - 1, binder), number.joins)
    return _level(column.source, name, binder)


def bin_sql(value: str, edges: tuple[float, ...], missing: int, binder: Binder) -> str:
    """Return the index of the bin: 0 below the first edge, and ``missing`` without a value."""
    if not edges:
        return f"CASE WHEN {value} IS NULL THEN {missing} ELSE 0 END"
    return f"CASE WHEN {value} IS NULL THEN {missing} ELSE {_halved(value, edges, 0, binder)} END"


def _halved(value: str, edges: tuple[float, ...], offset: int, binder: Binder) -> str:
    """A binary decision, so that a row meets few comparisons."""
    if not edges:
        return str(offset)
    middle = len(edges) // 2
    low = _halved(value, edges[:middle], offset, binder)
    high = _halved(value, edges[middle + 1 :], offset + middle + 1, binder)
    return f"CASE WHEN {value} < {binder.bind(edges[middle])} THEN {low} ELSE {high} END"


def _number(source: Number, name: str, binder: Binder) -> _Column:
    if isinstance(source, PersonField):
        return _Column(f"({_PERSON_FIELDS[source.field]})::DOUBLE", (_PERSON_JOIN,))
    return _Column(f"{name}.value", (_joined(source, name, binder),))


def finite_sql(domain: DomainTable) -> str:
    """Return the number of a record ``r``, NULL where it is none."""
    value = f"r.{quoted(domain.value_number or '')}"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def _level(source: Level, name: str, binder: Binder) -> _Column:
    if isinstance(source, PersonConcept):
        return _Column(_person_level(source, binder), (_PERSON_JOIN,))
    if isinstance(source, TrialLevel):
        return _trial_level(source, name, binder)
    if isinstance(source, RecordedPresence):
        query = f"SELECT DISTINCT i.person_id {_in_window(source.records, binder)}"
        join = f"LEFT JOIN ({query}) {name} ON {name}.person_id = i.person_id"
        return _Column(f"CASE WHEN {name}.person_id IS NULL THEN 1 ELSE 0 END", (join,))
    missing = len(source.levels) + 1
    return _Column(f"coalesce({name}.value, {missing})", (_joined(source, name, binder),))


def _person_level(source: PersonConcept, binder: Binder) -> str:
    """No concept, or concept 0 (OMOP: no matching concept), is missing."""
    value = f"p.{quoted(source.column)}"
    whens = " ".join(
        f"WHEN {value} IN {binder.members(ids)} THEN {number}" for number, ids in enumerate(source.levels)
    )
    count = len(source.levels)
    return f"CASE {whens} WHEN coalesce({value}, 0) = 0 THEN {count + 1} ELSE {count} END"


def recorded_level_sql(source: RecordedLevel, binder: Binder) -> str:
    """Return the level of a record ``r``.

    A record without source value and without concept (or with concept 0) has no value: missing.
    """
    domain = DOMAINS[source.records.domain]
    concept = f"r.{quoted(domain.value_concept or '')}"
    text = f"r.{quoted(domain.value_source or '')}"
    whens = []
    for number, values in enumerate(source.levels):
        either = [f"{text} IN {binder.members(values)}"]
        ids = tuple(int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 19)
        if ids:
            either.append(f"{concept} IN {binder.members(ids)}")
        whens.append(f"WHEN {' OR '.join(either)} THEN {number}")
    count = len(source.levels)
    empty = f"WHEN {text} IS NULL AND coalesce({concept}, 0) = 0 THEN {count + 1}"
    return f"CASE {' '.join(whens)} {empty} ELSE {count} END"


def _trial_level(source: TrialLevel, name: str, binder: Binder) -> _Column:
    """The arm of the person's participation; of several, that with the lowest key."""
    query = (
        f"SELECT r.person_id, arg_min_null({trial_level_sql(source, binder)}, r.trial_subject_id) AS value "
        f"FROM trial_subject r WHERE r.trial_code = {binder.bind(source.trial)} GROUP BY r.person_id"
    )
    join = f"LEFT JOIN ({query}) {name} ON {name}.person_id = i.person_id"
    return _Column(f"coalesce({name}.value, {len(source.levels) + 1})", (join,))


def trial_level_sql(source: TrialLevel, binder: Binder) -> str:
    """Return the level of a participation ``r``."""
    whens = " ".join(
        f"WHEN r.arm_code IN {binder.members(values)} THEN {number}"
        for number, values in enumerate(source.levels)
    )
    count = len(source.levels)
    return f"CASE {whens} WHEN r.arm_code IS NULL THEN {count + 1} ELSE {count} END"


def picked_sql(source: RecordedNumber | RecordedLevel, binder: Binder) -> str:
    """Return a query for the value of each person's first or latest record: by date, then by the key.

    The day is found first: two plain aggregates are several times faster than one window or one
    aggregate over pairs, and the key, the lowest or the highest, decides only among records of that day.
    """
    records = source.records
    domain = DOMAINS[records.domain]
    value = recorded_level_sql(source, binder) if isinstance(source, RecordedLevel) else finite_sql(domain)
    start, key = f"r.{quoted(domain.start_date)}", f"r.{quoted(domain.key)}"
    day, pick = ("max", "arg_max_null") if records.latest else ("min", "arg_min_null")
    if records.start is None and records.end is None:
        matched = f"{start} IS NOT NULL AND {matches_sql(records.match, SOURCES[records.domain], binder)}"
        found = f"FROM {quoted(domain.table)} r WHERE {matched}"
    else:
        found = _in_window(records, binder)
    days = f"SELECT r.person_id, {day}({start}) AS day {found} GROUP BY r.person_id"
    return (
        f"SELECT r.person_id, {pick}({value}, {key}) AS value FROM {quoted(domain.table)} r "
        f"JOIN ({days}) d ON d.person_id = r.person_id AND d.day = {start} "
        f"WHERE {matches_sql(records.match, SOURCES[records.domain], binder)} GROUP BY r.person_id"
    )


def _joined(source: RecordedNumber | RecordedLevel, name: str, binder: Binder) -> str:
    return f"LEFT JOIN ({picked_sql(source, binder)}) {name} ON {name}.person_id = i.person_id"


def _in_window(records: Recorded, binder: Binder) -> str:
    domain = DOMAINS[records.domain]
    start = f"r.{quoted(domain.start_date)}"
    where = [f"{start} IS NOT NULL", matches_sql(records.match, SOURCES[records.domain], binder)]
    if records.start is not None:
        where.append(f"{start} >= i.index_date + {binder.bind(records.start)}::INTEGER")
    if records.end is not None:
        where.append(f"{start} <= i.index_date + {binder.bind(records.end)}::INTEGER")
    return (
        f"FROM cohort_index i JOIN {quoted(domain.table)} r ON r.person_id = i.person_id "
        f"WHERE {' AND '.join(where)}"
    )


def _observed_join() -> str:
    """Days from index to the end of the observation period that contains it (the latest of several)."""
    last = days_between("i.index_date", "r.observation_period_end_date")
    return (
        f"LEFT JOIN (SELECT i.person_id, max({last}) AS last_day "
        "FROM cohort_index i JOIN observation_period r ON r.person_id = i.person_id "
        "WHERE i.index_date BETWEEN r.observation_period_start_date AND r.observation_period_end_date "
        "GROUP BY i.person_id) o ON o.person_id = i.person_id"
    )


def _outcome(outcome: OutcomeRecord, binder: Binder) -> str:
    domain = DOMAINS[outcome.domain]
    start = f"r.{quoted(domain.start_date)}"
    where = [f"{start} {'>=' if outcome.on_index_date else '>'} i.index_date"]
    if outcome.match is not None:
        where.append(matches_sql(outcome.match, SOURCES[outcome.domain], binder))
    day = days_between("i.index_date", start)
    return (
        f"SELECT i.person_id, min({day}) AS day FROM cohort_index i "
        f"JOIN {quoted(domain.table)} r ON r.person_id = i.person_id "
        f"WHERE {' AND '.join(where)} GROUP BY i.person_id"
    )
