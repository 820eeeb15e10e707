"""Plant a unique token in every column of a hospital's files, and say which tokens the lake keeps by rule.

One marked person carries the tokens; the others carry values that many share. Made from the table specs,
so that a new field is planted without a word here.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from atoll_schemas.tables import Content, Datatype, Field, Table, core_1

PERSONS = 40
MARKED = 17
"""The place of the person who carries the tokens."""
KEPT_CONTENT = frozenset({Content.CONCEPT, Content.CODE, Content.NUMBER})
"""Codes and facts stay in the lake as they were written (docs/reference/deidentification.md)."""
NOT_UNIQUE = frozenset(
    {
        "gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth", "term_exists", "trial_code",
        "arm_code",
    }
)  # fmt: skip
"""Fields in which nothing can be unique: a month, one letter, or what the cohorts ask for."""
_SHARED_DAY = date(2015, 3, 2)
_FIRST_DAY = date(1921, 1, 7)
_APART = timedelta(days=367)
"""Farther apart than two shifts, so that no shifted date is another token."""

Value = str | int | float | date | datetime


@dataclass(frozen=True)
class Token:
    """One planted value: where it stands, what it is, and whether the lake may hold it."""

    place: str
    value: Value
    kept: bool = False


def tables() -> tuple[Table, ...]:
    """Return every table whose rows are about one person."""
    return tuple(table for table in core_1().tables if table.scope in ("person", "linked"))


def omop_tokens() -> dict[str, Token]:
    """Return the token of every column, by ``table.field``."""
    found: dict[str, Token] = {}
    days = _days()
    for table in tables():
        for field in table.fields:
            place = f"{table.name}.{field.name}"
            value = _value(place, field, days)
            if value is not None:
                found[place] = Token(place, value, field.content in KEPT_CONTENT)
    return found


def _days() -> Iterator[date]:
    day = _FIRST_DAY
    while True:
        yield day
        day += _APART


def _value(place: str, field: Field, days: Iterator[date]) -> Value | None:
    number = int.from_bytes(hashlib.sha256(place.encode()).digest()[:4], "big")
    if field.content is Content.PERSON_KEY or (field.content is Content.KEY and _refers(field)):
        return None  # The persons' numbers are tokens by themselves, and references carry their rows' ones.
    if field.name in NOT_UNIQUE:
        return None
    match field.datatype:
        case Datatype.BIGINT:
            return 731_000_000_000_000 + number
        case Datatype.INTEGER:
            return 1_300_000_000 + number % 100_000_000
        case Datatype.DOUBLE:
            return 31_000_000 + number % 1_000_000 + 0.8125
        case Datatype.DATE:
            return next(days)
        case Datatype.TIMESTAMP:
            return datetime.combine(next(days), time(number % 23, number % 59, 41))
        case Datatype.VARCHAR:
            return text_token(place)[: field.length or 16]


def _refers(field: Field) -> bool:
    return field.foreign_table in {table.name for table in tables()}


def text_token(place: str) -> str:
    """Return a word that stands nowhere else."""
    return "Zq" + hashlib.sha256(place.encode()).hexdigest()[:8].translate(str.maketrans("01", "xy"))


def person_number(place: int) -> int:
    """Return the hospital's number of a person; every one of them is a token."""
    return 640_000_000_000_000 + place * 7_919


def person_tokens() -> tuple[Token, ...]:
    """Return the hospital's numbers of all persons."""
    return tuple(Token("person.person_id", person_number(place)) for place in range(PERSONS))


def write_omop(folder: Path, tokens: dict[str, Token]) -> None:
    """Write one CSV per table, with a row per person; the marked person's row holds the tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables():
        rows = [_row(table, place, tokens) for place in range(PERSONS)]
        with (folder / f"{table.name}.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, fieldnames=list(table.names))
            writer.writeheader()
            writer.writerows(rows)


def _row(table: Table, place: int, tokens: dict[str, Token]) -> dict[str, Any]:
    row = {field.name: _plain(table, field, place) for field in table.fields}
    if place == MARKED:
        for field in table.fields:
            token = tokens.get(f"{table.name}.{field.name}")
            if token is not None:
                row[field.name] = token.value
        # Keys that references name: the referring rows of the marked person follow.
        for field in table.fields:
            token = tokens.get(f"{field.foreign_table}.{field.foreign_field}")
            if token is not None and field.content is Content.KEY:
                row[field.name] = token.value
        _in_order(table, row)
    return row


def _in_order(table: Table, row: dict[str, Any]) -> None:
    for field in table.fields:
        end = field.name.replace("_start_date", "_end_date")
        if field.name.endswith("_start_date") and table.has(end) and row[end] < row[field.name]:
            row[end], row[field.name] = row[field.name], row[end]


def _plain(table: Table, field: Field, place: int) -> Any:
    """Return a value that says nothing of one person beyond what cohorts need."""
    special = _special(field, place)
    if special is not None:
        return special
    match field.datatype:
        case Datatype.BIGINT | Datatype.INTEGER:
            return _number(field, place)
        case Datatype.DOUBLE:
            return 50 + place % 7
        case Datatype.DATE | Datatype.TIMESTAMP:
            return _day(field, place)
        case Datatype.VARCHAR:
            return "S" if field.length == 1 else "SHARED"


def _special(field: Field, place: int) -> Any:
    if field.content is Content.PERSON_KEY:
        return person_number(place)
    return {
        "gender_concept_id": 8507 + 25 * (place % 2),
        "year_of_birth": 1950 + place % 20,
        "month_of_birth": 5,
        "day_of_birth": 9,
        "trial_code": "T1",
        "arm_code": "AB"[place // 2 % 2],
        "observation_period_start_date": date(2014, 1, 1),
        "observation_period_end_date": date(2019, 6, 1) + timedelta(days=place),
    }.get(field.name)


def _number(field: Field, place: int) -> int:
    if field.content is Content.KEY or field.primary_key:
        return 1_000 + place
    return 4_180_790 if field.content is Content.CONCEPT else 3


def _day(field: Field, place: int) -> date | datetime:
    day = _SHARED_DAY
    if field.name in ("death_date", "death_datetime"):
        day = _SHARED_DAY + timedelta(days=100 + 20 * place)
    return datetime.combine(day, time(8)) if field.datatype is Datatype.TIMESTAMP else day


FLAT_HEADER = ("mrn", "name", "phone", "birth", "seen", "last", "lab", "note", "sex", "tumour")
MAPPING = """
format = "atoll-mapping@1"
[vocabularies]
LOCAL = "codes of a made-up hospital"
[[files]]
name = "patients"
path = "{file}"
person = "mrn"
key = ["mrn"]
delimiter = ";"
encoding = "utf-8"
date_format = "dd.mm.yyyy"
[[records]]
file = "patients"
table = "person"
[records.fields]
person_source_value = "mrn"
gender_concept_id = {{ column = "sex", values = {{ "M" = 8507, "F" = 8532 }} }}
gender_source_value = "sex"
year_of_birth = {{ year_of = "birth" }}
[[records]]
file = "patients"
table = "observation_period"
[records.fields]
observation_period_start_date = "seen"
observation_period_end_date = "last"
[[records]]
file = "patients"
table = "condition_occurrence"
vocabulary = "LOCAL"
[records.fields]
condition_start_date = "seen"
condition_concept_id = {{ constant = 4180790 }}
condition_source_value = "tumour"
stop_reason = "name"
[[records]]
file = "patients"
table = "measurement"
vocabulary = "LOCAL"
[records.fields]
measurement_date = "seen"
measurement_source_value = {{ constant = "CEA" }}
value_as_number = "lab"
[[records]]
file = "patients"
table = "note"
[records.fields]
note_date = "seen"
note_text = "note"
note_title = "phone"
"""


@dataclass(frozen=True)
class FlatFile:
    """A flat export: its tokens, and the defects that a careless hospital would send."""

    path: Path
    tokens: tuple[Token, ...]


def write_flat(folder: Path) -> FlatFile:
    """Write a flat file in which every person carries tokens, then records that cannot be taken."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{text_token('flat file name')}.csv"
    tokens = [Token("flat file name", text_token("flat file name"))]
    rows = []
    for place in range(PERSONS):
        row = _flat_row(place)
        rows.append(row)
        tokens += [Token(f"flat.{name}", row[name], name == "lab") for name in FLAT_HEADER[:8]]
    for broken in _broken_rows():
        rows.append(broken)
        tokens += [Token("broken", value) for value in broken.values() if value.startswith("Zq")]
    lines = [";".join(row[name] for name in FLAT_HEADER) for row in rows]
    lines.append(f"{text_token('ragged a')};{text_token('ragged b')}")
    tokens += [Token("ragged", text_token("ragged a")), Token("ragged", text_token("ragged b"))]
    file.write_text(";".join(FLAT_HEADER) + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return FlatFile(file, tuple(tokens))


def _flat_row(place: int) -> dict[str, str]:
    born = date(1931, 2, 3) + timedelta(days=367 * (place % 30) + place // 30)
    return {
        "mrn": text_token(f"mrn {place}"),
        "name": f"{text_token(f'given {place}')} {text_token(f'family {place}')}",
        "phone": f"+49{930_000_000_000 + place * 104_729}",
        "birth": f"{born:%d.%m.%Y}",
        "seen": "02.03.2015",
        "last": "01.06.2019",
        "lab": f"{710_000 + place * 7_919}.0625",
        "note": text_token(f"note {place}"),
        "sex": "MF"[place % 2],
        "tumour": "C18",
    }


def _broken_rows() -> tuple[dict[str, str], ...]:
    def broken(name: str, value: str) -> dict[str, str]:
        return {**_flat_row(0), "mrn": text_token(f"broken {name}"), name: value}

    return (
        broken("seen", text_token("bad date")),
        broken("lab", text_token("bad number")),
        broken("sex", text_token("bad sex")),
        broken("birth", "31.02.1931"),
        {**_flat_row(0), "note": text_token("doubled")},
    )
