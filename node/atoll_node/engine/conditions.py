"""Emit what must hold around an event as a truth value over a table of index events."""

from atoll_node.engine.events import events_sql, filter_sql
from atoll_node.engine.plan import Bound, Condition, Counted, Person
from atoll_node.engine.sql import Binder


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
    where = " AND ".join(filter_sql(item, "x", binder) for item in person.filters) or "TRUE"
    return (
        f"({alias}.event_id IN (SELECT x.event_id FROM {table} x "
        f"JOIN person p ON p.person_id = x.person_id WHERE {where}))"
    )


def _counted_sql(counted: Counted, table: str, alias: str, binder: Binder) -> str:
    if counted.op == "at_least" and counted.count == 0:
        return "TRUE"
    events = events_sql(counted.events, binder)
    on = " AND ".join(("a.person_id = x.person_id", *_placed(counted, binder)))
    found = f"SELECT x.event_id FROM {table} x JOIN ({events}) a ON {on}"
    if counted.op == "at_least" and counted.count == 1 and counted.distinct is None:
        return f"({alias}.event_id IN ({found}))"
    number = "count(*)" if counted.distinct is None else f"count(DISTINCT a.{counted.distinct})"
    grouped = f"{found} GROUP BY x.event_id HAVING {number}"
    wanted = binder.bind(counted.count)
    if counted.op == "at_most" or counted.count == 0:
        return f"({alias}.event_id NOT IN ({grouped} > {wanted}))"
    return f"({alias}.event_id IN ({grouped} {'=' if counted.op == 'exactly' else '>='} {wanted}))"


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
