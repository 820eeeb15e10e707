"""Look at the store itself, past every fault, and say what does not hold."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from atoll_node.engine.connection import S3Access, reach
from atoll_node.release import PinnedTable
from atoll_node.tables.writer import Lake
from bench.faults.writer import ROWS, SPEC
from tests.support.s3_server import ACCESS, BUCKET, SECRET, S3Server

_COMMIT = re.compile(r"([0-9]{20})\.json")


@dataclass(frozen=True)
class Pinned:
    """A release, in what it promises: these files with these bytes."""

    table: PinnedTable
    digest: str


class Truth:
    """The checks over one table of a lake."""

    def __init__(self, server: S3Server, lake: Lake) -> None:
        self._server = server
        self._lake = lake
        self._log = lake.table(SPEC).uri.removeprefix(f"s3://{BUCKET}/") + "/_delta_log/"

    def breaches(self, acknowledged: Iterable[int], attempted: int, releases: Iterable[Pinned]) -> list[str]:
        """Return what does not hold; empty when all is well."""
        found = self._rows(frozenset(acknowledged), attempted)
        found += self._gaps()
        found += [
            f"release at version {one.table.version} has other bytes"
            for one in releases
            if self.digest(one.table) != one.digest
        ]
        return found

    def pin(self) -> Pinned | None:
        """Pin the newest version as a release does."""
        pinned = self._lake.table(SPEC).pinned()
        return None if pinned is None else Pinned(pinned, self.digest(pinned))

    def digest(self, table: PinnedTable) -> str:
        """Return a digest over every byte of a version's files."""
        digest = hashlib.sha256()
        for path in table.paths():
            reply = self._server.client.get_object(BUCKET, path.removeprefix(f"s3://{BUCKET}/"))
            digest.update(reply.read())
            reply.close()
            reply.release_conn()
        return digest.hexdigest()

    def _rows(self, acknowledged: frozenset[int], attempted: int) -> list[str]:
        pinned = self._lake.table(SPEC).pinned()
        if pinned is None or not pinned.files:
            return ["acknowledged rows are gone"] if acknowledged else []
        with duckdb.connect() as connection:
            reach(connection, S3Access(self._server.endpoint, ACCESS, SECRET))
            listed = ", ".join(f"'{path}'" for path in pinned.paths())
            counts = connection.execute(
                f"SELECT person_id, count(*), count(DISTINCT observation_period_id)"
                f" FROM read_parquet([{listed}]) GROUP BY ALL"
            ).fetchall()
        rows = {batch: (count, distinct) for batch, count, distinct in counts}
        lost = [f"batch {batch} was acknowledged and is gone" for batch in acknowledged - rows.keys()]
        wrong = [f"batch {batch} has {found} rows" for batch, found in rows.items() if found != (ROWS, ROWS)]
        strange = [f"batch {batch} was never written" for batch in rows if not 0 <= batch < attempted]
        return lost + wrong + strange

    def _gaps(self) -> list[str]:
        objects = self._server.client.list_objects(BUCKET, prefix=self._log)
        names = (_COMMIT.fullmatch(str(one.object_name).removeprefix(self._log)) for one in objects)
        versions = sorted(int(name[1]) for name in names if name is not None)
        return [] if versions == list(range(len(versions))) else ["the log has a gap"]
