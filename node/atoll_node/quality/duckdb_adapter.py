"""Count the faults of a release's tables with DuckDB."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np

from atoll_node.arrow_arrays import sorted_array
from atoll_node.errors import LakeError
from atoll_node.quality.checks import CHECKS, always_filled
from atoll_schemas.tables import DOMAIN_OF_TABLE, DOMAINS, Datatype, Table, table

Files = Mapping[str, Sequence[str | Path]]
"""Files of this machine, or ``s3://`` addresses that the connection can reach."""
SORTED_IN_MEMORY = 30_000_000
"""So many keys, 8 bytes each, are sorted at once."""
_VERSION = re.compile(r"[vV]?[0-9]+(\.[0-9]+)*( [0-9]{1,2}-[A-Z]{3}-[0-9]{2,4})?")
"""OHDSI's form, such as ``v5.0 31-AUG-23``; anything else is not told."""


def count_faults(
    connection: duckdb.DuckDBPyConnection, files: Files, *, year: int, sortable: int = SORTED_IN_MEMORY
) -> dict[tuple[str, str], int]:
    """Count the rows that fail each check, by check and table. ``year`` is the year of the release.

    Keys of at most ``sortable`` rows are sorted in memory; of more, DuckDB counts the distinct ones.
    """
    present = frozenset(files)
    return {
        (check.name, name): _repeated(connection, table(name), files)
        if check.name == "unique_keys" and _is_sortable(connection, table(name), files, sortable)
        else _number(connection, _COUNTS[check.name](table(name), files, year))
        for check in CHECKS
        for name in sorted(files)
        if check.applies(table(name), present)
    }


def _is_sortable(connection: duckdb.DuckDBPyConnection, spec: Table, files: Files, most: int) -> bool:
    """Whether the table's keys are numbers that memory holds: sorting is quicker than counting."""
    if len(spec.primary_key) != 1 or spec.field(spec.primary_key[0]).datatype is not Datatype.BIGINT:
        return False
    return _number(connection, f"SELECT count(*) FROM {_read(files[spec.name])}") <= most


def _repeated(connection: duckdb.DuckDBPyConnection, spec: Table, files: Files) -> int:
    """Count the rows whose key another row before them has."""
    key = f'"{spec.primary_key[0]}"'
    try:
        statement = f"SELECT {key} FROM {_read(files[spec.name])} WHERE {key} IS NOT NULL"
        keys = sorted_array(connection.execute(statement).to_arrow_table().column(0))
    except duckdb.Error as error:
        raise _failed(error) from None
    return int(np.count_nonzero(keys[1:] == keys[:-1]))


def vocabulary_version(connection: duckdb.DuckDBPyConnection, files: Files) -> str | None:
    """Return the version of the OMOP vocabularies as the vocabulary table tells it."""
    if "vocabulary" not in files:
        return None
    rows = _rows(
        connection,
        f"SELECT vocabulary_version FROM {_read(files['vocabulary'])} WHERE vocabulary_id = 'None'",
    )
    found = str(rows[0][0]) if rows else ""
    return found if _VERSION.fullmatch(found) else None


def _unique_keys(spec: Table, files: Files, _: int) -> str:
    key = ", ".join(f'"{name}"' for name in spec.primary_key)
    if len(spec.primary_key) == 1:
        return f"SELECT count({key}) - count(DISTINCT {key}) FROM {_read(files[spec.name])}"
    return f"SELECT count(*) - count(DISTINCT ({key})) FROM {_read(files[spec.name])}"


def _required_fields(spec: Table, files: Files, _: int) -> str:
    empty = " + ".join(f'count(*) - count("{field.name}")' for field in always_filled(spec))
    return f"SELECT {empty} FROM {_read(files[spec.name])}"


def _known_persons(spec: Table, files: Files, _: int) -> str:
    return (
        f'SELECT count(*) FROM {_read(files[spec.name])} AS t WHERE t."{spec.person_field}" NOT IN'
        f" (SELECT person_id FROM {_read(files['person'])} WHERE person_id IS NOT NULL)"
    )


def _observed_persons(spec: Table, files: Files, _: int) -> str:
    return (
        f"SELECT count(*) FROM {_read(files[spec.name])} WHERE person_id NOT IN"
        f" (SELECT person_id FROM {_read(files['observation_period'])} WHERE person_id IS NOT NULL)"
    )


def _inside_observation(spec: Table, files: Files, _: int) -> str:
    start = DOMAINS[DOMAIN_OF_TABLE[spec.name]].start_date
    return (
        f"SELECT count(*) FROM {_read(files[spec.name])} AS t ANTI JOIN"
        f' {_read(files["observation_period"])} AS o ON o.person_id = t."{spec.person_field}"'
        f' AND t."{start}" >= o.observation_period_start_date'
        f' AND t."{start}" <= o.observation_period_end_date'
    )


def _ends_after_start(spec: Table, files: Files, _: int) -> str:
    domain = DOMAINS[DOMAIN_OF_TABLE[spec.name]]
    return f'SELECT count(*) FROM {_read(files[spec.name])} WHERE "{domain.end_date}" < "{domain.start_date}"'


def _plausible_birth(spec: Table, files: Files, year: int) -> str:
    return f"SELECT count(*) FROM {_read(files[spec.name])} WHERE year_of_birth NOT BETWEEN 1850 AND {year}"


_COUNTS: Mapping[str, Callable[[Table, Files, int], str]] = {
    "unique_keys": _unique_keys,
    "required_fields": _required_fields,
    "known_persons": _known_persons,
    "observed_persons": _observed_persons,
    "inside_observation": _inside_observation,
    "ends_after_start": _ends_after_start,
    "plausible_birth": _plausible_birth,
}
"""How each check's faults are counted; a test compares the names with ``CHECKS``."""


def _read(files: Sequence[str | Path]) -> str:
    return "read_parquet([" + ", ".join("'" + str(file).replace("'", "''") + "'" for file in files) + "])"


def _number(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(str(_rows(connection, statement)[0][0]))


def _rows(connection: duckdb.DuckDBPyConnection, statement: str) -> list[tuple[object, ...]]:
    try:
        rows: list[tuple[object, ...]] = connection.execute(statement).fetchall()
    except duckdb.Error as error:
        raise _failed(error) from None
    return rows


def _failed(error: duckdb.Error) -> LakeError:
    """Tell the kind of the error alone: DuckDB's message may quote a value of a record."""
    return LakeError(
        "quality.failed",
        f"a quality check could not be run ({type(error).__name__})",
        "see that the store answers and that nobody removed files of a table: atoll-node doctor",
    )
