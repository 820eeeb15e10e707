"""Read flat CSV files through a mapping: every row may yield records of several tables.

A row that is broken, has no person or repeats another's key is one quarantined record of the first table
that its file feeds. Otherwise each record that a row yields is read and written, or quarantined, by itself.
"""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from atoll_node.errors import SourceError
from atoll_node.sources import duck
from atoll_node.sources.candidates import Candidates, Sorter, originals, refuse_all, write_candidates
from atoll_node.sources.defects import DUPLICATE_KEY, REQUIRED, WARNINGS
from atoll_node.sources.encoding import is_utf8
from atoll_node.sources.files import Digested, SourceFile, source_file
from atoll_node.sources.mapping import FileSpec, Mapping
from atoll_node.sources.mapping_file import check_columns, named_columns
from atoll_node.sources.progress import Listener, TableProgress
from atoll_node.sources.quarantine import QuarantineLog
from atoll_node.sources.rules import rules_of, stable_number
from atoll_node.sources.texts import Declared, Layout, TextReader, Texts, layout_of
from atoll_node.sources.values import present, record_checks
from atoll_node.staging import SourceWarning, StagedTable
from atoll_schemas.tables import core_1

_ROW_CODES = (REQUIRED, DUPLICATE_KEY)


@dataclass(frozen=True)
class FlatFile:
    """One of the mapping's files with its header."""

    spec: FileSpec
    file: SourceFile
    layout: Layout


@dataclass(frozen=True)
class Rows:
    """A file's texts, and its rows with ``source_id``, ``person_id``, ``row_key`` and ``fault`` beside."""

    texts: Texts
    parquet: Path


def files_of(mapping: Mapping, folder: Path) -> tuple[SourceFile, ...]:
    """Find the mapping's files. Raises ``SourceError`` by the place in the mapping, not by the name."""
    found = []
    for place, spec in enumerate(mapping.files):
        path = folder / spec.path
        if not path.is_file():
            raise SourceError(
                "source.file",
                f"files[{place}]: the file is not in the dataset's folder",
                "correct files.path in the mapping, or put the file there",
            )
        found.append(source_file(path, folder, place + 1))
    return tuple(found)


def unread(mapping: Mapping, folder: Path) -> tuple[SourceWarning, ...]:
    """Tell which files of the folder no part of the mapping reads."""
    known = {spec.path for spec in mapping.files}
    return tuple(
        SourceWarning(None, path.name, "file.unknown", "no part of the mapping reads this file")
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in known and path.suffix.lower() not in {".toml", ".yaml", ".yml"}
    )


class FlatSource:
    """Reads one flat dataset."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        mapping: Mapping,
        files: tuple[SourceFile, ...],
        digests: MappingType[SourceFile, Digested],
        work: Path,
        progress: Listener,
        today: date,
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._digests = digests
        self._staged = work / "staged"
        self._reader = TextReader(connection, work / "texts")
        self._progress = progress
        self._today = today
        self.warnings: list[SourceWarning] = []
        self._files = tuple(
            FlatFile(spec, file, layout_of(file, self._known(spec), Declared(spec.encoding, spec.delimiter)))
            for spec, file in zip(mapping.files, files, strict=True)
        )
        check_columns(
            mapping, {each.spec.name: each.layout.header for each in self._files if each.layout.header}
        )

    def _known(self, spec: FileSpec) -> tuple[str, ...]:
        named = (column for record in self._mapping.records if record.file == spec.name
                 for _, column in named_columns(record))  # fmt: skip
        return (spec.person, *spec.key, *named)

    def stage(self, logs: MappingType[str, QuarantineLog]) -> tuple[tuple[StagedTable, ...], Path]:
        """Read all files and write all tables; return them and the file of person identifiers."""
        rows = {flat.spec.name: found for flat in self._files
                if (found := self._rows(flat, logs[self._home(flat.spec)])) is not None}  # fmt: skip
        tables = tuple(self._table(name, rows, log) for name, log in logs.items())
        return tables, self._person_ids(tuple(rows.values()))

    def _home(self, spec: FileSpec) -> str:
        """Return the first table that a file feeds: there its broken rows are counted."""
        return next(
            (record.table for record in self._mapping.records if record.file == spec.name),
            self._mapping.records[0].table,
        )

    def _rows(self, flat: FlatFile, log: QuarantineLog) -> Rows | None:
        if not flat.layout.header:
            self._warn(log.table, flat.file, "file.empty")
            return None
        texts = self._reader.from_csv(
            flat.file,
            flat.layout,
            Declared(flat.spec.encoding, flat.spec.delimiter),
            self._digests[flat.file].has_nul and is_utf8(flat.layout.encoding),
            lambda record, code, text: log.add(flat.file.label, record, None, code, text),
        )
        TableProgress(log.table, flat.file.size, self._progress).add(texts.rows, flat.file.size)
        repeated = sorted(set(self._known(flat.spec)) & {
            name for name in flat.layout.header if name.lower() in flat.layout.repeated
        })  # fmt: skip
        if repeated:
            refuse_all(self._connection, texts, repeated[0], log)
            return None
        if texts.rows == 0:
            self._warn(log.table, flat.file, "file.header_only")
        return self._sound_rows(flat.spec, texts, log)

    def _warn(self, table: str, file: SourceFile, code: str) -> None:
        self.warnings.append(SourceWarning(table, file.label, code, WARNINGS[code]))

    def _sound_rows(self, spec: FileSpec, texts: Texts, log: QuarantineLog) -> Rows:
        """Give each row its person and key; send rows without a person or with a repeated key away."""
        person = present(texts.column(texts.header.index(spec.person)), spec.absent)
        key = [texts.column(texts.header.index(column)) for column in spec.key or texts.header]
        joined = ", ".join(f"coalesce(trim({column}), '')" for column in key)
        keyed = f"SELECT *, {person} AS source_id, sha256(concat_ws(chr(31), {joined})) AS row_key"
        person_id = stable_number("'person|' || source_id")
        place = "row_number() OVER (PARTITION BY row_key ORDER BY record)"
        select = (
            f"SELECT *, {person_id} AS person_id, "
            f"CASE WHEN source_id IS NULL THEN 1 WHEN {place} > 1 THEN 2 ELSE 0 END AS fault "
            f"FROM ({keyed} FROM {duck.parquet(texts.parquet)})"
        )
        target = self._reader.target("rows")
        duck.run(self._connection, duck.copy(select, target))
        fields = (spec.person, spec.key[0] if len(spec.key) == 1 else None)
        faults = f"SELECT record, fault AS defect FROM {duck.parquet(target)} WHERE fault > 0"
        for record, fault, values in originals(self._connection, texts, faults):
            log.add(texts.file.label, record, fields[fault - 1], _ROW_CODES[fault - 1], values)
        return Rows(texts, target)

    def _table(self, name: str, rows: MappingType[str, Rows], log: QuarantineLog) -> StagedTable:
        candidates = [found for place, record in enumerate(self._mapping.records)
                      if record.table == name and record.file in rows
                      for found in self._candidates(place, rows[record.file])]  # fmt: skip
        target = self._staged / f"{name}-0001.parquet"
        written = (
            Sorter(self._connection, core_1().table(name), log).sort(candidates, target) if candidates else 0
        )
        files = (target,) if candidates else ()
        return StagedTable(name, files, written + log.count, written, log.count)

    def _candidates(self, place: int, rows: Rows) -> list[Candidates]:
        record = self._mapping.records[place]
        table = core_1().table(record.table)
        spec = next(spec for spec in self._mapping.files if spec.name == record.file)
        checks = record_checks(table, self._today)
        found = []
        for rule in rules_of(table, record, spec, rows.texts, self._rule_name(place)):
            source = f"(SELECT * FROM {duck.parquet(rows.parquet)} WHERE fault = 0 AND {rule.where})"
            found.append(
                write_candidates(
                    self._connection, self._reader, table, rule.values, checks, rows.texts, source, rule.first
                )
            )
        return found

    def _rule_name(self, place: int) -> str:
        """Name a kind of record by its file, table and place among those of the same file and table."""
        record = self._mapping.records[place]
        before = sum(
            (other.file, other.table) == (record.file, record.table)
            for other in self._mapping.records[:place]
        )
        return f"{record.file}/{record.table}/{before}"

    def _person_ids(self, rows: tuple[Rows, ...]) -> Path:
        target = self._staged / "person_ids.parquet"
        parts = (
            " UNION ALL ".join(
                f"SELECT source_id, person_id FROM {duck.parquet(found.parquet)} WHERE source_id IS NOT NULL"
                for found in rows
            )
            or "SELECT CAST(NULL AS VARCHAR) AS source_id, CAST(NULL AS BIGINT) AS person_id WHERE false"
        )
        duck.run(self._connection, duck.copy(f"SELECT DISTINCT source_id, person_id FROM ({parts})", target))
        count = f"SELECT count(*) - count(DISTINCT person_id) FROM {duck.parquet(target)}"
        if duck.run(self._connection, count)[0]:
            raise SourceError("source.collision", "two person identifiers gave the same number")
        return target
