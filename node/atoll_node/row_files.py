"""Write a table's rows as Parquet files, in a stream, so that memory is bounded whatever their number.

``deidentify`` and ``tables`` both write with it: a file looks the same wherever its rows come from.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from atoll_node.errors import LakeError
from atoll_schemas.tables import Content, Datatype, Field, Table

ROWS_PER_GROUP = 122_880
"""As many rows as DuckDB reads as one piece of work."""
BYTES_PER_FILE = 256 * 1024 * 1024
_BYTES_PER_PAGE = 64 * 1024 * 1024
_AHEAD = 2
"""So many batches wait for the encoder, which works beside whoever makes them."""
_ARROW = {
    Datatype.BIGINT: pa.int64(),
    Datatype.INTEGER: pa.int32(),
    Datatype.DOUBLE: pa.float64(),
    Datatype.DATE: pa.date32(),
    Datatype.TIMESTAMP: pa.timestamp("us"),
    Datatype.VARCHAR: pa.string(),
}


@dataclass(frozen=True)
class LocalFile:
    """A Parquet file on this machine's disk."""

    path: Path
    bytes: int
    rows: int


def _unwatched(_: int) -> None:
    return None


def row_files(
    spec: Table,
    batches: Iterable[pa.RecordBatch],
    folder: Path,
    stem: str,
    watch: Callable[[int], None] = _unwatched,
    bytes_per_file: int = BYTES_PER_FILE,
) -> Iterator[LocalFile]:
    """Write ``stem-0.parquet``, … below ``folder`` and yield each when it is whole; at least one.

    Columns are found by name. A field that the batches lack is NULL; a column that is no field of the table
    is not written. ``watch`` hears the rows so far. Raises ``LakeError``.
    """
    writing = _Writing(spec, folder, stem, bytes_per_file)
    rows = 0
    with ThreadPoolExecutor(max_workers=1) as encoder:
        ahead: deque[Future[LocalFile | None]] = deque()
        for batch in batches:
            ahead.append(encoder.submit(writing.add, batch))
            rows += batch.num_rows
            watch(rows)
            if len(ahead) > _AHEAD and (file := ahead.popleft().result()) is not None:
                yield file
        ahead.append(encoder.submit(writing.finish))
        yield from (file for one in ahead if (file := one.result()) is not None)


class _Writing:
    """The files of one table, one after the other."""

    def __init__(self, spec: Table, folder: Path, stem: str, bytes_per_file: int) -> None:
        self._fields = spec.fields
        self._schema = pa.schema([(field.name, _ARROW[field.datatype]) for field in spec.fields])
        self._folder = folder
        self._stem = stem
        self._full = bytes_per_file
        self._count = 0
        self._rows = 0
        self._open: pq.ParquetWriter | None = None

    def add(self, batch: pa.RecordBatch) -> LocalFile | None:
        """Encode a batch; return its file when it is full."""
        try:
            self._writer().write_batch(_fitted(batch, self._schema), ROWS_PER_GROUP)
            self._rows += batch.num_rows
            return self._closed() if self._path.stat().st_size >= self._full else None
        except (pa.ArrowException, OSError) as error:
            raise _failed(error) from None

    def finish(self) -> LocalFile | None:
        """Close what is open; a table without rows has one file."""
        try:
            if self._count == 0:
                self._writer()
            return None if self._open is None else self._closed()
        except (pa.ArrowException, OSError) as error:
            raise _failed(error) from None

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._stem}-{self._count}.parquet"

    def _writer(self) -> pq.ParquetWriter:
        if self._open is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open = pq.ParquetWriter(
                self._path,
                self._schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=[field.name for field in self._fields if _repeats(field)],
                # No smallest or largest texts: they would be words of the source.
                write_statistics=[
                    field.name for field in self._fields if field.datatype is not Datatype.VARCHAR
                ],
                store_schema=False,
                # One page a column and group: DuckDB takes half as long again to read pages of 20,000 rows.
                data_page_size=_BYTES_PER_PAGE,
                max_rows_per_page=ROWS_PER_GROUP,
            )
        return self._open

    def _closed(self) -> LocalFile:
        self._writer().close()
        file = LocalFile(self._path, self._path.stat().st_size, self._rows)
        self._open, self._rows, self._count = None, 0, self._count + 1
        return file


def _repeats(field: Field) -> bool:
    """Whether a dictionary of the column's values is worth its making: not for keys and moments."""
    return field.content is not Content.KEY and field.datatype is not Datatype.TIMESTAMP


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with just the schema's columns."""
    columns = [
        pa.nulls(batch.num_rows, field.type)
        if (place := batch.schema.get_field_index(field.name)) < 0
        else batch.column(place).cast(field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _failed(error: Exception) -> LakeError:
    """Tell the kind of the error alone: a message of Arrow may quote a value of a record."""
    return LakeError(
        "lake.files",
        f"a file of rows could not be written ({type(error).__name__})",
        "see that the disk has room, then run the command again",
    )
