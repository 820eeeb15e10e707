"""Compile the rules into one SELECT per table. Text only: nothing here runs it, and no key is in it.

The SELECT reads the staged rows as ``s`` and the person of a row as ``p``; ``duckdb_adapter`` makes the table
of persons. An identifier that becomes a pseudonym comes out as it is, under a name that no field has, and
``duckdb_adapter`` puts its pseudonym in its place.
"""

from collections.abc import Callable, Mapping
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
_GIVEN = "atoll_given_"
"""Begins the names of columns that hold the hospital's own numbers: no field, so that no file gets one."""
_KIND = "atoll_kind_"


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


@dataclass(frozen=True)
class Keyed:
    """An identifier that becomes a pseudonym: the columns of the SELECT that tell its number and its kind."""

    field: Field
    kinds: tuple[Kind, ...]
    """One, or for a fact's id those among which the row's domain chooses."""
    domain: str | None = None

    @property
    def given(self) -> str:
        """The column of the hospital's own number."""
        return _GIVEN + self.field.name

    @property
    def kind(self) -> str | None:
        """The column of the place in ``kinds``, where there are several."""
        return None if self.domain is None else _KIND + self.field.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the expressions of the columns."""
        given = f"s.{quoted(self.field.name)} AS {self.given}"
        if self.domain is None:
            return (given,)
        cases = f"WHEN {PERSON_DOMAIN} THEN 0 WHEN {CARE_SITE_DOMAIN} THEN 1 ELSE 2"
        return (given, f"CASE s.{quoted(self.domain)} {cases} END AS {self.kind}")


def keyed(records: Records, policy: Policy) -> tuple[Keyed, ...]:
    """Return the identifiers of a table that become pseudonyms."""
    table = records.table
    return tuple(
        Keyed(field, FACT_KINDS, domain_field(field))
        if is_fact(table, field)
        else Keyed(field, (kind_of(table, field),))
        for field in table.fields
        if field.name in records.present and rule_for(table, field, policy).name == _RE_KEYED
    )


@dataclass(frozen=True)
class Place:
    """A field in the SELECT under construction."""

    table: Table
    field: Field
    policy: Policy

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
    "row_pseudonyms": _null,
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
"""The SQL of each rule, by its name; a test compares the names with ``RULES``. Pseudonyms come later."""
_RE_KEYED = "row_pseudonyms"
_OF_OWN_COLUMN = frozenset({"safe_text", "date_shift", "lone_dates_kept", "codes", "facts"})
"""Rules whose result is NULL where the field's own column is."""


def select(records: Records, policy: Policy, *, opted_out: bool) -> str:
    """Return the SELECT of a table's de-identified rows; ``opted_out``: some persons are left out.

    Fields that are NULL in every row are left out of the columns. Of ``keyed`` fields the numbers come out.
    """
    table = records.table
    columns = [
        f"{expression} AS {quoted(field.name)}"
        for field in table.fields
        if (expression := _expression(field, records, policy)) is not None
    ]
    columns += [column for one in keyed(records, policy) for column in one.columns]
    where = f" WHERE NOT {left_out(table)}" if opted_out else ""
    return f"SELECT {', '.join(columns) or 'NULL AS nothing'} FROM {relation(records)}{where}"


def _expression(field: Field, records: Records, policy: Policy) -> str | None:
    """Return a field's expression, or ``None`` when it is NULL in every row."""
    place = Place(records.table, field, policy)
    if field.name not in records.present and rule_for(place.table, field, policy).name in _OF_OWN_COLUMN:
        return None
    expression = _compiled(place)
    return None if expression == _null(place) else expression


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
