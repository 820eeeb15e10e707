"""Compile the rules into one SELECT per table. Text only: nothing here runs it, and no key is in it.

The SELECT reads the staged rows as ``s``, the person of a row as ``p`` and one key map per reference as
``k0``, ``k1``, …; ``duckdb_adapter`` makes these relations. A key map holds, by block ``n div 4``, the
pseudonyms of the block's four numbers. A row's own key stands in no other row, so that no map is made for
it: it comes out beside the fields, and ``duckdb_adapter`` puts its pseudonym in their midst.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, kind_of
from atoll_node.deidentify.rules import (
    CAPPED_AGE,
    CARE_SITE_DOMAIN,
    EARLIEST_YEAR,
    LATEST_YEAR,
    OLDEST_AGE,
    PERSON_DOMAIN,
    domain_field,
    is_fact,
    rule_for,
)
from atoll_schemas.tables import Content, Datatype, Field, Table

PERSONS = "atoll_persons"
"""source, pseudonym, shift, opted_out, last_date: one row per person of the batch."""
FACT_KINDS = (Kind.PERSON, Kind.CARE_SITE, Kind.RECORD)
KEPT_KEYS = "atoll_kept_keys"
"""Keys of rows of persons that stay, by table: how a linked row finds whether its owner stays."""
OPT_OUTS = "atoll_opt_outs"
"""Everybody who opted out, whether the batch has records of them or not."""
LEFT_OUT_KEYS = "atoll_left_out_keys"
"""Keys of rows of opted-out persons, whatever their table."""
OWN_KEY = "atoll_own_key"
"""The column of a row's own key as the hospital wrote it: no field of a table, so that no file gets it."""


def quoted(name: str) -> str:
    """Return a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Records:
    """The staged files of a table, and the fields that they have."""

    table: Table
    files: tuple[Path, ...]
    present: frozenset[str]

    @property
    def sql(self) -> str:
        """Return the relation of the records with every field of the table; what the source lacks is NULL."""
        listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in self.files)
        lacking = "".join(
            f", CAST(NULL AS {field.datatype.duckdb}) AS {quoted(field.name)}"
            for field in self.table.fields
            if field.name not in self.present
        )
        source = f"read_parquet([{listed}])"
        return f"(SELECT *{lacking} FROM {source})" if lacking else source


def key_map(kind: Kind) -> str:
    """Return the name of the map of references of one kind."""
    return f"atoll_keys_{kind}"


@dataclass(frozen=True)
class Lookup:
    """One identifier field of a table and the map that translates it."""

    field: Field
    kind: Kind
    alias: str
    own: bool = False
    """The row's own key."""

    @property
    def pseudonym(self) -> str:
        """Return the expression of a reference's pseudonym."""
        words = " ".join(f"WHEN {word} THEN {self.alias}.w{word}" for word in range(4))
        return f"CASE s.{quoted(self.field.name)} & 3 {words} END"

    @property
    def join(self) -> str:
        """Return the join that finds the map's row; a row's own key needs none."""
        if self.own:
            return ""
        return (
            f" LEFT JOIN {key_map(self.kind)} AS {self.alias} ON {self.alias}.block = {block_of(self.field)}"
        )


def block_of(field: Field, alias: str = "s") -> str:
    """Return the expression of ``n div 4``, rounded down for negative numbers too."""
    column = f"{alias}.{quoted(field.name)}"
    return f"({column} - ({column} & 3)) // 4"


def lookups(records: Records) -> tuple[Lookup, ...]:
    """Return how each identifier is translated; a fact's id has one lookup per kind it may be."""
    table = records.table
    wanted = (
        (field, kind)
        for field in table.fields
        if field.content is Content.KEY and field.name in records.present
        for kind in (FACT_KINDS if is_fact(table, field) else (kind_of(table, field),))
    )
    return tuple(
        Lookup(field, kind, f"k{number}", own=field.primary_key and len(table.primary_key) == 1)
        for number, (field, kind) in enumerate(wanted)
    )


@dataclass(frozen=True)
class Place:
    """A field in the SELECT under construction, with its lookups if it is an identifier."""

    table: Table
    field: Field
    policy: Policy
    lookups: tuple[Lookup, ...]

    @property
    def column(self) -> str:
        """Return the staged column."""
        return f"s.{quoted(self.field.name)}"


def _null(place: Place) -> str:
    return f"CAST(NULL AS {place.field.datatype.duckdb})"


def _kept(place: Place) -> str:
    return place.column


def _person(_: Place) -> str:
    return "p.pseudonym"


def _row_key(place: Place) -> str:
    found = {lookup.kind: lookup.pseudonym for lookup in place.lookups if not lookup.own}
    if not found:
        return _null(place)
    if not is_fact(place.table, place.field):
        return found[place.lookups[0].kind]
    return (
        f"CASE s.{quoted(domain_field(place.field))}"
        f" WHEN {PERSON_DOMAIN} THEN {found[Kind.PERSON]}"
        f" WHEN {CARE_SITE_DOMAIN} THEN {found[Kind.CARE_SITE]} ELSE {found[Kind.RECORD]} END"
    )


def _birth_year(place: Place) -> str:
    month, day = "coalesce(s.month_of_birth, 7)", "coalesce(s.day_of_birth, 1)"
    born = (
        f"CASE WHEN s.year_of_birth IS NULL THEN CAST(s.birth_datetime AS DATE)"
        f" WHEN s.year_of_birth BETWEEN {EARLIEST_YEAR} AND {LATEST_YEAR} THEN"
        f" coalesce(TRY(make_date(s.year_of_birth, {month}, {day})), make_date(s.year_of_birth, 7, 1)) END"
    )
    year, last = f"year({born} + p.shift)", "year(p.last_date + p.shift)"
    if not place.policy.cap_ages:
        return f"CAST({year} AS INTEGER)"
    capped = f"CASE WHEN {last} - {year} > {OLDEST_AGE} THEN {last} - {CAPPED_AGE} ELSE {year} END"
    return f"CAST({capped} AS INTEGER)"


def _shifted(place: Place) -> str:
    days = "p.shift" if place.field.datatype is Datatype.DATE else "to_days(p.shift)"
    return f"{place.column} + {days}"


def _code(place: Place) -> str:
    if place.field.datatype is not Datatype.VARCHAR:
        return place.column
    column = place.column
    broken = f"contains({column}, chr(10)) OR contains({column}, chr(13))"
    too_long = "" if place.field.length is None else f" OR length({column}) > {place.field.length}"
    return f"CASE WHEN {broken}{too_long} THEN NULL ELSE {column} END"


COMPILED: Mapping[str, Callable[[Place], str]] = {
    "direct_identifiers": _null,
    "person_pseudonyms": _person,
    "row_pseudonyms": _row_key,
    "safe_text": _kept,
    "free_text": _null,
    "birth_year": _birth_year,
    "birth_day": _null,
    "date_shift": _shifted,
    "lone_dates_kept": _kept,
    "lone_dates": _null,
    "codes": _code,
    "facts": _kept,
    "unknown": _null,
}
"""The SQL of each rule, by its name; a test compares the names with ``RULES``."""
_RE_KEYED = "row_pseudonyms"
_OF_OWN_COLUMN = frozenset({"safe_text", "date_shift", "lone_dates_kept", "codes", "facts"})
"""Rules whose result is NULL where the field's own column is."""


def select(records: Records, policy: Policy, *, opted_out: bool) -> str:
    """Return the SELECT of a table's de-identified rows; ``opted_out``: some persons are left out.

    Fields that are NULL in every row are left out of the columns. A row's own key is ``OWN_KEY``.
    """
    table, joined = records.table, lookups(records)
    columns = [
        f"{expression} AS {quoted(field.name)}"
        for field in table.fields
        if (expression := _expression(field, records, policy, joined)) is not None
    ]
    own = own_key(records, policy)
    if own is not None:
        columns.append(f"s.{quoted(own.field.name)} AS {OWN_KEY}")
    joins = "".join(lookup.join for lookup in joined)
    where = f" WHERE NOT {left_out(table)}" if opted_out else ""
    return f"SELECT {', '.join(columns) or 'NULL AS nothing'} FROM {relation(records)}{joins}{where}"


def own_key(records: Records, policy: Policy) -> Lookup | None:
    """Return how the rows' own key is translated, when they have one that becomes a pseudonym."""
    table = records.table
    own = (lookup for lookup in lookups(records) if lookup.own)
    return next((one for one in own if rule_for(table, one.field, policy).name == _RE_KEYED), None)


def _expression(field: Field, records: Records, policy: Policy, joined: Iterable[Lookup]) -> str | None:
    """Return a field's expression, or ``None`` when it is NULL in every row."""
    place = Place(records.table, field, policy, _of(field, joined))
    if field.name not in records.present and rule_for(place.table, field, policy).name in _OF_OWN_COLUMN:
        return None
    expression = _compiled(place)
    return None if expression == _null(place) else expression


def _of(field: Field, joined: Iterable[Lookup]) -> tuple[Lookup, ...]:
    return tuple(lookup for lookup in joined if lookup.field is field)


def _compiled(place: Place) -> str:
    return COMPILED[rule_for(place.table, place.field, place.policy).name](place)


def relation(records: Records) -> str:
    """Return the staged rows ``s`` with their person ``p`` where the table names one."""
    person = records.table.person_field
    if person is None:
        return f"{records.sql} AS s"
    return f"{records.sql} AS s LEFT JOIN {PERSONS} AS p ON p.source = s.{quoted(person)}"


def left_out(table: Table) -> str:
    """Return the condition that a row is, or might be, of an opted-out person."""
    if table.person_field is not None:
        return "coalesce(p.opted_out, false)"
    if table.link is not None:
        return (
            f"(s.{quoted(table.link.field)} IS NULL OR s.{quoted(table.link.field)} NOT IN"
            f" (SELECT key FROM {KEPT_KEYS} WHERE owner = '{table.link.table}'))"
        )
    if table.scope == "unlinked":
        return "(" + " OR ".join(_might_refer(table, field) for field in _own_references(table)) + ")"
    return "false"


def _own_references(table: Table) -> tuple[Field, ...]:
    return tuple(field for field in table.fields if field.content is Content.KEY and not field.primary_key)


def _might_refer(table: Table, field: Field) -> str:
    column = f"s.{quoted(field.name)}"
    record = f"coalesce({column} IN (SELECT key FROM {LEFT_OUT_KEYS}), false)"
    if not is_fact(table, field):
        return record
    persons = f"coalesce({column} IN (SELECT source FROM {OPT_OUTS}), false)"
    return (
        f"CASE s.{quoted(domain_field(field))} WHEN {PERSON_DOMAIN} THEN {persons}"
        f" WHEN {CARE_SITE_DOMAIN} THEN false ELSE {record} END"
    )
