"""Run the rules over a staged batch with DuckDB and write the rows that may be stored as Parquet.

The key stays in Python: identifiers come out of DuckDB, and tables of their pseudonyms go back in, so that
it is in no statement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.deidentify.sql import (
    KEPT_KEYS,
    LEFT_OUT_KEYS,
    OWN_KEYS,
    PERSONS,
    block_of,
    files_sql,
    key_map,
    left_out,
    lookups,
    quoted,
    relation,
    select,
)
from atoll_node.errors import LakeError
from atoll_node.staging import Staged, StagedTable
from atoll_schemas.tables import Content, Table, table

Connection = duckdb.DuckDBPyConnection
ROWS_PER_GROUP = 122_880
BLOCKS_AT_ONCE = 250_000
BYTES_PER_FILE = 256 * 1024 * 1024


@dataclass(frozen=True)
class WrittenFile:
    """One Parquet file of de-identified rows."""

    path: Path
    bytes: int
    rows: int


class Deidentification:
    """One batch on its way from staged files to files that may be stored."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        staged: Staged,
        *,
        pseudonyms: Pseudonyms,
        policy: Policy,
        opt_outs: frozenset[int],
        today: date,
    ) -> None:
        self._connection = connection
        self._staged: Mapping[str, StagedTable] = {item.table: item for item in staged.tables}
        self._pseudonyms = pseudonyms
        self._policy = policy
        self._opt_outs = opt_outs
        self._today = today

    def prepare(self) -> None:
        """Find the batch's persons and references and give each its pseudonym.

        A collision of persons is refused here; one of rows, by the release's check of keys.
        """
        self._make_persons()
        self._make_key_maps()
        if self._opt_outs:
            self._make_owner_keys()

    def write(self, name: str, folder: Path, stem: str) -> tuple[WrittenFile, ...]:
        """Write a table's rows below ``folder`` as ``stem-0.parquet``, …; at least one file, be it empty."""
        self._make_own_keys(table(name), self._files(name))
        rows = select(table(name), self._files(name), self._policy, opted_out=bool(self._opt_outs))
        folder.mkdir(parents=True, exist_ok=True)
        target = str(folder).replace("'", "''")
        written = self._rows(
            f"COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_PER_GROUP},"
            f" FILE_SIZE_BYTES {BYTES_PER_FILE}, FILENAME_PATTERN '{stem}-{{i}}', OVERWRITE_OR_IGNORE,"
            f" RETURN_STATS)"
        )
        return tuple(sorted((_written(row) for row in written), key=lambda file: file.path))

    def opted_out(self, name: str) -> int:
        """Count the staged rows that are left out for the sake of opted-out persons."""
        if not self._opt_outs:
            return 0
        spec = table(name)
        return self._number(
            f"SELECT count(*) FROM {relation(spec, self._files(name))} WHERE {left_out(spec)}"
        )

    def opted_out_persons(self) -> tuple[int, ...]:
        """Return the pseudonyms of the batch's opted-out persons and of all others on the list."""
        return tuple(sorted(self._pseudonyms.of(Kind.PERSON, number) for number in self._opt_outs))

    def content(self, name: str) -> str:
        """Return a text that is equal for equal staged rows, in whatever order they stand."""
        spec = table(name)
        facts = ", p.last_date" if spec.name == "person" else ""
        rows = self._rows(
            f"SELECT count(*), sum(hash(s{facts})), bit_xor(hash(s{facts}))"
            f" FROM {relation(spec, self._files(name)) if facts else f'{files_sql(self._files(name))} AS s'}"
        )
        return f"duckdb {duckdb.__version__}|" + "|".join(str(value) for value in rows[0])

    def _make_persons(self) -> None:
        self._connection.execute("CREATE OR REPLACE TEMP TABLE atoll_opt_outs (source BIGINT)")
        if self._opt_outs:
            listed = pa.table({"source": pa.array(sorted(self._opt_outs), pa.int64())})
            self._register("atoll_opt_out_list", listed)
            self._run("INSERT INTO atoll_opt_outs SELECT source FROM atoll_opt_out_list")
            self._connection.unregister("atoll_opt_out_list")
        found = " UNION ALL ".join(self._last_dates()) or "SELECT NULL::BIGINT AS source, NULL::DATE AS last"
        self._run(
            f"CREATE OR REPLACE TEMP TABLE atoll_last_dates AS SELECT source, max(last) AS last_date"
            f" FROM ({found}) WHERE source IS NOT NULL GROUP BY source ORDER BY source"
        )
        self._register("atoll_persons_keyed", self._keyed_persons())
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {PERSONS} AS"
            f" SELECT source, pseudonym, shift, source IN (SELECT source FROM atoll_opt_outs) AS opted_out,"
            f" last_date FROM atoll_persons_keyed JOIN atoll_last_dates USING (source)"
        )
        self._connection.unregister("atoll_persons_keyed")
        if self._number(f"SELECT count(*) - count(DISTINCT pseudonym) FROM {PERSONS}"):
            raise _collision()

    def _keyed_persons(self) -> pa.Table:
        days = self._policy.date_shift_days if self._policy.date_shift else 0
        persons = [int(str(row[0])) for row in self._rows("SELECT source FROM atoll_last_dates")]
        keyed = self._pseudonyms
        columns = {
            "source": pa.array(persons, pa.int64()),
            "pseudonym": pa.array([keyed.of(Kind.PERSON, person) for person in persons], pa.int64()),
            "shift": pa.array(
                [keyed.date_shift(person, days) if days else 0 for person in persons], pa.int32()
            ),
        }
        return pa.table(columns)

    def _last_dates(self) -> Iterable[str]:
        for spec, files in self._tables():
            if spec.person_field is None:
                continue
            dates = [
                f"max(CASE WHEN CAST({quoted(field.name)} AS DATE) <= DATE '{self._today.isoformat()}'"
                f" THEN CAST({quoted(field.name)} AS DATE) END)"
                for field in spec.fields
                if field.content is Content.DATE
            ]
            last = f"greatest({', '.join(dates)})" if dates else "NULL::DATE"
            yield (
                f"SELECT {quoted(spec.person_field)} AS source, {last} AS last"
                f" FROM {files_sql(files)} GROUP BY ALL"
            )

    def _make_key_maps(self) -> None:
        for kind in Kind:
            self._make_map(
                key_map(kind),
                kind,
                (
                    f"SELECT DISTINCT {block_of(lookup.field)} AS block FROM {files_sql(files)} AS s"
                    for spec, files in self._tables()
                    for lookup in lookups(spec)
                    if lookup.kind is kind and not lookup.own
                ),
            )

    def _make_own_keys(self, spec: Table, files: tuple[Path, ...]) -> None:
        for lookup in lookups(spec):
            if lookup.own:
                blocks = f"SELECT DISTINCT {block_of(lookup.field)} AS block FROM {files_sql(files)} AS s"
                self._make_map(OWN_KEYS, lookup.kind, (blocks,))

    def _make_map(self, name: str, kind: Kind, found: Iterable[str]) -> None:
        """Make the key map of the blocks that the queries find."""
        words = ", ".join(f"w{word} BIGINT" for word in range(4))
        self._run(f"CREATE OR REPLACE TEMP TABLE {name} (block BIGINT, {words})")
        union = " UNION ".join(found)
        if not union:
            return
        blocks = self._blocks(f"SELECT block FROM ({union}) WHERE block IS NOT NULL")
        for start in range(0, len(blocks), BLOCKS_AT_ONCE):
            part = blocks[start : start + BLOCKS_AT_ONCE]
            pseudonyms = self._pseudonyms.of_blocks(kind, part)
            columns = {"block": part} | {f"w{word}": pseudonyms[:, word] for word in range(4)}
            self._register("atoll_keyed", pa.table(columns))
            self._run(f"INSERT INTO {name} SELECT * FROM atoll_keyed")
            self._connection.unregister("atoll_keyed")

    def _make_owner_keys(self) -> None:
        owned = [
            (spec.name, f"SELECT s.{quoted(spec.key[0])} AS key, p.opted_out FROM {relation(spec, files)}")
            for spec, files in self._tables()
            if spec.person_scoped and len(spec.key) == 1 and not spec.field(spec.key[0]).person_key
        ]
        left = " UNION ALL ".join(f"SELECT key FROM ({rows}) WHERE opted_out" for _, rows in owned)
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {LEFT_OUT_KEYS} AS SELECT DISTINCT key"
            f" FROM ({left or 'SELECT NULL::BIGINT AS key'}) WHERE key IS NOT NULL"
        )
        links = {spec.link.table for spec, _ in self._tables() if spec.link is not None}
        kept = " UNION ALL ".join(
            f"SELECT '{name}' AS owner, key FROM ({rows}) WHERE NOT coalesce(opted_out, true)"
            for name, rows in owned
            if name in links
        )
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {KEPT_KEYS} AS SELECT owner, key"
            f" FROM ({kept or 'SELECT NULL::VARCHAR AS owner, NULL::BIGINT AS key'}) WHERE key IS NOT NULL"
        )

    def _tables(self) -> Iterable[tuple[Table, tuple[Path, ...]]]:
        return ((table(name), item.files) for name, item in self._staged.items() if item.files)

    def _files(self, name: str) -> tuple[Path, ...]:
        return self._staged[name].files

    def _register(self, name: str, rows: pa.Table) -> None:
        self._connection.register(name, rows)

    def _blocks(self, statement: str) -> NDArray[np.int64]:
        try:
            found: NDArray[np.int64] = self._connection.execute(statement).fetchnumpy()["block"]
        except duckdb.Error as error:
            raise _failed(error) from None
        return found

    def _run(self, statement: str) -> None:
        self._rows(statement)

    def _number(self, statement: str) -> int:
        return int(str(self._rows(statement)[0][0]))

    def _rows(self, statement: str) -> list[tuple[object, ...]]:
        try:
            rows: list[tuple[object, ...]] = self._connection.execute(statement).fetchall()
        except duckdb.Error as error:
            raise _failed(error) from None
        return rows


def _failed(error: duckdb.Error) -> LakeError:
    """Tell the kind of the error alone: DuckDB's message may quote a value of a record."""
    return LakeError(
        "deidentify.failed",
        f"the batch could not be de-identified ({type(error).__name__})",
        "see that the scratch folder has room, then run: atoll-node ingest",
    )


def _collision() -> LakeError:
    return LakeError(
        "deidentify.collision",
        "two persons of the batch have one pseudonym, so one of them would stand for the other",
        "tell the makers of Atoll: this is not expected once in a billion hospitals",
    )


def _written(row: tuple[object, ...]) -> WrittenFile:
    return WrittenFile(path=Path(str(row[0])), rows=int(str(row[1])), bytes=int(str(row[2])))


def open_connection(scratch: Path, *, memory: str = "1200MB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a connection for one batch: bounded memory, spill below ``scratch``, nothing fetched."""
    spill = scratch / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
