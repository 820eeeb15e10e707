"""Turn text into typed values in SQL, and say for each value what may be wrong with it.

A check is an SQL condition over a record; the first that holds gives the record its defect.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from atoll_node.sources import duck
from atoll_node.sources.defects import DATE, DATE_RANGE, INTEGER, NUMBER, ORDER, OVERFLOW, REQUIRED
from atoll_schemas.tables import Datatype, Field, Table

EARLIEST = date(1800, 1, 1)
ABSENT = ("", "NA", "NULL", r"\N")
"""Texts that stand for a missing number, date or identifier; a text field is absent only when empty."""
MAY_LIE_AHEAD = frozenset(
    {
        "drug_exposure_end_date",
        "drug_exposure_end_datetime",
        "verbatim_end_date",
        "payer_plan_period_end_date",
    }
)
"""Ends that are planned: a prescription or a policy runs on after the day of the export."""
_INTEGER = r"[+-]?[0-9]+(\.0*)?"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_MOMENT = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T].*)?"
_COMPACT = r"[0-9]{8}"


@dataclass(frozen=True)
class Check:
    """A condition under which a record is not taken, the field at fault, and the code of the reason."""

    condition: str
    field: str | None
    code: str


@dataclass(frozen=True)
class Value:
    """A field's value in SQL and the checks of the text it comes from."""

    sql: str
    checks: tuple[Check, ...] = ()


def null() -> str:
    """Return the SQL of an absent value."""
    return "NULL"


def present(column: str, absent: tuple[str, ...] = ABSENT) -> str:
    """Return the trimmed text of a column, or NULL where it stands for a missing value."""
    listed = ", ".join(duck.text(item) for item in absent)
    return f"(CASE WHEN trim({column}) IN ({listed}) THEN NULL ELSE trim({column}) END)"


def typed(field: Field, column: str, decimal_comma: bool = False) -> Value:
    """Return the value of ``field`` from a text column written as the OMOP conventions ask."""
    if field.datatype is Datatype.VARCHAR:
        return Value(f"nullif({column}, '')")
    return from_text(field, present(column), decimal_comma)


def from_text(field: Field, text: str, decimal_comma: bool = False) -> Value:
    """Return the value of ``field`` from an SQL text that is NULL where absent."""
    match field.datatype:
        case Datatype.BIGINT | Datatype.INTEGER:
            return _integer(field, text)
        case Datatype.DOUBLE:
            return number(field.name, f"replace({text}, ',', '.')" if decimal_comma else text)
        case Datatype.DATE:
            return _moment(field, text, "DATE")
        case Datatype.TIMESTAMP:
            return _moment(field, text, "TIMESTAMP")
        case _:
            return Value(text)


def _integer(field: Field, text: str) -> Value:
    # A trailing .0 is how several tools write whole numbers of a column with gaps.
    digits = f"regexp_replace({text}, '\\.0*$', '')"
    value = f"TRY_CAST({digits} AS {field.datatype.duckdb})"
    return Value(
        value,
        (
            Check(f"NOT regexp_full_match({text}, {duck.text(_INTEGER)})", field.name, INTEGER),
            Check(f"{text} IS NOT NULL AND {value} IS NULL", field.name, OVERFLOW),
        ),
    )


def number(field: str, text: str) -> Value:
    """Return a finite number from text with a decimal point."""
    value = f"TRY_CAST({text} AS DOUBLE)"
    return Value(
        value,
        (
            Check(f"NOT regexp_full_match({text}, {duck.text(_NUMBER)})", field, NUMBER),
            Check(f"{text} IS NOT NULL AND coalesce(isinf({value}), true)", field, OVERFLOW),
        ),
    )


def _moment(field: Field, text: str, target: str) -> Value:
    value = (
        f"(CASE WHEN regexp_full_match({text}, {duck.text(_COMPACT)}) "
        f"THEN CAST(try_strptime({text}, '%Y%m%d') AS {target}) "
        f"WHEN regexp_full_match({text}, {duck.text(_MOMENT)}) THEN TRY_CAST({text} AS {target}) END)"
    )
    return Value(value, (Check(f"{text} IS NOT NULL AND {value} IS NULL", field.name, DATE),))


def record_checks(table: Table, today: date) -> tuple[Check, ...]:
    """Return the checks of a typed record, in the order of the table's fields."""
    single = tuple(check for field in table.fields for check in _field_checks(table, field, today))
    return single + _order_checks(table)


def _field_checks(table: Table, field: Field, today: date) -> tuple[Check, ...]:
    column = duck.name(field.name)
    checks: list[Check] = []
    if field.required and table.group != "metadata":
        checks.append(Check(f"{column} IS NULL", field.name, REQUIRED))
    if field.datatype is Datatype.DOUBLE:
        checks.append(Check(f"NOT isfinite({column})", field.name, OVERFLOW))
    if field.datatype in (Datatype.DATE, Datatype.TIMESTAMP) and table.group != "vocabulary":
        checks.append(Check(_out_of_range(field, column, today), field.name, DATE_RANGE))
    return tuple(checks)


def _out_of_range(field: Field, column: str, today: date) -> str:
    early = f"{column} < DATE '{EARLIEST.isoformat()}'"
    if field.name in MAY_LIE_AHEAD:
        return early
    last = today + timedelta(days=2)
    return f"({early} OR {column} >= DATE '{last.isoformat()}')"


def _order_checks(table: Table) -> tuple[Check, ...]:
    found: list[Check] = []
    for field in table.fields:
        end = field.name.replace("_start_date", "_end_date")
        if field.name.endswith("_start_date") and table.has(end) and table.group != "vocabulary":
            condition = f"{duck.name(end)} < {duck.name(field.name)}"
            found.append(Check(condition, end, ORDER))
    return tuple(found)
