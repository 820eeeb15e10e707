"""Emit the records of one kind as events: who, which record, from when to when, in which visit."""

from atoll_node.engine.facts import counted_sql, dates_of, filters_sql, joins_sql, matches_sql
from atoll_node.engine.plan import Events
from atoll_node.engine.sources import SOURCES
from atoll_node.engine.sql import Binder, quoted

EVENT_COLUMNS = "person_id, record_id, start_date, end_date, visit_id, concept_id, sort_date"


def events_sql(events: Events, binder: Binder, counted: str | None = None) -> str:
    """Return a query that yields ``EVENT_COLUMNS`` without a look at nested conditions.

    A record without a start date is no event. ``counted`` adds a column ``counted`` for a distinct count.
    """
    source = SOURCES[events.domain]
    dates = dates_of(source, events.shift)
    where = [f"{source.start} IS NOT NULL", *_kept(events, binder)]
    if events.filters:
        where.append(filters_sql(events.filters, dates, binder))
    if events.shift is not None:
        where.append(f"{dates.end} >= {dates.start}")
    extra = None if counted is None else counted_sql(counted, source)
    columns = [
        f"{source.person} AS person_id",
        f"{source.key} AS record_id",
        f"{_chosen(events.period[0], dates.start, binder)} AS start_date",
        f"{_chosen(events.period[1], dates.end, binder)} AS end_date",
        f"{source.visit or 'NULL::BIGINT'} AS visit_id",
        f"{source.concept or 'NULL::BIGINT'} AS concept_id",
        f"{dates.start} AS sort_date",
        *([f"{extra} AS counted"] if extra else []),
    ]
    records = _first(events, binder) if events.first else quoted(source.table)
    joins = joins_sql(source, events.filters)
    return f"SELECT {', '.join(columns)} FROM {records} r {joins} WHERE {' AND '.join(where)}"


def _kept(events: Events, binder: Binder) -> list[str]:
    """What a record must fulfil beside its filters; before the first is taken, where that is asked."""
    source = SOURCES[events.domain]
    where = [] if events.first else _matching(events, binder)
    for day in events.period:
        if day is not None:
            inside = binder.bind(day)
            where.append(f"{source.start} <= {inside} AND {source.end} >= {inside}")
    return where


def _matching(events: Events, binder: Binder) -> list[str]:
    source = SOURCES[events.domain]
    own = [] if source.where is None else [source.where]
    return own + [matches_sql(match, source, binder) for match in events.matches]


def _first(events: Events, binder: Binder) -> str:
    """The records of which each is its person's first of the concept set, by date and key."""
    source = SOURCES[events.domain]
    where = " AND ".join([f"{source.start} IS NOT NULL", *_matching(events, binder)])
    order = f"PARTITION BY {source.person} ORDER BY {source.start}, {source.key}"
    joins = joins_sql(source, ())
    return (
        f"(SELECT r.* FROM {quoted(source.table)} r {joins} WHERE {where} "
        f"QUALIFY row_number() OVER ({order}) = 1)"
    )


def _chosen(day: object, own: str, binder: Binder) -> str:
    return own if day is None else binder.bind(day)
