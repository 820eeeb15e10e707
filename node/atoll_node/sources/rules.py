"""Turn the checked parts of a mapping into SQL values and checks over a table of texts."""

import hashlib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, replace

from atoll_node.sources import duck
from atoll_node.sources.defects import CODE, DATE, INTEGER, OVERFLOW
from atoll_node.sources.formats import DATE_FORMATS, shape_of
from atoll_node.sources.mapping import EACH, Each, FieldSource, FileSpec, RecordSpec, Scalar
from atoll_node.sources.texts import Texts
from atoll_node.sources.units import conversion
from atoll_node.sources.values import Check, Value, from_text, number, present
from atoll_schemas.tables import Content, Datatype, Field, Table

_MOST_DAYS = 100_000


@dataclass(frozen=True)
class Rule:
    """What one kind of record (and one ``each`` column) asks of a file's texts."""

    table: Table
    values: dict[str, Value]
    where: str
    """Which rows yield a record."""
    first: tuple[Check, ...]


def rules_of(table: Table, record: RecordSpec, file: FileSpec, texts: Texts, name: str) -> tuple[Rule, ...]:
    """Return one rule, or one per ``each`` column. ``name`` enters the keys of the records."""
    columns = _Columns(file, texts)
    if not record.each:
        return (_rule(table, record, None, columns, name),)
    return tuple(_rule(table, record, entry, columns, f"{name}/{entry.column}") for entry in record.each)


def _rule(table: Table, record: RecordSpec, entry: Each | None, columns: "_Columns", name: str) -> Rule:
    if entry is not None:
        columns = replace(columns, each=entry.column)
    sources = {**record.fields, **(entry.fields if entry is not None else {})}
    values = {field.name: columns.value(field, sources[field.name]) for field in table.fields
              if field.name in sources}  # fmt: skip
    values = {**_made(table, name), **_units(table, sources), **values}
    where, first = _conditions(record, columns)
    if entry is not None:
        where = [*where, f"{columns.text(EACH)} IS NOT NULL"]
    return Rule(table, values, " AND ".join(where) or "true", tuple(first))


def _made(table: Table, name: str) -> dict[str, Value]:
    """Return the fields that need no mapping: keys, and 0 (“no matching concept”) for required concepts."""
    made: dict[str, Value] = {}
    for field in table.fields:
        if field.person_key:
            made[field.name] = Value("person_id")
        elif field.primary_key:
            made[field.name] = Value(stable_number(duck.text(f"{name}|") + " || row_key"))
        elif field.required and field.content is Content.CONCEPT:
            made[field.name] = Value("0")
    return made


def _units(table: Table, sources: MappingType[str, FieldSource | str]) -> dict[str, Value]:
    """Return the unit of a converted number, where the table has a field for it."""
    if not table.has("unit_source_value"):
        return {}
    units = [source.to or source.unit for source in sources.values() if isinstance(source, FieldSource)]
    unit = next((unit for unit in units if unit is not None), None)
    return {} if unit is None else {"unit_source_value": Value(duck.text(unit))}


def stable_number(text: str) -> str:
    """Return a BIGINT in SQL that is always the same for the same text: 60 bits of its SHA-256."""
    return f"CAST('0x' || substr(sha256({text}), 1, 15) AS BIGINT)"


def person_number(source_id: str) -> int:
    """Return the number by which a flat source's person stands in the staged records."""
    return int(hashlib.sha256(f"person|{source_id}".encode()).hexdigest()[:15], 16)


def _conditions(record: RecordSpec, columns: "_Columns") -> tuple[list[str], list[Check]]:
    where: list[str] = []
    checks: list[Check] = []
    for condition in record.when:
        text = columns.text(condition.column)
        if condition.present is not None:
            where.append(f"{text} IS {'NOT ' if condition.present else ''}NULL")
            continue
        wanted = f"coalesce({text}, '') IN ({_listed(condition.equals)})"
        if condition.otherwise is None:
            where.append(wanted)
        else:
            where.append(f"coalesce({text}, '') NOT IN ({_listed(condition.otherwise)})")
            checks.append(Check(f"NOT ({wanted})", condition.column, CODE))
    return where, checks


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(duck.text(text) for text in texts) or "NULL"


def _literal(value: Scalar) -> str:
    return duck.text(value) if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class _Columns:
    """The columns of one file by the names that the mapping uses."""

    file: FileSpec
    texts: Texts
    each: str | None = None

    def text(self, column: str) -> str:
        """Return the trimmed text of a column, NULL where it stands for a missing value."""
        name = self.each if column == EACH and self.each is not None else column
        place = self.texts.header.index(name)
        return present(self.texts.column(place), self.file.absent)

    def value(self, field: Field, source: FieldSource | str) -> Value:
        """Return a field's value and its checks."""
        if isinstance(source, str):
            source = FieldSource(column=source)
        if source.constant is not None:
            return Value(_literal(source.constant))
        if source.year_of is not None:
            return self._year(field, source)
        text = self.text(source.column or EACH)
        if source.values:
            return _coded(field, text, source)
        if field.datatype in (Datatype.DATE, Datatype.TIMESTAMP):
            return self._moment(field, text, source)
        if field.datatype is Datatype.DOUBLE:
            return self._number(field, text, source)
        return from_text(field, text)

    def _number(self, field: Field, text: str, source: FieldSource) -> Value:
        plain = f"replace({text}, ',', '.')" if self.file.decimal == "," else text
        value = number(field.name, plain)
        if source.unit is None or source.to is None or source.unit == source.to:
            return value
        factor, offset = conversion(source.unit, source.to)
        return Value(f"(({value.sql}) * {factor!r} + {offset!r})", value.checks)

    def _day(self, field: str, text: str, source: FieldSource) -> Value:
        pattern = DATE_FORMATS[source.date_format or self.file.date_format]
        value = (
            f"(CASE WHEN regexp_full_match({text}, {duck.text(shape_of(pattern))}) "
            f"THEN try_strptime({text}, {duck.text(pattern)}) END)"
        )
        return Value(value, (Check(f"{text} IS NOT NULL AND {value} IS NULL", field, DATE),))

    def _moment(self, field: Field, text: str, source: FieldSource) -> Value:
        day = self._day(field.name, text, source)
        if source.plus_days is None:
            return Value(f"CAST({day.sql} AS {field.datatype.duckdb})", day.checks)
        days = self._whole(field.name, source.plus_days)
        value = f"CAST({day.sql} + to_days(CAST({days.sql} AS INTEGER)) AS {field.datatype.duckdb})"
        return Value(value, day.checks + days.checks)

    def _whole(self, field: str, source: str | int) -> Value:
        """Return a small whole number: days or years."""
        if isinstance(source, int):
            return Value(repr(source))
        text = self.text(source)
        value = f"TRY_CAST(regexp_replace({text}, '\\.0*$', '') AS BIGINT)"
        bounded = f"(CASE WHEN {value} BETWEEN -{_MOST_DAYS} AND {_MOST_DAYS} THEN {value} END)"
        shape = duck.text(r"[+-]?[0-9]+(\.0*)?")
        return Value(
            bounded,
            (
                Check(f"NOT regexp_full_match({text}, {shape})", field, INTEGER),
                Check(f"{text} IS NOT NULL AND {bounded} IS NULL", field, OVERFLOW),
            ),
        )

    def _year(self, field: Field, source: FieldSource) -> Value:
        day = self._day(field.name, self.text(source.year_of or ""), source)
        minus = self._whole(field.name, source.minus if source.minus is not None else 0)
        return Value(f"(year({day.sql}) - ({minus.sql}))", day.checks + minus.checks)


def _coded(field: Field, text: str, source: FieldSource) -> Value:
    cases = " ".join(
        f"WHEN {duck.text(code)} THEN {_literal(value)}" for code, value in source.values.items()
    )
    otherwise = "NULL" if source.otherwise is None else _literal(source.otherwise)
    value = f"(CASE WHEN {text} IS NULL THEN NULL ELSE CASE {text} {cases} ELSE {otherwise} END END)"
    if source.otherwise is not None:
        return Value(value)
    return Value(value, (Check(f"{text} NOT IN ({_listed(tuple(source.values))})", field.name, CODE),))
