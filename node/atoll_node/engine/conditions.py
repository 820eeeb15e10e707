"""Emit what must hold around an event as a truth value over a table of index events."""

from atoll_node.engine.events import EVENT_COLUMNS, events_sql
from atoll_node.engine.facts import Dates, compared_sql, counted_sql, value_sql
from atoll_node.engine.plan import Abnormal, Bound, Condition, Counted, Events, Filter, Person
from atoll_node.engine.sources import SOURCES
from atoll_node.engine.sql import Binder, days_between


def fulfilled_sql(events: Events, binder: Binder, counted: str | None = None) -> str:
    """Return a query that yields the events around which their own condition holds.

    Each event is looked at in each observation period that contains its start; outside of all there is
    nothing to look at.
    """
    found = events_sql(events, binder, counted)
    if events.condition is None:
        return found
    own, observed = binder.name("own"), binder.name("observed")
    held = condition_sql(events.condition, observed, "n", binder)
    return (
        f"(WITH {own} AS MATERIALIZED (SELECT row_number() OVER () AS own_id, e.* FROM ({found}) e), "
        f"{observed} AS MATERIALIZED (SELECT row_number() OVER () AS event_id, w.*, "
        "o.observation_period_start_date AS op_start, o.observation_period_end_date AS op_end "
        f"FROM {own} w JOIN observation_period o ON o.person_id = w.person_id "
        "AND w.start_date BETWEEN o.observation_period_start_date AND o.observation_period_end_date) "
        f"SELECT {_columns(events.domain, counted)} FROM {own} w WHERE w.own_id IN "
        f"(SELECT n.own_id FROM {observed} n WHERE {held}))"
    )


def _columns(domain: str, counted: str | None) -> str:
    """``counted`` may be none of the record's own fields; then the query has no such column."""
    columns = ", ".join(f"w.{name}" for name in EVENT_COLUMNS.split(", "))
    own = counted is not None and counted_sql(counted, SOURCES[domain]) is not None
    return f"{columns}, w.counted" if own else columns


def condition_sql(condition: Condition, table: str, alias: str, binder: Binder) -> str:
    """Return a truth value for the row ``alias`` of ``table`` (quoted), whose ``event_id`` is unique."""
    members = [_member_sql(member, table, alias, binder) for member in condition.members]
    if not members:
        return "TRUE"
    if condition.most is None and condition.least == len(members):
        return f"({' AND '.join(members)})"
    if condition.most is None and condition.least == 1:
        return f"({' OR '.join(members)})"
    total = " + ".join(f"{member}::INTEGER" for member in members)
    if condition.most is not None:
        return f"(({total}) <= {binder.bind(condition.most)})"
    return f"(({total}) >= {binder.bind(condition.least)})"


def _member_sql(member: Counted | Person | Condition, table: str, alias: str, binder: Binder) -> str:
    if isinstance(member, Condition):
        return condition_sql(member, table, alias, binder)
    if isinstance(member, Person):
        return _person_sql(member, table, alias, binder)
    return _counted_sql(member, table, alias, binder)


def _person_sql(person: Person, table: str, alias: str, binder: Binder) -> str:
    dates = Dates("x.start_date", "x.end_date")
    where = " AND ".join(_fact_sql(item, dates, binder) for item in person.filters) or "TRUE"
    return (
        f"({alias}.event_id IN (SELECT x.event_id FROM {table} x "
        f"JOIN person p ON p.person_id = x.person_id WHERE {where}))"
    )


def _fact_sql(item: Filter, dates: Dates, binder: Binder) -> str:
    if isinstance(item, Abnormal):
        raise TypeError("a person has no such fact")
    return compared_sql(value_sql(item.attribute, dates), item, binder)


_OF_ALL = {
    "concept_id": "a.concept_id",
    "start_date": "a.start_date",
    "end_date": "a.end_date",
    "visit_id": "a.visit_id",
    "length": days_between("a.start_date", "a.end_date"),
}


def _counted_sql(counted: Counted, table: str, alias: str, binder: Binder) -> str:
    if counted.op == "at_least" and counted.count == 0:
        return "TRUE"
    events = fulfilled_sql(counted.events, binder, counted.distinct)
    on = " AND ".join(("a.person_id = x.person_id", *_placed(counted, binder)))
    found = f"SELECT x.event_id FROM {table} x JOIN ({events}) a ON {on}"
    if counted.op == "at_least" and counted.count == 1 and counted.distinct is None:
        return f"({alias}.event_id IN ({found}))"
    number = "count(*)"
    if counted.distinct is not None:
        number = f"count(DISTINCT {_counted_value(counted)})"
    grouped = f"{found} GROUP BY x.event_id HAVING {number}"
    wanted = binder.bind(counted.count)
    if counted.op == "at_most" or counted.count == 0:
        return f"({alias}.event_id NOT IN ({grouped} > {wanted}))"
    return f"({alias}.event_id IN ({grouped} {'=' if counted.op == 'exactly' else '>='} {wanted}))"


def _counted_value(counted: Counted) -> str:
    name = counted.distinct or "concept_id"
    own = counted_sql(name, SOURCES[counted.events.domain])
    return _OF_ALL[name] if own is None else "a.counted"


def _placed(counted: Counted, binder: Binder) -> list[str]:
    clauses = [_bound_sql(bound, binder) for bound in counted.bounds]
    if counted.observed:
        clauses += ["a.start_date >= x.op_start", "a.start_date <= x.op_end"]
    if counted.same_visit:
        clauses.append("a.visit_id = x.visit_id")
    return clauses


def _bound_sql(bound: Bound, binder: Binder) -> str:
    if bound.days is None:
        limit = "x.op_end" if bound.forward else "x.op_start"
    else:
        limit = f"(x.{bound.anchor} + {binder.bind(bound.days)}::INTEGER)"
    return f"a.{bound.event} {bound.side} {limit}"
