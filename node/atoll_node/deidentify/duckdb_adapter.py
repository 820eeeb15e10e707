"""Run the rules over a staged batch with DuckDB and write the rows that may be stored as Parquet.

The key stays in Python: identifiers come out of DuckDB with the rows, and their pseudonyms take their place,
so that it is in no statement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from atoll_node.arrow_arrays import array_of
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.deidentify.sql import (
    KEPT_KEYS,
    LEFT_OUT_KEYS,
    OPT_OUTS,
    PERSONS,
    Keyed,
    Records,
    keyed,
    left_out,
    quoted,
    relation,
    select,
)
from atoll_node.errors import LakeError
from atoll_node.row_files import ROWS_PER_GROUP, LocalFile, row_files
from atoll_node.staging import Staged, StagedTable
from atoll_schemas.tables import Content, table

Connection = duckdb.DuckDBPyConnection
PERSONS_AT_ONCE = 250_000


def _unwatched(_: int) -> None:
    return None


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
        forgotten: frozenset[int] = frozenset(),
        today: date,
    ) -> None:
        self._connection = connection
        self._records: Mapping[str, Records] = {item.table: _records(item) for item in staged.tables}
        self._pseudonyms = pseudonyms
        self._policy = policy
        self._opt_outs = opt_outs
        self._forgotten = forgotten
        self.returned: frozenset[int] = frozenset()
        """Forgotten persons of the batch, who stay out as if they had opted out."""
        self._today = today

    def prepare(self) -> None:
        """Find the batch's persons and give each its pseudonym.

        A collision of persons is refused here; one of rows, by the release's check of keys.
        """
        self._make_persons()
        if self._opt_outs:
            self._make_owner_keys()

    @property
    def persons(self) -> str:
        """Return a query of the pseudonyms of the batch's persons, for this connection."""
        return f"SELECT pseudonym FROM {PERSONS}"

    def write(
        self, name: str, folder: Path, stem: str, watch: Callable[[int], None] = _unwatched
    ) -> Iterator[LocalFile]:
        """Write a table's rows below ``folder`` and yield each file when it is whole (``row_files``)."""
        return row_files(table(name), self._rows_of(name), folder, stem, watch)

    def _rows_of(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield a table's de-identified rows."""
        records = self._records[name]
        identifiers = keyed(records, self._policy)
        statement = select(records, self._policy, opted_out=bool(self._opt_outs))
        try:
            for batch in self._connection.execute(statement).to_arrow_reader(ROWS_PER_GROUP):
                yield self._keyed(batch, identifiers)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _failed(error) from None

    def _keyed(self, batch: pa.RecordBatch, identifiers: Iterable[Keyed]) -> pa.RecordBatch:
        """Return the batch with the pseudonyms of its identifiers beside them; of NULL, NULL."""
        for one in identifiers:
            given = batch.column(one.given)
            numbers = given.fill_null(0).to_numpy()
            found = self._pseudonyms.of_many(one.kinds[-1], numbers)
            if one.kind is not None:
                place = batch.column(one.kind).to_numpy()
                for number, kind in enumerate(one.kinds[:-1]):
                    rows = place == number
                    found[rows] = self._pseudonyms.of_many(kind, numbers[rows])
            absent = given.is_null().to_numpy(zero_copy_only=False) if given.null_count else None
            batch = batch.append_column(one.field.name, pa.array(found, mask=absent))
        return batch

    def opted_out(self, name: str) -> int:
        """Count the staged rows that are left out for the sake of opted-out persons."""
        if not self._opt_outs:
            return 0
        return self._number(
            f"SELECT count(*) FROM {relation(self._records[name])} WHERE {left_out(table(name))}"
        )

    def opted_out_persons(self) -> tuple[int, ...]:
        """Return the pseudonyms of the batch's opted-out persons and of all others on the list."""
        return tuple(sorted(self._pseudonyms.of(Kind.PERSON, number) for number in self._opt_outs))

    def content(self, name: str) -> str:
        """Return a text that is equal for equal staged rows, in whatever order they stand."""
        records = self._records[name]
        facts, source = "", f"{records.sql} AS s"
        if name == "person":
            facts, source = ", p.last_date", relation(records)
        rows = self._rows(
            f"SELECT count(*), sum(hash(s{facts})), bit_xor(hash(s{facts})) FROM {source}"
            if records.files
            else "SELECT 0"
        )
        return f"duckdb {duckdb.__version__}|" + "|".join(str(value) for value in rows[0])

    def _make_persons(self) -> None:
        found = " UNION ALL ".join(self._last_dates()) or "SELECT NULL::BIGINT AS source, NULL::DATE AS last"
        self._run(
            f"CREATE OR REPLACE TEMP TABLE atoll_last_dates AS SELECT source, max(last) AS last_date"
            f" FROM ({found}) WHERE source IS NOT NULL GROUP BY source ORDER BY source"
        )
        self._leave_out()
        self._make_keyed_persons()
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {PERSONS} AS"
            f" SELECT source, pseudonym, shift, source IN (SELECT source FROM {OPT_OUTS}) AS opted_out,"
            f" last_date FROM atoll_persons_keyed JOIN atoll_last_dates USING (source)"
        )
        if self._number(f"SELECT count(*) - count(DISTINCT pseudonym) FROM {PERSONS}"):
            raise _collision()

    def _leave_out(self) -> None:
        """Fill ``OPT_OUTS`` with the persons who opted out and with those who were forgotten."""
        if self._forgotten:
            self.returned = frozenset(self._found_again())
            self._opt_outs |= self.returned
        self._run(f"CREATE OR REPLACE TEMP TABLE {OPT_OUTS} (source BIGINT)")
        if self._opt_outs:
            listed = pa.table({"source": pa.array(sorted(self._opt_outs), pa.int64())})
            self._register("atoll_opt_out_list", listed)
            self._run(f"INSERT INTO {OPT_OUTS} SELECT source FROM atoll_opt_out_list")
            self._connection.unregister("atoll_opt_out_list")

    def _found_again(self) -> Iterable[int]:
        persons = self._column("SELECT source FROM atoll_last_dates")
        wanted = np.array(sorted(self._forgotten), np.int64)
        for start in range(0, len(persons), PERSONS_AT_ONCE):
            part = persons[start : start + PERSONS_AT_ONCE]
            seals = self._pseudonyms.seals("forgotten", part.tolist())
            yield from part[np.isin(seals, wanted)].tolist()

    def _make_keyed_persons(self) -> None:
        """Fill ``atoll_persons_keyed`` with the pseudonym and the date shift of each person."""
        days = self._policy.date_shift_days if self._policy.date_shift else 0
        self._run(
            "CREATE OR REPLACE TEMP TABLE atoll_persons_keyed"
            " (source BIGINT, pseudonym BIGINT, shift INTEGER)"
        )
        persons = self._column("SELECT source FROM atoll_last_dates")
        for start in range(0, len(persons), PERSONS_AT_ONCE):
            part = persons[start : start + PERSONS_AT_ONCE]
            made = pa.table(
                {
                    "source": part,
                    "pseudonym": self._pseudonyms.of_many(Kind.PERSON, part),
                    "shift": self._pseudonyms.date_shifts(part, days),
                }
            )
            self._register("atoll_keyed", made)
            self._run("INSERT INTO atoll_persons_keyed SELECT * FROM atoll_keyed")
            self._connection.unregister("atoll_keyed")

    def _last_dates(self) -> Iterable[str]:
        for records in self._tables():
            spec = records.table
            if spec.person_field is None:
                continue
            dates = [
                f"max(CASE WHEN CAST({quoted(field.name)} AS DATE) <= DATE '{self._today.isoformat()}'"
                f" THEN CAST({quoted(field.name)} AS DATE) END)"
                for field in spec.fields
                if field.content is Content.DATE and field.name in records.present
            ]
            last = f"greatest({', '.join(dates)})" if dates else "NULL::DATE"
            yield (
                f"SELECT {quoted(spec.person_field)} AS source, {last} AS last"
                f" FROM {records.sql} GROUP BY ALL"
            )

    def _make_owner_keys(self) -> None:
        owned = [
            (spec.name, f"SELECT s.{quoted(spec.key[0])} AS key, p.opted_out FROM {relation(records)}")
            for records in self._tables()
            for spec in (records.table,)
            if spec.person_scoped and len(spec.key) == 1 and not spec.field(spec.key[0]).person_key
        ]
        left = " UNION ALL ".join(f"SELECT key FROM ({rows}) WHERE opted_out" for _, rows in owned)
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {LEFT_OUT_KEYS} AS SELECT DISTINCT key"
            f" FROM ({left or 'SELECT NULL::BIGINT AS key'}) WHERE key IS NOT NULL"
        )
        links = {records.table.link.table for records in self._tables() if records.table.link is not None}
        kept = " UNION ALL ".join(
            f"SELECT '{name}' AS owner, key FROM ({rows}) WHERE NOT coalesce(opted_out, true)"
            for name, rows in owned
            if name in links
        )
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {KEPT_KEYS} AS SELECT owner, key"
            f" FROM ({kept or 'SELECT NULL::VARCHAR AS owner, NULL::BIGINT AS key'}) WHERE key IS NOT NULL"
        )

    def _tables(self) -> Iterable[Records]:
        return (records for records in self._records.values() if records.files)

    def _register(self, name: str, rows: pa.Table) -> None:
        self._connection.register(name, rows)

    def _column(self, statement: str) -> NDArray[np.int64]:
        """Return the one column of whole numbers that a statement finds."""
        try:
            return array_of(self._connection.execute(statement).to_arrow_table().column(0))
        except duckdb.Error as error:
            raise _failed(error) from None

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


def _records(staged: StagedTable) -> Records:
    present = pq.read_schema(staged.files[0]).names if staged.files else ()
    return Records(table(staged.table), staged.files, frozenset(present))


def _failed(error: Exception) -> LakeError:
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
