"""Emit the records of a domain as events: who, which record, from when to when, in which visit."""

from atoll_node.engine.plan import CodeMatch, Compare, Events, Filter, OneOf
from atoll_node.engine.sql import Binder, quoted
from atoll_schemas.tables import DOMAINS, DomainTable, core_1

_PERSON = {
    "age": "(year({event}.start_date) - p.year_of_birth)",
    "gender": "p.gender_concept_id",
    "race": "p.race_concept_id",
    "ethnicity": "p.ethnicity_concept_id",
}
_PLAIN_COMPARISONS = {"lt": "<", "lte": "<=", "eq": "=", "!eq": "<>", "gt": ">", "gte": ">="}
EVENT_COLUMNS = "person_id, record_id, start_date, end_date, visit_id, concept_id"


def events_sql(events: Events, binder: Binder) -> str:
    """Return a query that yields ``EVENT_COLUMNS``; a record without a start date is no event."""
    attributes = [item.attribute for item in events.filters]
    person = any(name in _PERSON for name in attributes)
    join = "JOIN person p ON p.person_id = e.person_id" if person else ""
    where = [filter_sql(item, "e", binder) for item in events.filters]
    if events.first:
        where.append("e.ordinal = 1")
    kept = f" WHERE {' AND '.join(where)}" if where else ""
    columns = ", ".join(f"e.{name}" for name in EVENT_COLUMNS.split(", "))
    return f"SELECT {columns} FROM ({_records(events, binder)}) e {join}{kept}"


def _records(events: Events, binder: Binder) -> str:
    domain = DOMAINS[events.domain]
    start = f"r.{quoted(domain.start_date)}"
    columns = [
        "r.person_id",
        f"r.{quoted(domain.key)} AS record_id",
        f"{start} AS start_date",
        f"{_end_date(domain, start)} AS end_date",
        f"{_visit(domain)} AS visit_id",
        f"{_concept(domain)} AS concept_id",
        *(f"r.{quoted(name)}" for name in _carried(events)),
    ]
    if events.first:
        order = f"{start}, r.{quoted(domain.key)}"
        columns.append(f"row_number() OVER (PARTITION BY r.person_id ORDER BY {order}) AS ordinal")
    where = [f"{start} IS NOT NULL", *(match_sql(match, domain, binder) for match in events.matches)]
    return f"SELECT {', '.join(columns)} FROM {quoted(domain.table)} r WHERE {' AND '.join(where)}"


def _carried(events: Events) -> list[str]:
    own = {"start_date", "end_date", *_PERSON}
    return sorted({item.attribute for item in events.filters} - own)


def _end_date(domain: DomainTable, start: str) -> str:
    """The end dates of the published Circe SQL: the record's own, else the day after its start."""
    if domain.end_date is None:
        return f"{start} + 1"
    end = f"r.{quoted(domain.end_date)}"
    if domain.table == "drug_exposure":
        return f"coalesce({end}, {start} + r.days_supply, {start} + 1)"
    if domain.table.endswith(("_era", "_period")):
        return end
    return f"coalesce({end}, {start} + 1)"


def _visit(domain: DomainTable) -> str:
    has_visit = core_1().table(domain.table).has("visit_occurrence_id")
    return "r.visit_occurrence_id" if has_visit else "NULL::BIGINT"


def _concept(domain: DomainTable) -> str:
    return "NULL::BIGINT" if domain.concept is None else f"r.{quoted(domain.concept)}"


def match_sql(match: CodeMatch, domain: DomainTable, binder: Binder) -> str:
    """Return whether the record ``r`` matches."""
    parts = []
    concept = domain.concept if match.standard else domain.source_concept
    if match.concept_ids and concept is not None:
        parts.append(f"r.{quoted(concept)} IN {binder.members(match.concept_ids)}")
    if match.source_codes and domain.source_value is not None:
        parts.append(f"r.{quoted(domain.source_value)} IN {binder.members(match.source_codes)}")
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def filter_sql(item: Filter, event: str, binder: Binder) -> str:
    """Return whether the event fulfils a filter; ``p`` is its person."""
    template = _PERSON.get(item.attribute)
    value = template.format(event=event) if template else f"{event}.{quoted(item.attribute)}"
    if isinstance(item, OneOf):
        return f"{value} IN {binder.members(item.concept_ids)}"
    return _compared(value, item, binder)


def _compared(value: str, item: Compare, binder: Binder) -> str:
    if item.op in _PLAIN_COMPARISONS:
        return f"{value} {_PLAIN_COMPARISONS[item.op]} {binder.bind(item.low)}"
    between = f"{value} BETWEEN {binder.bind(item.low)} AND {binder.bind(item.high)}"
    return f"NOT ({between})" if item.op == "!bt" else f"({between})"
