"""Bring a source file into a table of texts with record numbers: ``record``, ``c0``, ``c1``, …

DuckDB does it where the file is well formed; a file with structural defects is read record by record.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from atoll_node.sources import duck
from atoll_node.sources.csv_text import Record, header_of, records, sniffed
from atoll_node.sources.encoding import as_utf8, detected, first_guess, header_text, is_utf8, reader
from atoll_node.sources.files import SourceFile, unreadable

_ROWS = 50_000


@dataclass(frozen=True)
class Layout:
    """How a CSV file is written, and the names in its header."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    blank_start: bool = False
    """Blank lines stand before the header, which DuckDB would take for it."""

    @property
    def repeated(self) -> frozenset[str]:
        """Names in lower case that stand more than once in the header."""
        counted = Counter(name.lower() for name in self.header)
        return frozenset(name for name, count in counted.items() if count > 1)

    def place(self, name: str) -> int | None:
        """Return the 0-based place of a column by its name in any case."""
        wanted = name.lower()
        return next((i for i, found in enumerate(self.header) if found.lower() == wanted), None)


@dataclass(frozen=True)
class Declared:
    """What a mapping says about the layout; ``None`` is found out."""

    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class Texts:
    """A source file as a table of texts in Parquet."""

    file: SourceFile
    header: tuple[str, ...]
    parquet: Path
    rows: int
    """Records with a sound structure; the others are in quarantine."""

    def column(self, place: int) -> str:
        """Return the SQL name of the column at a place of the header."""
        return duck.name(f"c{place}")


Broken = Callable[[int, str, str], None]
"""Takes a broken record: its number, the code of the defect, its text."""


def layout_of(file: SourceFile, known: tuple[str, ...], declared: Declared) -> Layout:
    """Find out encoding, separator and header from the beginning of a CSV file."""
    encoding = declared.encoding or first_guess(file)
    try:
        beginning = header_text(file, encoding)
    except (OSError, EOFError):
        # The cause would carry the file's name.
        raise unreadable(file) from None
    delimiter = declared.delimiter or sniffed(beginning, known)
    header = header_of(beginning, delimiter)
    while header and not header[-1]:
        header = header[:-1]
    return Layout(encoding, delimiter, header, beginning[:1] in {"\r", "\n"})


def csv_function(path: Path, layout: Layout, types: tuple[str, ...]) -> str:
    """Return the table function that reads a well-formed CSV file with columns ``c0``, ``c1``, …"""
    columns = ", ".join(f"'c{place}': '{kind}'" for place, kind in enumerate(types))
    return (
        f"read_csv({duck.text(str(path))}, columns={{{columns}}}, auto_detect=false, header=true, "
        f"delim={duck.text(layout.delimiter)}, quote='\"', escape='\"', nullstr='', strict_mode=true, "
        f"null_padding=false, ignore_errors=false, encoding='utf-8', {_compression(path)})"
    )


def _compression(path: Path) -> str:
    return "compression='gzip'" if path.name.lower().endswith(".gz") else "compression='none'"


class TextReader:
    """Reads source files into tables of texts below one scratch folder."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        self._connection = connection
        self._scratch = scratch
        self._made = 0

    def target(self, kind: str) -> Path:
        """Return the next free file of the scratch folder."""
        self._made += 1
        return self._scratch / f"{kind}-{self._made:05d}.parquet"

    def from_csv(
        self, file: SourceFile, layout: Layout, declared: Declared, suspicious: bool, broken: Broken
    ) -> Texts:
        """Read one CSV file; a ``suspicious`` one record by record at once."""
        encoding = declared.encoding or detected(file)
        layout = replace(layout, encoding=encoding)
        if not suspicious and not layout.blank_start:
            found = self._quickly(file, layout)
            if found is not None:
                return found
        try:
            return self._slowly(file, layout, broken)
        except (OSError, EOFError, UnicodeError):
            raise unreadable(file) from None

    def from_parquet(self, file: SourceFile, columns: tuple[str, ...]) -> Texts:
        """Read all columns of a Parquet file as texts."""
        # The columns are named by their place, because their own names are the file's content.
        places = [f"c{place}" for place in range(len(columns))]
        listed = "".join(f", CAST({place} AS VARCHAR) AS {place}" for place in places)
        source = f"read_parquet({duck.text(str(file.path))}, file_row_number=true)"
        select = (
            f"SELECT number + 1 AS record{listed} FROM {source} AS source({', '.join([*places, 'number'])})"
        )
        target = self.target("texts")
        row = duck.run(self._connection, duck.copy(select, target))
        return Texts(file, columns, target, int(row[0]))

    def _quickly(self, file: SourceFile, layout: Layout) -> Texts | None:
        target = self.target("texts")
        path = file.path
        temporary: Path | None = None
        try:
            if not is_utf8(layout.encoding):
                temporary = path = as_utf8(file, layout.encoding, target.with_suffix(".csv"))
            source = csv_function(path, layout, ("VARCHAR",) * len(layout.header))
            columns = tuple(f"c{place}" for place in range(len(layout.header)))
            select = f"SELECT row_number() OVER () AS record, {', '.join(columns)} FROM {source}"
            self._connection.execute("SET preserve_insertion_order=true")
            row = duck.run(self._connection, duck.copy(select, target))
            if self._holds_nul(target, columns):
                return None
            return Texts(file, layout.header, target, int(row[0]))
        except (duckdb.Error, UnicodeError):
            return None
        finally:
            self._connection.execute("SET preserve_insertion_order=false")
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def _holds_nul(self, target: Path, columns: tuple[str, ...]) -> bool:
        found = f"contains(concat({', '.join(columns)}), chr(0))"
        row = duck.run(
            self._connection, f"SELECT count(*) FILTER (WHERE {found}) FROM {duck.parquet(target)}"
        )
        return bool(row[0])

    def _slowly(self, file: SourceFile, layout: Layout, broken: Broken) -> Texts:
        width = len(layout.header)
        target = self.target("texts")
        schema = pa.schema([("record", pa.int64()), *((f"c{place}", pa.string()) for place in range(width))])
        rows = 0
        with reader(file, layout.encoding) as source, pq.ParquetWriter(target, schema) as writer:
            sound = _sound(records(source, layout.delimiter, width), broken)
            while chunk := list(islice(sound, _ROWS)):
                writer.write_table(_table(chunk, schema))
                rows += len(chunk)
        return Texts(file, layout.header, target, rows)


def _sound(found: Iterator[Record], broken: Broken) -> Iterator[tuple[int, tuple[str, ...]]]:
    for record in found:
        if record.fields is None:
            broken(record.number, record.defect or "", record.text)
        else:
            yield record.number, record.fields


def _table(chunk: list[tuple[int, tuple[str, ...]]], schema: pa.Schema) -> pa.Table:
    numbers = pa.array([number for number, _ in chunk], pa.int64())
    columns = [
        pa.array([fields[place] or None for _, fields in chunk], pa.string())
        for place in range(len(schema) - 1)
    ]
    return pa.Table.from_arrays([numbers, *columns], schema=schema)
