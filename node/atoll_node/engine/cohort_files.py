"""Pin a folder of CDM Parquet files as a release, and write what a batch of cohorts found."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from atoll_node.engine.batch import MOST_MASKED, Stays, Tally, together
from atoll_node.engine.model_tables import table_spec
from atoll_node.engine.sql import path_literal
from atoll_node.errors import EngineError, SourceError
from atoll_node.release import PinnedFile, PinnedTable, Release
from atoll_schemas.query import Name
from atoll_schemas.tables import UnknownTable

FOLDER_DATASET: Name = "folder"
_MOST_KEPT = 40_000_000
"""Rows that are kept as arrays, 20 bytes each, before they go to where they can be spilled."""


def release_of_folder(folder: Path) -> Release:
    """Return a release that pins a folder's files: one file, or one folder of files, a table.

    Upper and lower case are alike, other files are left alone, absent tables are empty.
    Raises ``SourceError``.
    """
    if not folder.is_dir():
        raise SourceError(
            "cdm.folder", f"{folder} is not a folder", "name the folder of the CDM's Parquet files"
        )
    found = dict(_tables(folder))
    if "observation_period" not in found:
        raise SourceError(
            "cdm.observation_period",
            f"{folder} has no observation_period.parquet, without which no cohort has a person",
            "name the folder that holds one Parquet file a table",
        )
    rows = _row_counts([file for files in found.values() for file in files])
    return Release(
        name="folder-0001",
        site="local",
        dataset=FOLDER_DATASET,
        created_at=datetime.now(UTC),
        tables=tuple(_pinned(name, files, rows) for name, files in sorted(found.items())),
        content_digest="sha256:" + hashlib.sha256(str(folder.absolute()).encode()).hexdigest(),
    )


def _tables(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for place in sorted(folder.iterdir()):
        files = tuple(sorted(place.glob("*.parquet"))) if place.is_dir() else (place,)
        name = place.name.lower().removesuffix(".parquet")
        if files and (place.is_dir() or place.name.lower().endswith(".parquet")) and _is_known(name):
            yield name, files


def _is_known(name: str) -> bool:
    try:
        table_spec(name)
    except UnknownTable:
        return False
    return True


def _row_counts(files: Sequence[Path]) -> Mapping[str, int]:
    listed = ", ".join(path_literal(str(file.absolute())) for file in files)
    with duckdb.connect(":memory:") as database:
        try:
            counted = database.execute(
                f"SELECT file_name, num_rows FROM parquet_file_metadata([{listed}])"
            ).fetchall()
        except duckdb.Error:
            raise SourceError(
                "cdm.file", "a file of the CDM's folder is no Parquet file that can be read", "write it again"
            ) from None
    return {str(name): int(rows) for name, rows in counted}


def _pinned(name: str, files: Sequence[Path], rows: Mapping[str, int]) -> PinnedTable:
    pins = tuple(
        PinnedFile(path=file.name, bytes=file.stat().st_size, rows=rows[str(file.absolute())])
        for file in files
    )
    return PinnedTable(
        name=name,
        uri=str(files[0].absolute().parent),
        version=0,
        rows=sum(pin.rows for pin in pins),
        files=pins,
    )


class CohortFiles:
    """Collects rows block by block and writes them as Parquet; what memory does not hold is spilled."""

    def __init__(self, scratch: Path, memory: str, threads: int) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._database = duckdb.connect(
            ":memory:",
            config={"memory_limit": memory, "threads": threads, "temp_directory": str(scratch)},
        )
        self._kept: list[Stays] = []
        self.rows = 0
        self._database.execute(
            "CREATE TABLE cohort (cohort_definition_id INTEGER, subject_id BIGINT, "
            "cohort_start_date INTEGER, cohort_end_date INTEGER)"
        )

    def add(self, stays: Stays) -> None:
        """Take the rows of one block."""
        self._kept.append(stays)
        self.rows += len(stays.person)
        if sum(len(one.person) for one in self._kept) > _MOST_KEPT:
            self._keep_in_database()

    def _keep_in_database(self) -> None:
        kept = together(self._kept)
        self._kept.clear()
        self._insert("cohort", (kept.cohort, kept.person, kept.start, kept.end))

    def write(self, tallies: Mapping[int, Tally], folder: Path) -> None:
        """Write ``cohort``, ``inclusion`` and ``summary`` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = together(self._kept)
        self._database.register(
            "kept",
            {
                "cohort_definition_id": kept.cohort,
                "subject_id": kept.person,
                "cohort_start_date": kept.start,
                "cohort_end_date": kept.end,
            },
        )
        self._copy(
            "SELECT cohort_definition_id, subject_id, "
            "DATE '1970-01-01' + cohort_start_date AS cohort_start_date, "
            "DATE '1970-01-01' + cohort_end_date AS cohort_end_date "
            f"FROM (FROM cohort UNION ALL FROM kept) {_answered(tallies)}",
            folder / "cohort.parquet",
        )
        self._table(
            "inclusion", "inclusion_rule_mask BIGINT, person_count BIGINT", _inclusion(tallies), folder
        )
        self._table("summary", "base_count BIGINT, final_count BIGINT", _summary(tallies), folder)

    def close(self) -> None:
        """Let go of memory and spill."""
        self._database.close()

    def _table(self, name: str, columns: str, rows: Sequence[tuple[int, ...]], folder: Path) -> None:
        self._database.execute(
            f"CREATE TABLE {name} (cohort_definition_id INTEGER, {columns}, mode_id INTEGER)"
        )
        found = np.asarray(rows, dtype=np.int64).reshape(len(rows), 4)
        self._insert(name, tuple(found[:, place] for place in range(4)))
        self._copy(f"SELECT * FROM {name}", folder / f"{name}.parquet")

    def _insert(
        self, table: str, columns: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]]]
    ) -> None:
        self._database.register("part", {f"c{place}": column for place, column in enumerate(columns)})
        self._database.execute(f"INSERT INTO {table} SELECT * FROM part")
        self._database.unregister("part")

    def _copy(self, query: str, file: Path) -> None:
        """Write beside and rename, so that a file is whole or absent."""
        beside = file.with_suffix(".partial")
        try:
            self._database.execute(f"COPY ({query}) TO {path_literal(str(beside))} (FORMAT parquet)")
        except duckdb.Error as error:
            raise EngineError(
                "cohort.write",
                f"{file.name} cannot be written ({type(error).__name__})",
                "check the folder and its free space",
            ) from None
        beside.replace(file)


def _answered(tallies: Mapping[int, Tally]) -> str:
    """Leave out the first blocks' rows of a cohort that failed in a later one."""
    failed = [str(number) for number, tally in sorted(tallies.items()) if tally.failed is not None]
    return f"WHERE cohort_definition_id NOT IN ({', '.join(failed)})" if failed else ""


def _inclusion(tallies: Mapping[int, Tally]) -> list[tuple[int, ...]]:
    return [
        (number, mask, count, mode)
        for number, tally in sorted(tallies.items())
        if tally.failed is None and tally.rules <= MOST_MASKED
        for mode in (0, 1)
        for mask, count in sorted(tally.masks[mode].items())
    ]


def _summary(tallies: Mapping[int, Tally]) -> list[tuple[int, ...]]:
    return [
        (number, tally.base(mode), tally.final(mode), mode)
        for number, tally in sorted(tallies.items())
        if tally.failed is None and tally.rules
        for mode in (0, 1)
    ]
