"""Read what a batch of cohorts needs of one block of persons: one statement a table for all of them."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from atoll_node.engine.arrays.columns import NO_KEY, Periods, Persons, Records, sorted_records
from atoll_node.engine.arrays.days import FARTHEST, NO_DAY, Truth, Whole, is_first, ordered
from atoll_node.engine.arrays.streams import Block, Flag, flag_of
from atoll_node.engine.facts import (
    counted_sql,
    dates_of,
    filters_sql,
    joins_sql,
    matches_sql,
    tables_read,
)
from atoll_node.engine.plan import CodeMatch, Cohort, Counted, DrugEraEnd, Events
from atoll_node.engine.sources import SOURCES, Source
from atoll_node.engine.sql import Binder, Statement, quoted
from atoll_node.errors import EngineError


class Reads(Protocol):
    """What scans need of a session."""

    def numbers(self, statement: Statement) -> Mapping[str, Any]: ...


@dataclass(eq=False)
class Wanted:
    """What a batch wants of one domain."""

    everything: bool = False
    concepts: set[int] = field(default_factory=set)
    source_concepts: set[int] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    coded: dict[CodeMatch, None] = field(default_factory=dict)
    flags: dict[Flag, None] = field(default_factory=dict)
    values: dict[str, None] = field(default_factory=dict)
    by_source: bool = False

    def add(self, events: Events) -> None:
        """Want what one criterion reads."""
        flag = flag_of(events)
        if flag is not None:
            self.flags[flag] = None
        for match in events.matches:
            self.by_source |= not match.standard
            if match.source_codes:
                self.coded[match] = None
        if not events.matches:
            self.everything = True
            return
        match = events.matches[0]
        (self.concepts if match.standard else self.source_concepts).update(match.concept_ids)
        self.codes.update(match.source_codes)


@dataclass(frozen=True, eq=False)
class Needs:
    """What a batch of cohorts reads: per domain, and the tables behind it."""

    domains: Mapping[str, Wanted]
    tables: frozenset[str]


def needs_of(cohorts: Iterable[Cohort]) -> Needs:
    """Return what the cohorts read, each thing once."""
    domains: dict[str, Wanted] = {}
    tables = {"person", "observation_period"}
    seen: set[Events] = set()
    for events in _all_events(cohorts):
        if events not in seen:
            seen.add(events)
            domains.setdefault(events.domain, Wanted()).add(events)
            tables |= tables_read(events)
    for counted in _all_of(cohorts, Counted):
        name = counted.distinct
        if name is not None and counted_sql(name, SOURCES[counted.events.domain]) is not None:
            domains[counted.events.domain].values[name] = None
    return Needs(domains, frozenset(tables))


def _all_events(cohorts: Iterable[Cohort]) -> Iterator[Events]:
    yield from _all_of(cohorts, Events)
    for end in _all_of(cohorts, DrugEraEnd):
        yield from (Events("drug", (match,)) for match in end.matches)


def _all_of(parts: Iterable[Any], kind: type[Any]) -> Iterator[Any]:
    stack = list(parts)
    while stack:
        item = stack.pop()
        if isinstance(item, kind):
            yield item
        if isinstance(item, tuple):
            stack.extend(item)
        elif is_dataclass(item) and not isinstance(item, CodeMatch):
            stack.extend(getattr(item, part.name) for part in fields(item))


@dataclass(frozen=True)
class PersonRange:
    """Person ids, both ends included."""

    low: int
    high: int


EVERYBODY = PersonRange(-(2**63), 2**63 - 1)


def read_block(needs: Needs, persons: PersonRange, session: Reads, pool: Executor) -> Block:
    """Return the columns of the persons of a range; the tables are read side by side.

    A kind of records that cannot be read is named in ``unread``, so that only who needs it fails.
    """
    periods = read_periods(persons, session)
    facts = pool.submit(read_persons, persons, periods.ids, session)
    found = {
        name: pool.submit(read_records, name, wanted, persons, periods.ids, session)
        for name, wanted in needs.domains.items()
    }
    read: dict[str, Records] = {}
    unread: dict[str, EngineError] = {}
    for name, records in found.items():
        try:
            read[name] = records.result()
        except EngineError as error:
            unread[name] = error
    return Block(periods, facts.result(), read, unread)


def read_periods(persons: PersonRange, session: Reads) -> Periods:
    """Return the observation periods of a range of persons."""
    binder = Binder()
    found = session.numbers(
        binder.statement(
            f"SELECT person_id, {_day('observation_period_start_date')} AS start, "
            f"{_day('observation_period_end_date')} AS until FROM observation_period "
            f"WHERE {_within('person_id', persons, binder)} AND observation_period_start_date IS NOT NULL "
            "AND observation_period_end_date IS NOT NULL"
        )
    )
    owner, start, until = found["person_id"], found["start"], found["until"]
    if not (owner[1:] > owner[:-1]).all():
        order = ordered(owner, start, until)
        owner, start, until = owner[order], start[order], until[order]
    first = is_first(owner)
    person = (np.cumsum(first) - 1).astype(np.int32)
    return Periods(owner[first], person, _near(start), _near(until))


def _day(value: str) -> str:
    """The number of a day, NULL where it is unknown."""
    return f"({value} - DATE '1970-01-01')::INTEGER"


def _near(days: Whole) -> Whole:
    """Count a day beyond the farthest as this one; unknown days stay unknown."""
    far = (days < -FARTHEST) | (days > FARTHEST)
    if not far.any():
        return days
    return np.where(days == NO_DAY, NO_DAY, np.clip(days, -FARTHEST, FARTHEST)).astype(np.int32)


def _within(field_name: str, persons: PersonRange, binder: Binder) -> str:
    if persons == EVERYBODY:
        return f"{field_name} IS NOT NULL"
    return f"{field_name} BETWEEN {binder.bind(persons.low)} AND {binder.bind(persons.high)}"


def read_persons(persons: PersonRange, ids: Whole, session: Reads) -> Persons:
    """Return facts of the persons who have an observation period."""
    binder = Binder()
    found = session.numbers(
        binder.statement(
            f"SELECT person_id, coalesce(year_of_birth, {NO_DAY})::INTEGER AS born, "
            + ", ".join(
                f"coalesce({name}_concept_id, {_UNKNOWN}) AS {name}"
                for name in ("gender", "race", "ethnicity")
            )
            + f" FROM person WHERE {_within('person_id', persons, binder)}"
        )
    )
    place, member = places(ids, found["person_id"])
    known = np.zeros(len(ids), dtype=bool)
    known[place] = True

    def column(name: str, unknown: int) -> Whole:
        values = np.full(len(ids), unknown, dtype=np.int64)
        values[place] = found[name][member]
        return values

    return Persons(
        known, column("born", NO_DAY), *(column(name, NO_KEY) for name in ("gender", "race", "ethnicity"))
    )


_UNKNOWN = "-9223372036854775808"


def places(ids: Whole, persons: Whole) -> tuple[Whole, Whole | slice]:
    """Return the row numbers of persons who have one, and where these persons stand; in any order."""
    if not len(ids):
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    span = int(ids[-1]) - int(ids[0]) + 1
    if span <= 8 * len(ids) + 1_000_000:
        return _places_by_table(ids, persons, span)
    if _same(ids, persons):
        return np.arange(len(ids), dtype=np.int32), slice(None)
    order = np.argsort(persons)
    ordered = persons[order]
    if _same(ids, ordered):
        return np.arange(len(ids), dtype=np.int32), order
    place = np.minimum(np.searchsorted(ids, ordered), len(ids) - 1).astype(np.int32)
    held = ids[place] == ordered
    return place[held], order[held]


def _same(ids: Whole, persons: Whole) -> bool:
    return len(ids) == len(persons) and bool((ids == persons).all())


def _places_by_table(ids: Whole, persons: Whole, span: int) -> tuple[Whole, Whole | slice]:
    table = np.full(span, -1, dtype=np.int32)
    table[ids - ids[0]] = np.arange(len(ids), dtype=np.int32)
    inside = (persons >= ids[0]) & (persons <= ids[-1])
    member = slice(None) if inside.all() else np.flatnonzero(inside)
    place = table[persons[member] - ids[0]]
    held = place >= 0
    if held.all():
        return place, member
    return place[held], np.flatnonzero(held) if isinstance(member, slice) else member[held]


def read_records(name: str, wanted: Wanted, persons: PersonRange, ids: Whole, session: Reads) -> Records:
    """Return what is wanted of one kind of records."""
    found = session.numbers(scan_statement(SOURCES[name], wanted, persons))
    place, member = places(ids, found["person_id"])
    columns = {key: values[member] for key, values in found.items()}
    del columns["person_id"]
    columns["start"] = _near(columns["start"])
    columns = dict(sorted_records({**columns, "person": place}))
    flags: dict[object, Truth] = {flag: columns[f"f{number}"] for number, flag in enumerate(wanted.flags)}
    flags |= {match: columns[f"c{number}"] for number, match in enumerate(wanted.coded)}
    values = {value: columns[f"v{number}"] for number, value in enumerate(wanted.values)}
    return Records(
        person=columns["person"],
        start=columns["start"],
        end=_near(columns["until"]),
        record=columns["record"],
        visit=columns["visit"],
        concept=columns["concept"],
        source_concept=columns.get("source_concept"),
        flags=flags,
        values=values,
    )


def scan_statement(source: Source, wanted: Wanted, persons: PersonRange) -> Statement:
    """Return the statement that reads a kind's records with a truth value for each set of filters."""
    binder = Binder()
    columns = [
        f"{source.person} AS person_id",
        f"{_day(source.start)} AS start",
        f"coalesce({_day(source.end)}, {NO_DAY})::INTEGER AS until",
        f"{source.key}::BIGINT AS record",
        f"coalesce({source.visit or 'NULL::BIGINT'}, {_UNKNOWN}) AS visit",
        f"coalesce({source.concept or 'NULL::BIGINT'}, {_UNKNOWN}) AS concept",
        *_flags(source, wanted, binder),
    ]
    joins = joins_sql(source, (item for filters, _ in wanted.flags for item in filters))
    where = [f"{source.start} IS NOT NULL", _within(source.person, persons, binder)]
    if source.where is not None:
        where.append(source.where)
    if not wanted.everything:
        where.append(_any_wanted(source, wanted, binder))
    return binder.statement(
        f"SELECT {', '.join(columns)} FROM {quoted(source.table)} r {joins} WHERE {' AND '.join(where)}"
    )


def _flags(source: Source, wanted: Wanted, binder: Binder) -> Iterator[str]:
    if wanted.by_source:
        yield f"coalesce({source.source_concept or 'NULL::BIGINT'}, {_UNKNOWN}) AS source_concept"
    for number, (filters, shift) in enumerate(wanted.flags):
        held = filters_sql(filters, dates_of(source, shift), binder)
        yield f"coalesce({held}, FALSE) AS f{number}"
    for number, match in enumerate(wanted.coded):
        held = matches_sql(CodeMatch((), match.source_codes), source, binder)
        yield f"coalesce({held}, FALSE) AS c{number}"
    for number, value in enumerate(wanted.values):
        yield f"{_number(value, source)} AS v{number}"


def _number(value: str, source: Source) -> str:
    """A value to count once: a number as it is, a text by its hash."""
    found = counted_sql(value, source)
    if value == "image_study":
        return f"coalesce((hash({found}) >> 12)::DOUBLE, 'nan'::DOUBLE)"
    return f"coalesce({found}::DOUBLE, 'nan'::DOUBLE)"


def _any_wanted(source: Source, wanted: Wanted, binder: Binder) -> str:
    parts = (
        CodeMatch(tuple(sorted(wanted.concepts)), tuple(sorted(wanted.codes))),
        CodeMatch(tuple(sorted(wanted.source_concepts)), standard=False),
    )
    return f"({' OR '.join(matches_sql(part, source, binder) for part in parts)})"
