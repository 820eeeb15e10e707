"""Give the one writer of a dataset its lock, an empty scratch folder, and a DuckDB that reads the store."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll_node.deidentify.duckdb_adapter import Connection, open_connection
from atoll_node.engine.connection import S3Access, reach
from atoll_node.home import Home
from atoll_node.tables.places import Places
from atoll_node.tables.writer import sole_writer


@contextmanager
def workroom(dataset: str, home: Home) -> Iterator[Path]:
    """Hold the dataset's lock and an empty scratch folder, which is emptied again at the end."""
    scratch = home.scratch / dataset
    with sole_writer(home.state.parent / f"{dataset}.lock"):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def connected(scratch: Path, places: Places) -> Iterator[Connection]:
    """Open a bounded DuckDB that can read the store's files."""
    with open_connection(scratch) as connection:
        if places.s3 is not None and places.keys is not None:
            access = S3Access(
                endpoint=places.s3.endpoint,
                access_key=places.keys.access,
                secret_key=places.keys.secret,
                region=places.s3.region,
                path_style=places.s3.path_style,
                ca_file=places.s3.ca_file,
            )
            reach(connection, access)
        yield connection
