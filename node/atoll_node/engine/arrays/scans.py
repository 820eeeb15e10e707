"""Read what a batch of cohorts needs of one block of persons: one statement a table for all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, Protocol, TypeGuard

import numpy as np

from atoll_node.engine.arrays.columns import NO_KEY, Periods, Persons, Records, sorted_records
from atoll_node.engine.arrays.conditions import compared
from atoll_node.engine.arrays.days import FARTHEST, NO_DAY, Truth, Whole, is_first, ordered, years
from atoll_node.engine.arrays.streams import Block, Flag, flag_of
from atoll_node.engine.facts import (
    counted_sql,
    dates_of,
    filters_sql,
    joins_sql,
    matches_sql,
    tables_read,
)
from atoll_node.engine.plan import CodeMatch, Cohort, Compare, Counted, DrugEraEnd, Events, Filter, Shift
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

    @property
    def plain(self) -> bool:
        """Whether every record is wanted, with its dates, key and concept and nothing else."""
        return self.everything and not (self.coded or self.flags or self.values or self.by_source)

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
    # First in the pool, so that none who waits for them keeps them from their turn.
    periods = pool.submit(read_periods, persons, session)
    facts = pool.submit(read_persons, persons, periods.result, session)

    def people() -> tuple[Periods, Persons]:
        return periods.result(), facts.result()

    found = {
        name: pool.submit(read_records, name, wanted, persons, people, session)
        for name, wanted in needs.domains.items()
    }
    read: dict[str, Records] = {}
    unread: dict[str, EngineError] = {}
    for name, records in found.items():
        try:
            read[name] = records.result()
        except EngineError as error:
            unread[name] = error
    return Block(periods.result(), facts.result(), read, unread)


def read_periods(persons: PersonRange, session: Reads) -> Periods:
    """Return the observation periods of a range of persons; one without an end bounds nothing."""
    source, binder = SOURCES["observation_period"], Binder()
    found = session.numbers(
        binder.statement(
            f"SELECT {source.person} AS person_id, {_day(source.start)} AS start, "
            f"coalesce({_day(source.end)}, {NO_DAY})::INTEGER AS until, {source.key}::BIGINT AS record, "
            f"coalesce({source.concept}, {_UNKNOWN}) AS concept FROM {quoted(source.table)} r "
            f"WHERE {_within(source.person, persons, binder)} AND {source.start} IS NOT NULL"
        )
    )
    ended = found["until"] != NO_DAY
    complete = bool(ended.all())
    if not complete:
        found = {name: values[ended] for name, values in found.items()}
    owner = found["person_id"]
    if not (owner[1:] > owner[:-1]).all():
        order = ordered(owner, found["start"], found["until"])
        found = {name: values[order] for name, values in found.items()}
        owner = found["person_id"]
    first = is_first(owner)
    person = (np.cumsum(first) - 1).astype(np.int32)
    own = {name: found[name] for name in ("record", "concept")} if complete else None
    return Periods(owner[first], person, _near(found["start"]), _near(found["until"]), own)


def _as_records(periods: Periods) -> Records | None:
    """Return the observation periods as records, unless some were left out."""
    if periods.own is None:
        return None
    columns = {"person": periods.person, "start": periods.start, "end": periods.end, **periods.own}
    return Records(
        **sorted_records(columns),
        visit=np.broadcast_to(np.int64(NO_KEY), len(periods.person)),
        source_concept=None,
        flags={},
        values={},
    )


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


def read_persons(persons: PersonRange, periods: Callable[[], Periods], session: Reads) -> Persons:
    """Return facts of the persons who have an observation period; ``periods`` may wait for these."""
    found = session.numbers(persons_statement(persons))
    return placed_persons(periods().ids, found)


def persons_statement(persons: PersonRange) -> Statement:
    """Return the statement that reads facts of a range of persons."""
    binder = Binder()
    return binder.statement(
        f"SELECT person_id, coalesce(year_of_birth, {NO_DAY})::INTEGER AS born, "
        + ", ".join(
            f"coalesce({name}_concept_id, {_UNKNOWN}) AS {name}" for name in ("gender", "race", "ethnicity")
        )
        + f" FROM person WHERE {_within('person_id', persons, binder)}"
    )


def placed_persons(ids: Whole, found: Mapping[str, Whole]) -> Persons:
    """Return the facts that were read of persons, for those who have an observation period."""
    place, member = places(ids, found["person_id"])
    return Persons(
        len(ids), place, {name: values[member] for name, values in found.items() if name != "person_id"}
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


def read_records(
    name: str,
    wanted: Wanted,
    persons: PersonRange,
    people: Callable[[], tuple[Periods, Persons]],
    session: Reads,
) -> Records:
    """Return what is wanted of one kind of records; ``people`` may wait, and is not read a second time."""
    own = _as_records(people()[0]) if name == "observation_period" and wanted.plain else None
    if own is not None:
        return own
    found = session.numbers(scan_statement(SOURCES[name], wanted, persons))
    periods, facts = people()
    place, member = places(periods.ids, found["person_id"])
    columns = {key: values[member] for key, values in found.items()}
    del columns["person_id"]
    columns["start"] = _near(columns["start"])
    columns["until"] = _near(columns["until"])
    columns = dict(sorted_records({**columns, "person": place}))
    flags: dict[object, Truth] = {
        flag: _of_age(columns[f"f{number}"], flag, columns, facts) for number, flag in enumerate(wanted.flags)
    }
    flags |= {match: columns[f"c{number}"] for number, match in enumerate(wanted.coded)}
    values = {value: columns[f"v{number}"] for number, value in enumerate(wanted.values)}
    return Records(
        person=columns["person"],
        start=columns["start"],
        end=columns["until"],
        record=columns["record"],
        visit=columns["visit"],
        concept=columns["concept"],
        source_concept=columns.get("source_concept"),
        flags=flags,
        values=values,
    )


def _of_age(held: Truth, flag: Flag, columns: Mapping[str, Whole], facts: Persons) -> Truth:
    """Return which of the records that are held were also of the age that a set of filters wants."""
    filters, shift = flag
    for item in filters:
        if _is_age(item):
            day = _shifted_day(columns, shift, "start" if item.attribute == "age" else "end")
            born = facts.born[columns["person"]]
            held = held & (day != NO_DAY) & (born != NO_DAY) & compared(years(day) - born, item)
    return held


def _shifted_day(columns: Mapping[str, Whole], shift: Shift | None, side: Literal["start", "end"]) -> Whole:
    """Return the event's first or last day, counted from the record's own days."""
    if shift is None:
        return columns["start" if side == "start" else "until"]
    since, days = (
        (shift.start_from, shift.start_days) if side == "start" else (shift.end_from, shift.end_days)
    )
    day = columns["start" if since == "start_date" else "until"]
    return np.where(day == NO_DAY, NO_DAY, day + np.int32(days)).astype(np.int32)


def _is_age(item: Filter) -> TypeGuard[Compare]:
    """Whether a filter looks at an age: years of birth are here already, so that no look-up is needed."""
    return isinstance(item, Compare) and item.attribute in {"age", "age_at_end"}


def _looked_up(filters: tuple[Filter, ...]) -> tuple[Filter, ...]:
    return tuple(item for item in filters if not _is_age(item))


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
    joins = joins_sql(source, (item for filters, _ in wanted.flags for item in _looked_up(filters)))
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
        held = filters_sql(_looked_up(filters), dates_of(source, shift), binder)
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
