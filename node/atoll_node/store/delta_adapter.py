"""Let several Delta writers commit to one table at once, and count what is there afterwards."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.schema import PrimitiveType

from atoll_node.errors import LakeError
from atoll_node.store.race import Commits
from atoll_node.tables.places import Places

WRITERS = 4
COMMITS = 5
_RETRIES = 60
"""So often a writer tries the next version; with so many writers a loser soon wins."""


def race_commits(places: Places, uri: str, *, writers: int = WRITERS, commits: int = COMMITS) -> Commits:
    """Let ``writers`` append ``commits`` rows each, one a commit. The table stays, for who reads it next."""
    options = places.storage_options()
    try:
        with places.trusted():
            DeltaTable.create(uri, Schema([Field("writer", PrimitiveType("long"))]), storage_options=options)
            tables = [DeltaTable(uri, storage_options=options) for _ in range(writers)]
        with ThreadPoolExecutor(writers) as pool:
            start = threading.Barrier(writers)
            told = list(pool.map(lambda table: _append(table, commits, start), tables))
        with places.trusted():
            seen = DeltaTable(uri, storage_options=options)
        rows = pa.table(seen.get_add_actions(flatten=True))["num_records"].to_pylist()
    except (DeltaError, OSError) as error:
        raise LakeError(
            "store.delta",
            "a Delta table could not be written to the store",
            "see that the key may list, read, write and delete, and see the store's own log",
        ) from error
    return Commits(writers, sum(told), sum(rows), seen.version())


def live_files(places: Places, uri: str) -> tuple[str, ...]:
    """Return the full paths of the files of a table's newest version."""
    with places.trusted():
        table = DeltaTable(uri, storage_options=places.storage_options())
    paths = pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    return tuple(f"{uri}/{path}" for path in paths)


def _append(table: DeltaTable, commits: int, start: threading.Barrier) -> int:
    """Return how many commits the writer was told had gone through."""
    rows = pa.table({"writer": pa.array([0], pa.int64())})
    properties = CommitProperties(max_commit_retries=_RETRIES)
    start.wait()
    told = 0
    for _ in range(commits):
        try:
            write_deltalake(table, rows, mode="append", commit_properties=properties)
        except DeltaError:
            continue
        told += 1
    return told
