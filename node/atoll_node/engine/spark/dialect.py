"""Translate a statement of the compiler into Spark SQL: a visible tuple of small passes over its syntax tree.

The statements are written once, for DuckDB. What Spark says otherwise, or what not every Spark engine can
do, is changed here; values stay parameters and never become text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

from atoll_node.engine.sql import Statement

Pass = Callable[[exp.Select], exp.Select]
"""Takes a query and returns what to say in its place."""


@dataclass(frozen=True)
class SparkStatement:
    """A query with its arguments, and the name under which its rows are found, if any."""

    text: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    makes: str | None = None
    kept: bool = False
    """Whether the rows are computed once and kept, rather than whenever they are read."""


READ_ONCE = frozenset({"entry_events", "frame"})
"""Tables that one other statement reads, once: computing them there is as well."""


def translated(statement: Statement) -> SparkStatement:
    """Return what a statement of the compiler is in Spark SQL."""
    parsed = sqlglot.parse_one(statement.text, read="duckdb")
    made = parsed.this.name if isinstance(parsed, exp.Create) else None
    query = parsed.expression.pop() if isinstance(parsed, exp.Create) else parsed
    if not isinstance(query, exp.Select):
        raise TypeError("a statement of the compiler is a query, or makes a table of one")
    kept = made not in READ_ONCE and (parsed.args.get("kind") == "TABLE" or _numbers_rows(query))
    for step in PASSES:
        query = step(query)
    return SparkStatement(
        text=query.sql(dialect="spark", identify=True),
        arguments=_escaped(query, statement.parameters),
        makes=made,
        kept=kept,
    )


def _numbers_rows(query: exp.Select) -> bool:
    return any(column.name == "rowid" for column in query.find_all(exp.Column))


def _inner_first(query: exp.Select) -> Sequence[exp.Select]:
    return tuple(reversed(list(query.find_all(exp.Select))))


def rows_numbered(query: exp.Select) -> exp.Select:
    """Number rows by what they hold, not by chance: a number must be the same whenever it is computed.

    DuckDB's ``rowid`` and ``row_number() OVER ()`` follow the order in which rows happen to come. Here a
    row's number is its person and its place among the person's rows, so that no worker sorts all rows.
    Rows that are equal in every column may change places without a difference.
    """
    for select in query.find_all(exp.Select):
        for column in tuple(select.expressions):
            kind = "rowid" if column.unalias().name == "rowid" else column.alias
            if kind == "rowid" or _is_bare_number(column.unalias()):
                column.replace(exp.alias_(_number(*_TOLD_APART[kind]), column.alias))
    return query


_TOLD_APART: Mapping[str, tuple[str, str]] = {
    "rowid": (
        "person_id",
        "source, record_id, start_date, end_date, visit_id, op_start, op_end, sort_date",
    ),
    "own_id": (
        "e.person_id",
        "e.record_id, e.start_date, e.end_date, e.visit_id, e.concept_id, e.sort_date",
    ),
    "event_id": (
        "w.person_id",
        "w.own_id, o.observation_period_start_date, o.observation_period_end_date",
    ),
}
"""The person of a row, and what tells the person's rows apart: of entry events, of the events that another
condition is about, and of these in their observation periods."""


def _is_bare_number(found: exp.Expr) -> bool:
    if not (isinstance(found, exp.Window) and isinstance(found.this, exp.RowNumber)):
        return False
    return not found.args.get("partition_by") and not found.args.get("order")


def _number(person: str, columns: str) -> exp.Expr:
    """The person's number in the upper digits, the place among the person's rows in the lower ones."""
    place = f"row_number() OVER (PARTITION BY {person} ORDER BY {columns})"
    return sqlglot.parse_one(f"{person}::DECIMAL(38, 0) * 4294967296 + {place}", read="duckdb")


def joins_spelt_out(query: exp.Select) -> exp.Select:
    """Say ``ON`` for ``USING``: what ``q.*`` and ``q.event_id`` then mean differs between engines."""
    for select in query.find_all(exp.Select):
        left = _source(select)
        for join in select.args.get("joins") or ():
            shared = [name.name for name in join.args.get("using") or ()]
            join.set("using", None)
            for name in shared:
                same = exp.EQ(
                    this=exp.column(name, table=left),
                    expression=exp.column(name, table=join.this.alias_or_name),
                )
                join.on(same, copy=False)
            for column in select.find_all(exp.Column) if shared else ():
                if column.name in shared and not column.table and column.parent_select is select:
                    column.set("table", exp.to_identifier(left))
    return query


def _source(select: exp.Select) -> str:
    """The name of the table that a query reads first."""
    read = select.args.get("from_")
    return "" if read is None else str(read.this.alias_or_name)


def memberships_joined(query: exp.Select) -> exp.Select:
    """Look events up by joins: not every engine takes ``IN (SELECT …)`` as a value, or in ``OR``."""
    number = 0
    for select in _inner_first(query):
        for found in _memberships(select):
            number += 1
            name, column = f"met_{number}", f"met_event_{number}"
            inner = found.args["query"].this.pop()
            member = exp.alias_(exp.column(inner.expressions[0].alias_or_name), column)
            listed = exp.select(member).distinct()
            listed = listed.from_(inner.subquery(f"all_{number}", copy=False), copy=False)
            same = exp.EQ(this=exp.column(column, table=name), expression=found.this.copy())
            found.replace(exp.column(column, table=name).is_(exp.null()).not_())
            _name_stars(select)
            select.join(listed.subquery(name, copy=False), on=same, join_type="left", copy=False)
    return query


def _memberships(select: exp.Select) -> tuple[exp.In, ...]:
    """The memberships in a query's own columns and conditions, those of listed values aside."""
    return tuple(
        found
        for found in select.find_all(exp.In)
        if isinstance(found.args.get("query"), exp.Subquery)
        and _listed(found) is None
        and found.parent_select is select
        and found.find_ancestor(exp.Select, exp.Join) is select
    )


def _listed(found: exp.In) -> exp.Expr | None:
    """The parameter whose elements are the members (``IN (SELECT unnest($p::BIGINT[]))``)."""
    query = found.args.get("query")
    inner = None if query is None else query.this
    if isinstance(inner, exp.Select) and inner.args.get("from_") is None:
        listed: exp.Expr | None = inner.expressions[0].unalias().find(exp.Cast)
        return listed
    return None


def _name_stars(select: exp.Select) -> None:
    """``*`` means the columns of the one table that is read, not of what is joined to it."""
    for column in tuple(select.expressions):
        if isinstance(column, exp.Star):
            column.replace(exp.Column(this=exp.Star(), table=exp.to_identifier(_source(select))))


def places_nested(query: exp.Select) -> exp.Select:
    """Give rows their place in a nested query and choose outside: Spark 4.0 knows no ``QUALIFY``."""
    for number, select in enumerate(_inner_first(query), start=1):
        chosen = select.args.get("qualify")
        if chosen is not None:
            select.set("qualify", None)
            read = select.args["from_"].this
            table = read.name if isinstance(read, exp.Table) else "rows"
            ranked = _ranked(select, chosen.this, f"place_{number}_in_{table}")
            query = ranked if select is query else query
    return query


def _ranked(select: exp.Select, chosen: exp.Expr, name: str) -> exp.Select:
    """Put a query around one, that keeps the rows of the chosen place."""
    window = chosen.find(exp.Window)
    if window is None:
        raise TypeError("rows are chosen by their place")
    outer = exp.select(*(_outside(column) for column in select.expressions))
    window.replace(exp.column(name))
    outer = outer.where(chosen, copy=False)
    select.replace(outer)
    select.select(exp.alias_(window, name), copy=False)
    return outer.from_(select.subquery(f"ranked_{name}", copy=False), copy=False)


def _outside(column: exp.Expr) -> exp.Expr:
    return exp.Star() if column.is_star else exp.column(column.alias_or_name)


def words_of_spark(query: exp.Select) -> exp.Select:
    """Say in Spark's words what has another name there."""
    for node in tuple(query.find_all(*_WORDS)):
        said = _WORDS[type(node)](node)
        if said is not node:
            node.replace(said)
    return query


def _called(node: exp.Expr) -> exp.Expr:
    """Functions of DuckDB that Spark names otherwise, or lacks."""
    name = node.name.lower()
    if name in _PICKS:
        return exp.Anonymous(this=_PICKS[name], expressions=node.expressions)
    if name == "isfinite":
        infinity = exp.cast(exp.Literal.string("infinity"), exp.DType.DOUBLE)
        return exp.LT(this=exp.Abs(this=node.expressions[0]), expression=infinity)
    return node


_PICKS = {"arg_min_null": "min_by", "arg_max_null": "max_by"}


def _days(node: exp.Expr) -> exp.Expr:
    """``days_between``: a difference of dates is no number in Spark."""
    apart = node.this.unnest()
    if isinstance(apart, exp.Sub) and node.is_type(exp.DType.BIGINT):
        node.set("this", exp.Anonymous(this="datediff", expressions=[apart.this, apart.expression]))
    return node


def _is_among(node: exp.Expr) -> exp.Expr:
    """Listed values in a condition are joined; elsewhere they are looked through."""
    listed = _listed(node) if isinstance(node, exp.In) else None
    if listed is None or isinstance(node.find_ancestor(exp.Where, exp.Select), exp.Where):
        return node
    return exp.Anonymous(this="array_contains", expressions=[listed, node.this])


def _of_several(node: exp.Expr) -> exp.Expr:
    """The least of one value is the value; Apache Spark wants two."""
    return node if node.expressions else node.this


def _unmarked(node: exp.Expr) -> exp.Expr:
    """Whether a nested query is computed once is for DuckDB alone to be told."""
    node.set("materialized", None)
    return node


_WORDS: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Anonymous: _called,
    exp.Cast: _days,
    exp.In: _is_among,
    exp.Least: _of_several,
    exp.CTE: _unmarked,
}


def _escaped(query: exp.Select, values: Mapping[str, Any]) -> dict[str, Any]:
    """Spark takes a backslash of a pattern as an escape, DuckDB as a letter."""
    patterns = {
        place.name for like in query.find_all(exp.Like) for place in like.expression.find_all(exp.Placeholder)
    }
    return {
        name: value.replace("\\", "\\\\") if name in patterns else value for name, value in values.items()
    }


PASSES: tuple[Pass, ...] = (
    rows_numbered,
    joins_spelt_out,
    memberships_joined,
    places_nested,
    words_of_spark,
)
