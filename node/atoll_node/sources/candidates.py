"""Sort typed candidate records of one table into those that are staged and those in quarantine.

A candidate file holds ``record``, ``defect`` (0, or the 1-based place of the check that failed) and the
table's fields. It is written beside the texts that it came from, so that quarantine can keep the original.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from atoll_node.sources import duck
from atoll_node.sources.defects import DUPLICATE_HEADER, DUPLICATE_KEY
from atoll_node.sources.quarantine import QuarantineLog
from atoll_node.sources.texts import TextReader, Texts
from atoll_node.sources.values import Check, Value
from atoll_schemas.tables import Table

_FETCH = 10_000


@dataclass(frozen=True)
class Candidates:
    """The typed records of one table that one file (or one rule over a file) yields."""

    texts: Texts
    parquet: Path
    rows: int
    checks: tuple[Check, ...]


def candidate_select(
    table: Table,
    values: dict[str, Value],
    checks: tuple[Check, ...],
    source: str,
    first: tuple[Check, ...] = (),
) -> tuple[str, tuple[Check, ...]]:
    """Return the select that types ``source`` and numbers the first failed check, and all its checks.

    Checks of the text (``first``, then those of each value) come before ``checks``, which speak of the
    table's field names.
    """
    fields = ", ".join(
        f"CAST({values[field.name].sql if field.name in values else 'NULL'} AS {field.datatype.duckdb})"
        f" AS {duck.name(field.name)}"
        for field in table.fields
    )
    of_text = first + tuple(check for value in values.values() for check in value.checks)
    inner = f"SELECT record, {_first(of_text, 0)} AS of_text, {fields} FROM {source}"
    names = ", ".join(duck.name(field.name) for field in table.fields)
    defect = f"CASE WHEN of_text > 0 THEN of_text ELSE {_first(checks, len(of_text))} END"
    return f"SELECT record, CAST({defect} AS INTEGER) AS defect, {names} FROM ({inner})", (*of_text, *checks)


def _first(checks: tuple[Check, ...], before: int) -> str:
    if not checks:
        return "0"
    cases = " ".join(f"WHEN {check.condition} THEN {place}" for place, check in enumerate(checks, before + 1))
    return f"CASE {cases} ELSE 0 END"


class Sorter:
    """Writes the staged file of one table and its quarantine from all its candidates."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table, log: QuarantineLog) -> None:
        self._connection = connection
        self._table = table
        self._log = log

    def sort(self, candidates: Sequence[Candidates], target: Path) -> int:
        """Stage what is sound and not a duplicate; return how many records were written."""
        self._mark_duplicates(candidates)
        names = ", ".join(duck.name(field.name) for field in self._table.fields)
        parts = " UNION ALL ".join(
            f"SELECT {names} FROM {duck.parquet(found.parquet)} WHERE defect = 0"
            f" AND record NOT IN (SELECT record FROM duplicates WHERE part = {part})"
            for part, found in enumerate(candidates)
        )
        row = duck.run(self._connection, duck.copy(parts, target))
        for part, found in enumerate(candidates):
            self._keep_defects(found)
            self._keep_duplicates(part, found)
        return int(row[0])

    def _mark_duplicates(self, candidates: Sequence[Candidates]) -> None:
        """Fill ``duplicates`` with every sound record whose key an earlier sound record has."""
        self._connection.execute("CREATE OR REPLACE TEMP TABLE duplicates (part INTEGER, record BIGINT)")
        if not self._table.key:
            return
        key = ", ".join(duck.name(field) for field in self._table.key)
        parts = " UNION ALL ".join(
            f"SELECT {part} AS part, record, {key} FROM {duck.parquet(found.parquet)} WHERE defect = 0"
            for part, found in enumerate(candidates)
        )
        repeated = f"SELECT {key} FROM ({parts}) GROUP BY ALL HAVING count(*) > 1"
        same = " AND ".join(
            f"a.{duck.name(field)} IS NOT DISTINCT FROM b.{duck.name(field)}" for field in self._table.key
        )
        ordered = (
            f"SELECT part, record, row_number() OVER (PARTITION BY {key} ORDER BY part, record) AS place "
            f"FROM ({parts}) a WHERE EXISTS (SELECT 1 FROM ({repeated}) b WHERE {same})"
        )
        self._connection.execute(
            f"INSERT INTO duplicates SELECT part, record FROM ({ordered}) WHERE place > 1"
        )

    def _keep_defects(self, found: Candidates) -> None:
        where = f"SELECT record, defect FROM {duck.parquet(found.parquet)} WHERE defect > 0"
        for record, defect, values in originals(self._connection, found.texts, where):
            check = found.checks[defect - 1]
            self._log.add(found.texts.file.label, record, check.field, check.code, values)

    def _keep_duplicates(self, part: int, found: Candidates) -> None:
        field = self._table.key[0] if len(self._table.key) == 1 else None
        where = f"SELECT record, 0 AS defect FROM duplicates WHERE part = {part}"
        for record, _, values in originals(self._connection, found.texts, where):
            self._log.add(found.texts.file.label, record, field, DUPLICATE_KEY, values)


def originals(
    connection: duckdb.DuckDBPyConnection, texts: Texts, chosen: str
) -> Iterator[tuple[int, int, dict[str, str | None]]]:
    """Yield the records chosen by a select of ``record, defect``, each with its original columns."""
    columns = "".join(f", {texts.column(place)}" for place in range(len(texts.header)))
    statement = (
        f"SELECT record, defect{columns} FROM ({chosen}) JOIN {duck.parquet(texts.parquet)} "
        "USING (record) ORDER BY record, defect"
    )
    rows = connection.execute(statement)
    while chunk := rows.fetchmany(_FETCH):
        for row in chunk:
            yield row[0], row[1], _named(texts.header, row[2:])


def _named(header: tuple[str, ...], values: tuple[str | None, ...]) -> dict[str, str | None]:
    """Return values by column name; a repeated name gets its place."""
    named: dict[str, str | None] = {}
    for place, (column, value) in enumerate(zip(header, values, strict=True)):
        named[column if column not in named else f"{column} ({place + 1})"] = value
    return named


def refuse_all(
    connection: duckdb.DuckDBPyConnection, texts: Texts, field: str | None, log: QuarantineLog
) -> None:
    """Send every record of a file to quarantine, because its header names a column twice."""
    from_all = f"SELECT record, 0 AS defect FROM {duck.parquet(texts.parquet)}"
    for record, _, values in originals(connection, texts, from_all):
        log.add(texts.file.label, record, field, DUPLICATE_HEADER, values)


def write_candidates(
    connection: duckdb.DuckDBPyConnection,
    reader: TextReader,
    table: Table,
    values: dict[str, Value],
    checks: tuple[Check, ...],
    texts: Texts,
    source: str | None = None,
    first: tuple[Check, ...] = (),
) -> Candidates:
    """Type the texts of one file (or ``source``, a part of them) for one table and write them beside."""
    target = reader.target("typed")
    relation = source or duck.parquet(texts.parquet)
    select, numbered = candidate_select(table, values, checks, relation, first)
    row = duck.run(connection, duck.copy(select, target))
    return Candidates(texts, target, int(row[0]), numbered)
