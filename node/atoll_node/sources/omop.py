"""Read a folder of OMOP CDM 5.3 or 5.4 files: one CSV, gzipped CSV or Parquet file (or folder) per table.

A table is first read fast: DuckDB types the values and writes them, and the result is checked. Only when
something is wrong does the careful reading follow, which finds the records at fault.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType

import duckdb

from atoll_node.arrow_arrays import sorted_array
from atoll_node.errors import SourceError
from atoll_node.sources import duck
from atoll_node.sources.candidates import Candidates, Sorter, refuse_all, write_candidates
from atoll_node.sources.defects import WARNINGS
from atoll_node.sources.encoding import is_utf8
from atoll_node.sources.files import Digested, SourceFile, form_of, source_file
from atoll_node.sources.progress import TableProgress
from atoll_node.sources.quarantine import QuarantineLog
from atoll_node.sources.texts import Declared, Layout, TextReader, Texts, csv_function, layout_of
from atoll_node.sources.values import Value, record_checks, typed
from atoll_node.staging import SourceWarning, StagedTable
from atoll_schemas.tables import Datatype, Field, Table, core_1, did_you_mean

_ADMISSION = {
    "admitting_source_concept_id": "admitted_from_concept_id",
    "admitting_source_value": "admitted_from_source_value",
    "discharge_to_concept_id": "discharged_to_concept_id",
    "discharge_to_source_value": "discharged_to_source_value",
}
RENAMED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "visit_occurrence": _ADMISSION,
        "visit_detail": {**_ADMISSION, "visit_detail_parent_id": "parent_visit_detail_id"},
    }
)
"""Fields of CDM 5.3 that 5.4 names otherwise. The fields that 5.4 added are NULL for a 5.3 source."""
_NUMBERED = frozenset({"metadata"})
"""Tables whose key CDM 5.3 does not have: the records are numbered."""
_SORTED_IN_MEMORY = 60_000_000
_WHOLE = (Datatype.BIGINT, Datatype.INTEGER)
_EXACT = {
    Datatype.BIGINT: {"BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER"},
    Datatype.INTEGER: {"INTEGER"},
}
_ALIKE = {
    **_EXACT,
    Datatype.DOUBLE: {"DOUBLE", "FLOAT"},
    Datatype.DATE: {"DATE"},
    Datatype.TIMESTAMP: {"TIMESTAMP"},
    Datatype.VARCHAR: {"VARCHAR"},
}
"""Parquet types that become the field's type without loss."""


@dataclass(frozen=True)
class Opened:
    """A file whose header is known, and which field each of its columns feeds."""

    file: SourceFile
    layout: Layout
    places: Mapping[str, int]
    """Field name to the 0-based place of its column."""
    parquet_types: tuple[str, ...] = ()

    @property
    def is_parquet(self) -> bool:
        """Whether the columns have types already."""
        return self.file.form == "parquet"


def tables_in(folder: Path) -> tuple[dict[str, list[SourceFile]], tuple[SourceWarning, ...]]:
    """Find each table's files. Raises ``SourceError`` when the folder does not exist or holds none."""
    if not folder.is_dir():
        raise SourceError("source.folder", "the dataset's path is no folder", "correct path in the settings")
    found: dict[str, list[SourceFile]] = {}
    unknown: list[SourceWarning] = []
    for path, stem in _files(folder):
        if core_1().has(stem):
            files = found.setdefault(stem, [])
            files.append(source_file(path, folder, len(files) + 1))
        else:
            hint = did_you_mean(stem, core_1().names)
            label = str(path.relative_to(folder))
            unknown.append(SourceWarning(None, label, "file.unknown", WARNINGS["file.unknown"] + hint))
    if not found:
        raise SourceError(
            "source.nothing", "the folder holds no table of the data model", "name files like person.csv"
        )
    ordered = {name: found[name] for name in core_1().names if name in found}
    return ordered, tuple(unknown)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file with the table that its name, or its folder's name, gives."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            for part in sorted(path.rglob("*")):
                if part.is_file() and form_of(part) is not None:
                    yield part, path.name.lower().removesuffix(".parquet").removesuffix(".csv")
        else:
            form = form_of(path)
            yield path, form[0] if form else path.name.lower()


class OmopTable:
    """Reads the files of one table."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        files: list[SourceFile],
        digests: Mapping[SourceFile, Digested],
        log: QuarantineLog,
        staged: Path,
        texts: Path,
        progress: TableProgress,
        today: date,
    ) -> None:
        self._connection = connection
        self._table = table
        self._files = files
        self._digests = digests
        self._log = log
        self._staged = staged
        self._reader = TextReader(connection, texts)
        self._progress = progress
        self._checks = record_checks(table, today)
        self.warnings: list[SourceWarning] = []

    def stage(self) -> StagedTable:
        """Read, check and write the table."""
        opened = [found for file in self._files if (found := self._opened(file)) is not None]
        fast = self._fast(opened)
        if fast is not None:
            files, rows = fast
            if rows == 0:
                self._warn(None, "file.header_only")
            return StagedTable(self._table.name, files, rows, rows, 0)
        self._progress.restart()
        return self._careful(opened)

    def _opened(self, file: SourceFile) -> Opened | None:
        if file.size == 0:
            self._warn(file, "file.empty")
            return None
        if file.form == "parquet":
            return self._opened_parquet(file)
        layout = layout_of(file, self._known, Declared())
        if not layout.header:
            self._warn(file, "file.empty")
            return None
        return Opened(file, layout, self._places(file, layout))

    def _opened_parquet(self, file: SourceFile) -> Opened:
        try:
            described = self._connection.execute(
                f"DESCRIBE SELECT * FROM {duck.parquet(file.path)}"
            ).fetchall()
        except duckdb.Error:
            # The cause would carry the file's name.
            raise SourceError(
                "source.unreadable", f"{self._table.name}: file {file.ordinal} is no readable Parquet"
            ) from None
        layout = Layout("utf-8", ",", tuple(row[0] for row in described))
        types = tuple(str(row[1]) for row in described)
        return Opened(file, layout, self._places(file, layout), types)

    @property
    def _known(self) -> tuple[str, ...]:
        return (*self._table.names, *RENAMED.get(self._table.name, {}))

    def _places(self, file: SourceFile, layout: Layout) -> dict[str, int]:
        """Return the place of each field; an unknown column is reported and not loaded."""
        renamed = RENAMED.get(self._table.name, {})
        places: dict[str, int] = {}
        for place, column in enumerate(layout.header):
            lower = column.lower()
            field = renamed.get(lower, lower)
            if not self._table.has(field):
                self._warn(file, "column.unknown", f": {column}{did_you_mean(lower, self._known)}")
            else:
                places.setdefault(field, place)
        if not places:
            # What stands there is a record, not a header: its values may not be shown as names of columns.
            raise SourceError(
                "source.header",
                f"{self._table.name}: the first line of file {file.ordinal} names no field of the table",
                "write the names of the fields into the first line",
            )
        return places

    def _warn(self, file: SourceFile | None, code: str, detail: str = "") -> None:
        label = file.label if file is not None else None
        self.warnings.append(SourceWarning(self._table.name, label, code, WARNINGS[code] + detail))

    # The fast reading: one pass by DuckDB, then a check of what it wrote.

    def _fast(self, opened: list[Opened]) -> tuple[tuple[Path, ...], int] | None:
        """Return the staged files and their rows, or ``None`` when the careful reading must follow."""
        if not all(self._looks_sound(found) for found in opened):
            return None
        given = [field for field in self._table.fields if any(field.name in one.places for one in opened)]
        files: list[Path] = []
        rows = 0
        for found in opened:
            target = self._staged / f"{self._table.name}-{len(files) + 1:04d}.parquet"
            size = found.file.size
            try:
                row = duck.run(
                    self._connection,
                    duck.copy(self._fast_select(found, given), target),
                    partial(self._progress.partly, size=size),
                )
            except duckdb.Error:
                return None
            files.append(target)
            rows += int(row[0])
            self._progress.add(int(row[0]), size)
        staged = tuple(files)
        return (staged, rows) if not files or self._passes(staged, rows, given) else None

    def _looks_sound(self, found: Opened) -> bool:
        if self._is_numbered(found):
            return False
        if found.is_parquet:
            return all(
                found.parquet_types[place] in _ALIKE[self._table.field(field).datatype]
                for field, place in found.places.items()
            )
        return (
            not found.layout.repeated
            and not found.layout.blank_start
            and is_utf8(found.layout.encoding)
            and not self._digests[found.file].has_nul
        )

    def _is_numbered(self, found: Opened) -> bool:
        return self._table.name in _NUMBERED and self._table.key[0] not in found.places

    def _fast_select(self, found: Opened, given: list[Field]) -> str:
        """Return the select of the fields that any file of the table has."""
        if found.is_parquet:
            fields = [self._fast_field(field, duck.name(field.name), found) for field in given]
            return f"SELECT {', '.join(fields)} FROM {self._as_fields(found, duck.parquet(found.file.path))}"
        source = csv_function(found.file.path, found.layout, self._csv_types(found))
        fields = [self._fast_field(field, f"c{found.places.get(field.name, 0)}", found) for field in given]
        return f"SELECT {', '.join(self._guarded(fields, found))} FROM {source}"

    def _csv_types(self, found: Opened) -> tuple[str, ...]:
        """Return each column's type: its field's, but whole numbers as texts, which ``_guarded`` looks at."""
        types = ["VARCHAR"] * len(found.layout.header)
        for field, place in found.places.items():
            datatype = self._table.field(field).datatype
            types[place] = "VARCHAR" if datatype in _WHOLE else datatype.duckdb
        return tuple(types)

    def _as_fields(self, found: Opened, source: str) -> str:
        """Give renamed columns of CDM 5.3 their names of 5.4."""
        old_names = {new: old for old, new in RENAMED.get(self._table.name, {}).items()}
        renames = [
            f"{duck.name(old_names[field])} AS {duck.name(field)}"
            for field, place in found.places.items()
            if found.layout.header[place].lower() == old_names.get(field)
        ]
        return f"(SELECT *, {', '.join(renames)} FROM {source})" if renames else source

    @staticmethod
    def _fast_field(field: Field, column: str, found: Opened) -> str:
        value = column if field.name in found.places else "NULL"
        return f"CAST({value} AS {field.datatype.duckdb}) AS {duck.name(field.name)}"

    def _guarded(self, fields: list[str], found: Opened) -> list[str]:
        """Let the statement fail where a cast would quietly round ``12.7`` to a whole number."""
        whole = [
            f"c{place}"
            for field, place in found.places.items()
            if self._table.field(field).datatype in _WHOLE
        ]
        if not whole:
            return fields
        doubt = f"regexp_matches(concat({', '.join(whole)}), '[^0-9-]')"
        expression, _, alias = fields[0].rpartition(" AS ")
        return [f"CASE WHEN {doubt} THEN error('doubt') ELSE {expression} END AS {alias}", *fields[1:]]

    def _passes(self, files: tuple[Path, ...], rows: int, given: list[Field]) -> bool:
        lacking = "".join(
            f", CAST(NULL AS {field.datatype.duckdb}) AS {duck.name(field.name)}"
            for field in self._table.fields
            if field not in given
        )
        source = f"(SELECT *{lacking} FROM {duck.parquets(files)})"
        if self._checks:
            failed = " OR ".join(f"({check.condition})" for check in self._checks)
            row = duck.run(self._connection, f"SELECT count(*) FILTER (WHERE {failed}) FROM {source}")
            if row[0]:
                return False
        return not self._table.key or self._keys_differ(source, rows)

    def _keys_differ(self, source: str, rows: int) -> bool:
        key = self._table.key
        listed = ", ".join(duck.name(field) for field in key)
        whole = len(key) == 1 and self._table.field(key[0]).datatype is Datatype.BIGINT
        if whole and rows <= _SORTED_IN_MEMORY:
            values = self._connection.execute(f"SELECT {listed} FROM {source}").to_arrow_table().column(0)
            if values.null_count:
                return False
            ordered = sorted_array(values)
            return not bool((ordered[1:] == ordered[:-1]).any())
        row = duck.run(self._connection, f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM {source})")
        return int(row[0]) == rows

    # The careful reading: texts with record numbers, every value checked.

    def _careful(self, opened: list[Opened]) -> StagedTable:
        self._log.restart()
        candidates: list[Candidates] = []
        for found in opened:
            texts = self._texts(found)
            self._progress.add(texts.rows, found.file.size)
            if not self._refused_whole(found, texts):
                candidates.append(self._typed(found, texts))
        target = self._staged / f"{self._table.name}-0001.parquet"
        for stale in self._staged.glob(f"{self._table.name}-*.parquet"):
            stale.unlink()
        written = (
            Sorter(self._connection, self._table, self._log).sort(candidates, target) if candidates else 0
        )
        files = (target,) if candidates else ()
        read = written + self._log.count
        if read == 0:
            self._warn(None, "file.header_only")
        return StagedTable(self._table.name, files, read, written, self._log.count)

    def _texts(self, found: Opened) -> Texts:
        if found.is_parquet:
            return self._reader.from_parquet(found.file, found.layout.header)
        return self._reader.from_csv(
            found.file,
            found.layout,
            Declared(),
            self._digests[found.file].has_nul and is_utf8(found.layout.encoding),
            lambda record, code, text: self._log.add(found.file.label, record, None, code, text),
        )

    def _refused_whole(self, found: Opened, texts: Texts) -> bool:
        """Send every record of a file to quarantine when a field's column stands twice in its header."""
        fields = sorted(name for name in found.places if found.layout.header[found.places[name]].lower()
                        in found.layout.repeated)  # fmt: skip
        if not fields:
            return False
        refuse_all(self._connection, texts, fields[0], self._log)
        return True

    def _typed(self, found: Opened, texts: Texts) -> Candidates:
        comma = found.layout.delimiter != "," and not found.is_parquet
        values: dict[str, Value] = {
            field: typed(self._table.field(field), texts.column(place), comma)
            for field, place in found.places.items()
        }
        if self._is_numbered(found):
            values[self._table.key[0]] = Value("record")
        return write_candidates(self._connection, self._reader, self._table, values, self._checks, texts)
