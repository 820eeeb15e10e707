"""Emit a cohort as a short list of statements, each of which makes one temporary table.

``entry`` (entry events) → ``qualified`` → ``passed`` (which rules each event passes) → ``included`` →
``cohort`` (person, start, end). The semantics are those of the SQL that OHDSI's circe-be generates.
"""

from atoll_node.engine.conditions import condition_sql, fulfilled_sql
from atoll_node.engine.plan import Cohort, DrugEraEnd, Events, FixedEnd, Order
from atoll_node.engine.sql import Binder, Statement

_COLUMNS = "person_id, source, record_id, start_date, end_date, visit_id, op_start, op_end, sort_date"
_ENTRY_TIES = "record_id, source, op_start, op_end, end_date, visit_id NULLS FIRST"
_LATER_TIES = "visit_id NULLS FIRST, source, record_id, op_start, op_end, end_date"
"""Order of events of one day, so that an answer does not depend on chance. ``source`` is the place in the
criteria list. The published SQL orders entry events by date and key, later ones by date alone."""


def cohort_statements(cohort: Cohort) -> tuple[Statement, ...]:
    """Return the statements that leave ``entry``, ``qualified``, ``passed``, ``included``, ``cohort``."""
    return (_entry(cohort), _NUMBERED, _qualified(cohort), _passed(cohort), _included(cohort), _final(cohort))


def index_statement(cohort: Cohort) -> Statement:
    """Return the statement that makes ``cohort_index``: each person once, with the earliest start."""
    if cohort.one_row_per_person:
        return Statement(
            "CREATE TEMP VIEW cohort_index AS SELECT person_id, start_date AS index_date FROM cohort"
        )
    return Statement(
        "CREATE TEMP TABLE cohort_index AS "
        "SELECT person_id, min(start_date) AS index_date FROM cohort GROUP BY person_id"
    )


def steps_statement(cohort: Cohort, *, best_event: bool = False) -> Statement:
    """Return one row per person with an entry event; ``s0``, ``s1``, …: whether rules 0 to that one hold.

    They hold around some event, or, of the ``best_event``, around each person's best one.
    """
    passes = [" AND ".join(f"rule_{k}" for k in range(number)) for number in range(1, len(cohort.rules) + 1)]
    flags = "".join(f", bool_or({held}) AS s{place}" for place, held in enumerate(passes))
    if not cohort.rules:
        return Statement("SELECT q.person_id FROM qualified q GROUP BY q.person_id")
    rules = ", ".join(f"rule_{number}" for number in range(len(cohort.rules)))
    events = f"SELECT person_id, start_date, {rules} FROM qualified JOIN passed USING (event_id)"
    if best_event:
        order = _best(len(cohort.rules))
        events += f" QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY {order}) = 1"
    return Statement(f"SELECT q.person_id{flags} FROM ({events}) q GROUP BY q.person_id")


def _best(rules: int) -> str:
    """Order events: the most rules, the earliest first rule, the earliest day; then the earlier rules."""
    names = [f"rule_{number}" for number in range(rules)]
    most = " + ".join(f"{name}::INTEGER" for name in names)
    first = " ".join(f"WHEN {name} THEN {number}" for number, name in enumerate(names))
    earlier = ", ".join(f"{name} DESC" for name in names)
    return f"{most} DESC, CASE {first} ELSE 0 END, start_date, {earlier}"


_NUMBERED = Statement("CREATE TEMP VIEW entry AS SELECT rowid AS event_id, * FROM entry_events")
"""The row's own number names the event, which costs nothing."""


def _make(table: str, query: str, binder: Binder) -> Statement:
    return binder.statement(f"CREATE TEMP TABLE {table} AS {query}")


def _limit(order: Order, day: str = "start_date", ties: str = _LATER_TIES) -> str:
    if order == "all":
        return ""
    direction = "DESC" if order == "last" else "ASC"
    return f" QUALIFY row_number() OVER (PARTITION BY person_id ORDER BY {day} {direction}, {ties}) = 1"


def _entry(cohort: Cohort) -> Statement:
    binder = Binder()
    sources = " UNION ALL ".join(
        f"SELECT *, {number} AS source FROM ({fulfilled_sql(events, binder)})"
        for number, events in enumerate(cohort.entry)
    )
    observed = (
        "SELECT e.person_id, e.source, e.record_id, e.start_date, e.end_date, e.visit_id, e.sort_date, "
        "o.observation_period_start_date AS op_start, o.observation_period_end_date AS op_end "
        f"FROM ({sources}) e JOIN observation_period o ON o.person_id = e.person_id "
        "AND e.start_date BETWEEN o.observation_period_start_date AND o.observation_period_end_date "
        f"WHERE o.observation_period_start_date + {binder.bind(cohort.prior_days)}::INTEGER <= e.start_date "
        f"AND e.start_date + {binder.bind(cohort.post_days)}::INTEGER <= o.observation_period_end_date"
    )
    return _make("entry_events", _first_of(cohort, observed), binder)


_ONE_PER_PERSON = frozenset({"observation_period", "death"})
"""Domains with about one record per person."""


def _first_of(cohort: Cohort, observed: str) -> str:
    """Find the day first: an aggregate is much faster than a window over every record of a large table."""
    limit = _limit(cohort.entry_order, "sort_date", _ENTRY_TIES)
    costly = any(events.first or events.condition for events in cohort.entry)
    small = all(events.domain in _ONE_PER_PERSON for events in cohort.entry)
    if cohort.entry_order == "all" or costly or small:
        return f"SELECT {_COLUMNS} FROM ({observed}){limit}"
    day = "max" if cohort.entry_order == "last" else "min"
    return (
        f"WITH o AS NOT MATERIALIZED ({observed}), d AS (SELECT person_id, {day}(sort_date) AS sort_date "
        f"FROM o GROUP BY person_id) SELECT {_COLUMNS} FROM o JOIN d USING (person_id, sort_date){limit}"
    )


def _qualified(cohort: Cohort) -> Statement:
    if cohort.additional is None:
        return Statement("CREATE TEMP VIEW qualified AS SELECT * FROM entry")
    binder = Binder()
    held = condition_sql(cohort.additional, "entry", "q", binder)
    limit = _limit(cohort.qualified_order) if cohort.entry_order == "all" else ""
    return _make("qualified", f"SELECT * FROM entry q WHERE {held}{limit}", binder)


def _passed(cohort: Cohort) -> Statement:
    if not cohort.rules:
        return Statement("CREATE TEMP VIEW passed AS SELECT event_id FROM qualified")
    binder = Binder()
    columns = ", ".join(
        f"{condition_sql(rule.condition, 'qualified', 'q', binder)} AS rule_{number}"
        for number, rule in enumerate(cohort.rules)
    )
    return _make("passed", f"SELECT q.event_id, {columns} FROM qualified q", binder)


def _included(cohort: Cohort) -> Statement:
    limit = "" if cohort.one_event_qualifies else _limit(cohort.expression_order)
    if not cohort.rules:
        kind = "TABLE" if limit else "VIEW"
        return Statement(f"CREATE TEMP {kind} included AS SELECT * FROM qualified{limit}")
    held = " AND ".join(f"rule_{number}" for number in range(len(cohort.rules)))
    return Statement(
        "CREATE TEMP TABLE included AS SELECT q.* FROM qualified q "
        f"JOIN passed USING (event_id) WHERE {held}{limit}"
    )


def _final(cohort: Cohort) -> Statement:
    binder = Binder()
    rows = _rows(cohort, binder)
    if not cohort.one_row_per_person:
        rows = _collapsed(rows, binder.bind(cohort.era_pad))
    return _make("cohort", _clipped(rows, cohort.window, binder), binder)


def _rows(cohort: Cohort, binder: Binder) -> str:
    """Each included event with the earliest of its possible ends that is not before its start."""
    ends = []
    joins = []
    if isinstance(cohort.end, FixedEnd):
        ends.append(_fixed_end(cohort.end, binder))
    else:
        ends.append("i.op_end")
    if isinstance(cohort.end, DrugEraEnd):
        joins.append(f"LEFT JOIN ({_drug_ends(cohort.end, binder)}) d USING (event_id)")
        ends.append("d.drug_end")
    if cohort.censoring:
        joins.append(f"LEFT JOIN ({_censor_ends(cohort.censoring, binder)}) c USING (event_id)")
        ends.extend(f"c.censor_{number}" for number in range(len(cohort.censoring)))
    valid = ", ".join(f"CASE WHEN {end} >= i.start_date THEN {end} END" for end in ends)
    return (
        f"SELECT * FROM (SELECT i.person_id, i.start_date, least({valid}) AS end_date "
        f"FROM included i {' '.join(joins)}) WHERE end_date IS NOT NULL"
    )


def _fixed_end(end: FixedEnd, binder: Binder) -> str:
    """The end that is days away; an event without an end has none (``least`` would leave NULL out)."""
    last = f"least(i.{end.anchor} + {binder.bind(end.days)}::INTEGER, i.op_end)"
    if end.anchor == "start_date":
        return last
    return f"CASE WHEN i.{end.anchor} IS NOT NULL THEN {last} END"


def _censor_ends(censoring: tuple[Events, ...], binder: Binder) -> str:
    found = " UNION ALL ".join(
        f"SELECT person_id, start_date, {number} AS source FROM ({fulfilled_sql(events, binder)})"
        for number, events in enumerate(censoring)
    )
    columns = ", ".join(
        f"min(a.start_date) FILTER (WHERE a.source = {number}) AS censor_{number}"
        for number in range(len(censoring))
    )
    return (
        f"SELECT x.event_id, {columns} FROM included x JOIN ({found}) a ON a.person_id = x.person_id "
        "AND a.start_date >= x.start_date AND a.start_date <= x.op_end GROUP BY x.event_id"
    )


def _drug_ends(end: DrugEraEnd, binder: Binder) -> str:
    """The end of the era of exposure in which the event starts.

    Each exposure lasts its days and the offset more, and joins the next one over the gap.
    """
    own = "e.end_date"
    if end.days_supply is not None:
        own = f"e.start_date + {binder.bind(end.days_supply)}::INTEGER"
    exposures = " UNION ALL ".join(
        f"({fulfilled_sql(Events('drug', (match,)), binder)})" for match in end.matches
    )
    lasting = f"{own} + {binder.bind(end.days)}::INTEGER"
    named = f"SELECT e.person_id, e.start_date, {lasting} AS end_date FROM ({exposures}) e"
    eras = _collapsed(named, binder.bind(end.gap_days))
    return (
        f"SELECT x.event_id, min(a.end_date) AS drug_end FROM included x JOIN ({eras}) a "
        "ON a.person_id = x.person_id AND x.start_date BETWEEN a.start_date AND a.end_date "
        "GROUP BY x.event_id"
    )


def _collapsed(rows: str, pad: str) -> str:
    """Join periods of a person that overlap or lie at most ``pad`` days apart.

    Of equal periods the one that opens an island comes first, else the others would stay outside of it.
    """
    reached = (
        "max(end_date) OVER (PARTITION BY person_id ORDER BY start_date, end_date "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
    near = f"start_date <= {reached} + {pad}::INTEGER"
    marked = f"SELECT *, CASE WHEN {near} THEN 0 ELSE 1 END AS opens FROM ({rows})"
    numbered = (
        "SELECT *, sum(opens) OVER (PARTITION BY person_id ORDER BY start_date, opens DESC, end_date "
        f"ROWS UNBOUNDED PRECEDING) AS island FROM ({marked})"
    )
    return (
        "SELECT person_id, min(start_date) AS start_date, max(end_date) AS end_date "
        f"FROM ({numbered}) GROUP BY person_id, island"
    )


def _clipped(rows: str, window: tuple[object, object], binder: Binder) -> str:
    start, end = window
    first = "start_date" if start is None else f"greatest(start_date, {binder.bind(start)})"
    last = "end_date" if end is None else f"least(end_date, {binder.bind(end)})"
    where = "" if start is None and end is None else f" WHERE {first} <= {last}"
    return f"SELECT person_id, {first} AS start_date, {last} AS end_date FROM ({rows}){where}"
