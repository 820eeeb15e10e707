"""Pin a folder of CDM Parquet files as a release, and write what a batch of cohorts found."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atoll_node.engine.batch import MOST_MASKED, Stays, Tally
from atoll_node.engine.model_tables import table_spec
from atoll_node.engine.sql import path_literal
from atoll_node.errors import EngineError, SourceError
from atoll_node.release import PinnedFile, PinnedTable, Release
from atoll_schemas.query import Name
from atoll_schemas.tables import UnknownTable

FOLDER_DATASET: Name = "folder"


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
    """Writes rows block by block as they are found, so that none are kept; a file is whole or absent."""

    def __init__(self, folder: Path) -> None:
        """Begin ``cohort.parquet`` in a folder, which is made. Raises ``EngineError``."""
        self._folder = folder
        self._begun = _beside(folder / _COHORT)
        self._left = self._begun.with_suffix(".left")
        with _writing(_COHORT):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = _rows_writer(self._begun)
        self.rows = 0

    def add(self, stays: Stays) -> None:
        """Write the rows of one block."""
        columns = (
            pa.array(stays.cohort),
            pa.array(stays.person),
            pa.array(stays.start).view(pa.date32()),
            pa.array(stays.end).view(pa.date32()),
        )
        if len(stays.person):
            with _writing(_COHORT):
                self._writer.write_table(pa.Table.from_arrays(columns, schema=_ROWS))
        self.rows += len(stays.person)

    def write(self, tallies: Mapping[int, Tally]) -> None:
        """End ``cohort``, and write ``inclusion`` and ``summary`` beside it."""
        with _writing(_COHORT):
            self._writer.close()
            failed = [number for number, tally in tallies.items() if tally.failed is not None]
            if failed:
                self._leave_out(failed)
            self._begun.replace(self._folder / _COHORT)
        self._table("inclusion", ("inclusion_rule_mask", "person_count"), _inclusion(tallies))
        self._table("summary", ("base_count", "final_count"), _summary(tallies))

    def close(self) -> None:
        """Let go of what was not finished."""
        with suppress(OSError):
            self._writer.close()
        for file in (self._begun, self._left):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def _leave_out(self, failed: Sequence[int]) -> None:
        """Write again without the first blocks' rows of cohorts that failed in a later one."""
        self.rows = 0
        with pq.ParquetFile(self._begun) as whole, _rows_writer(self._left) as writer:
            for group in range(whole.num_row_groups):
                rows = whole.read_row_group(group)
                found = pc.is_in(rows["cohort_definition_id"], pa.array(failed, pa.int32()))
                rows = rows.filter(pc.invert(found))
                writer.write_table(rows)
                self.rows += len(rows)
        self._left.replace(self._begun)

    def _table(self, name: str, columns: tuple[str, str], rows: Sequence[tuple[int, ...]]) -> None:
        fields = [("cohort_definition_id", pa.int32()), *((column, pa.int64()) for column in columns)]
        schema = pa.schema([*fields, ("mode_id", pa.int32())])
        given = np.asarray(rows, dtype=np.int64).reshape(len(rows), len(schema))
        table = pa.table({field.name: given[:, place] for place, field in enumerate(schema)}).cast(schema)
        file = self._folder / f"{name}.parquet"
        with _writing(file.name):
            pq.write_table(table, _beside(file))
            _beside(file).replace(file)


_COHORT = "cohort.parquet"
_ROWS = pa.schema(
    [
        ("cohort_definition_id", pa.int32()),
        ("subject_id", pa.int64()),
        ("cohort_start_date", pa.date32()),
        ("cohort_end_date", pa.date32()),
    ]
)


def _beside(file: Path) -> Path:
    """The name of a file that is not whole yet."""
    return file.with_suffix(".partial")


def _rows_writer(file: Path) -> pq.ParquetWriter:
    """Rows come by cohort, which a dictionary makes small; of the others none repeats enough."""
    return pq.ParquetWriter(file, _ROWS, use_dictionary=["cohort_definition_id"])


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            "cohort.write",
            f"{name} cannot be written ({os.strerror(error.errno) if error.errno else type(error).__name__})",
            "check the folder and its free space",
        ) from None


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
