"""Make releases for tests: rows or Arrow tables become Parquet files that a release pins."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atoll_node.release import PinnedFile, PinnedTable, Release
from atoll_schemas.tables import Datatype, core_1

Rows = Sequence[Mapping[str, Any]]
_ARROW = {
    Datatype.BIGINT: pa.int64(),
    Datatype.INTEGER: pa.int32(),
    Datatype.DOUBLE: pa.float64(),
    Datatype.DATE: pa.date32(),
    Datatype.TIMESTAMP: pa.timestamp("us"),
    Datatype.VARCHAR: pa.string(),
}


def arrow_of(name: str, rows: Rows) -> pa.Table:
    """Return rows as an Arrow table with every column of the ``core@1`` table; absent fields are null."""
    fields = core_1().table(name).fields
    unknown = {key for row in rows for key in row} - {field.name for field in fields}
    if unknown:
        raise KeyError(f"{name} has no {sorted(unknown)}")
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], _ARROW[field.datatype])
        for field in fields
    }
    return pa.table(columns)


def release_of(
    tables: Mapping[str, pa.Table | Rows], folder: Path, *, site: str = "atoll-a", dataset: str = "test"
) -> Release:
    """Write each table below ``folder`` as one Parquet file and return the release that pins them.

    The folder is named after the content, so that many releases may share one ``folder``.
    """
    files: dict[str, tuple[Path, ...]] = {}
    for name, content in tables.items():
        table = content if isinstance(content, pa.Table) else arrow_of(name, content)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        data = sink.getvalue().to_pybytes()
        file = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}" / "part-0.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        files[name] = (file,)
    return release_of_files(files, site=site, dataset=dataset)


def release_of_files(
    files: Mapping[str, Sequence[Path]], *, site: str = "atoll-a", dataset: str = "test"
) -> Release:
    """Return a release over existing Parquet files; the files of one table lie in one folder."""
    pinned = tuple(_pinned(name, paths) for name, paths in sorted(files.items()))
    text = "\n".join(path for table in pinned for path in table.paths())
    return Release(
        name=f"{dataset}-0001",
        site=site,
        dataset=dataset,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        tables=pinned,
        content_digest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
    )


def _pinned(name: str, paths: Sequence[Path]) -> PinnedTable:
    pins = tuple(
        PinnedFile(path=path.name, bytes=path.stat().st_size, rows=pq.read_metadata(path).num_rows)
        for path in paths
    )
    return PinnedTable(
        name=name,
        uri=str(paths[0].parent),
        version=0,
        rows=sum(pin.rows for pin in pins),
        files=pins,
    )
