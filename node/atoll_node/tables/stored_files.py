"""List and remove the data files of a table on its store, whatever version they belong to."""

import re
from collections.abc import Iterable
from pathlib import Path

from atoll_node.errors import LakeError
from atoll_node.release import PinnedFile
from atoll_node.tables.delta_adapter import local_root
from atoll_node.tables.places import Places
from atoll_node.tables.s3_adapter import Bucket

_LOG = "_delta_log/"
_CHECKPOINT = re.compile(r"_delta_log/(?P<version>[0-9]{20})\.checkpoint\.parquet")


class StoredFiles:
    """The Parquet files below one table's root."""

    def __init__(self, places: Places, uri: str) -> None:
        self._uri = uri
        self._root = local_root(uri)
        self._bucket = None
        if self._root is None:
            if places.s3 is None or places.keys is None:
                raise LakeError("store.none", "this store is not in S3")
            self._bucket = Bucket(places.s3, places.keys)

    def list(self) -> tuple[PinnedFile, ...]:
        """Return every data file with its size; rows are not counted."""
        return tuple(
            PinnedFile(path=path, bytes=size, rows=0)
            for path, size in self._parquet()
            if not path.startswith(_LOG)
        )

    def checkpoint(self) -> int | None:
        """Return the version of the newest checkpoint, or ``None``."""
        found = (_CHECKPOINT.fullmatch(path) for path, _ in self._parquet())
        return max((int(named["version"]) for named in found if named is not None), default=None)

    def _parquet(self) -> tuple[tuple[str, int], ...]:
        if self._bucket is not None:
            found: Iterable[tuple[str, int]] = self._bucket.list(self._uri)
        else:
            found = _local(self._root or Path(self._uri))
        return tuple(sorted((path, size) for path, size in found if path.endswith(".parquet")))

    def remove(self, files: Iterable[PinnedFile]) -> None:
        """Remove files for good. A file that is gone already is no fault."""
        paths = [file.path for file in files]
        if self._bucket is not None:
            self._bucket.remove(self._uri, paths)
            return
        root = self._root or Path(self._uri)
        for path in paths:
            (root / path).unlink(missing_ok=True)


def _local(root: Path) -> Iterable[tuple[str, int]]:
    for file in root.rglob("*.parquet"):
        yield str(file.relative_to(root)), file.stat().st_size
