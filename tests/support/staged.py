"""Make staged batches for tests: rows become the typed Parquet that the source stage would leave."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from atoll_node.staging import Staged, StagedTable
from tests.support.lake import Rows, arrow_of


def staged_of(
    tables: Mapping[str, Rows], folder: Path, *, dataset: str = "test", batch: str = "batch-1"
) -> Staged:
    """Write each table below ``folder`` and return the batch that names the files."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for name, rows in tables.items():
        file = folder / f"{name}.parquet"
        pq.write_table(arrow_of(name, rows), file)
        items.append(StagedTable(name, (file,), read=len(rows), written=len(rows), quarantined=0))
    return Staged(dataset=dataset, batch=batch, tables=tuple(items), quarantined=())
