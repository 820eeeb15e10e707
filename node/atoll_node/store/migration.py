"""Copy a lake from one place to another, object by object, and believe no copy that was not read back.

Data files go first and Delta logs last, in the order of their versions, so that a table at the new place is
never ahead of its files. A copy that is cut off goes on where it was; one run again brings what changed.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Protocol

from atoll_node.errors import LakeError
from atoll_node.store.copy_journal import Copied, CopyJournal
from atoll_node.store.proof import OWN_FOLDER
from atoll_node.store.s3_adapter import Stored

AT_ONCE = 4
_LOG = "/_delta_log/"
_MARK = f"{OWN_FOLDER}/migration"


class Bucket(Protocol):
    """What a copy needs of a bucket or folder."""

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""

    def put_file(self, key: str, file: Path) -> None:
        """Write an object from a file."""

    def get(self, key: str) -> bytes | None:
        """Read an object; ``None`` when there is none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Read an object piece by piece."""

    def stat(self, key: str) -> Stored | None:
        """Return one object; ``None`` when there is none."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """List the objects below a prefix."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects."""


@dataclass(frozen=True)
class Place:
    """Where a lake lies: a bucket, and the prefix below which its datasets are."""

    bucket: Bucket
    prefix: str = ""

    def key(self, name: str) -> str:
        """Return the key of an object of the lake."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def objects(self) -> dict[str, Stored]:
        """Return the lake's objects by name; what the node uses to try a store is none of them."""
        start = f"{self.prefix}/" if self.prefix else ""
        found = ((one.key.removeprefix(start), one) for one in self.bucket.list(start))
        return {name: one for name, one in found if not name.startswith(f"{OWN_FOLDER}/")}


@dataclass(frozen=True)
class Step:
    """How far a copy is."""

    objects: int
    of: int
    bytes: int
    of_bytes: int


@dataclass(frozen=True)
class Report:
    """What one run of a copy did."""

    objects: int
    bytes: int
    copied: int
    kept: int
    removed: int


def copy_lake(
    source: Place,
    target: Place,
    journal: CopyJournal,
    scratch: Path,
    progress: Callable[[Step], None],
) -> Report:
    """Make ``target`` hold exactly the objects of ``source``. Raises ``LakeError`` and may be run again."""
    _claim(target, journal)
    there, here = source.objects(), target.objects()
    todo = [name for name in there if not _is_copied(journal.get(name), there[name], here.get(name))]
    copier = _Copier(source, target, journal, scratch, progress, [there[name] for name in todo])
    data = sorted(name for name in todo if _LOG not in f"/{name}")
    logs = sorted(name for name in todo if _LOG in f"/{name}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Every result is asked for, so that a fault of one ends the whole.
        list(pool.map(lambda name: copier.copy(name, there[name]), data))
        tables = [tuple(group) for _, group in groupby(logs, lambda name: name.partition(_LOG)[0])]
        list(pool.map(lambda names: copier.copy_in_order(names, there), tables))
    gone = [name for name in here if name not in there]
    target.bucket.remove([target.key(name) for name in gone])
    for name in gone:
        journal.drop(name)
    total = sum(one.bytes for one in there.values())
    return Report(len(there), total, len(todo), len(there) - len(todo), len(gone))


def missing(wanted: Iterable[tuple[str, int]], journal: CopyJournal) -> list[str]:
    """Return the names of wanted objects that are not at the new place with the wanted size."""
    return [name for name, size in wanted if (found := journal.get(name)) is None or found.bytes != size]


def _claim(target: Place, journal: CopyJournal) -> None:
    """See that what lies at the new place was put there by this very copy, or that nothing does."""
    mark = target.bucket.get(target.key(_MARK))
    if mark is not None and mark.decode("ascii", errors="replace") == journal.id:
        return
    if mark is not None or target.objects():
        raise LakeError(
            "store.not_empty",
            "something lies at the new place that this copy did not put there",
            "name an empty place: another prefix, bucket or folder",
        )
    target.bucket.put(target.key(_MARK), journal.id.encode("ascii"))


def _is_copied(noted: Copied | None, there: Stored, here: Stored | None) -> bool:
    return (
        noted is not None
        and here is not None
        and (noted.bytes, noted.source_mark) == (there.bytes, there.mark)
        and (here.bytes, here.mark) == (noted.bytes, noted.target_mark)
    )


class _Copier:
    """Copies objects, several at once, and counts."""

    def __init__(
        self,
        source: Place,
        target: Place,
        journal: CopyJournal,
        scratch: Path,
        progress: Callable[[Step], None],
        todo: list[Stored],
    ) -> None:
        self._source = source
        self._target = target
        self._journal = journal
        self._scratch = scratch
        self._progress = progress
        self._of, self._of_bytes = len(todo), sum(one.bytes for one in todo)
        self._done = self._done_bytes = 0
        self._lock = threading.Lock()

    def copy(self, name: str, stored: Stored) -> None:
        """Bring one object over, read it back, and note it. One that vanished meanwhile is left out."""
        key = self._target.key(name)
        digest = self._carried(self._source.key(name), key)
        if digest is not None:
            read_back = sha256()
            for piece in self._target.bucket.stream(key):
                read_back.update(piece)
            if read_back.hexdigest() != digest:
                raise LakeError(
                    "store.copy_differs",
                    "an object at the new place is not what was written there",
                    "do not use the new store; the old one is as it was",
                )
        written = None if digest is None else self._target.bucket.stat(key)
        with self._lock:
            if digest is not None and written is not None:
                self._journal.add(Copied(name, written.bytes, digest, stored.mark, written.mark))
            self._done += 1
            self._done_bytes += stored.bytes
            self._progress(Step(self._done, self._of, self._done_bytes, self._of_bytes))

    def copy_in_order(self, names: Iterable[str], there: Mapping[str, Stored]) -> None:
        """Bring over the log of one table, version by version."""
        for name in names:
            self.copy(name, there[name])

    def _carried(self, source_key: str, target_key: str) -> str | None:
        """Carry an object through a file of scratch; return its SHA-256, or ``None`` when it is gone."""
        file = self._scratch / f"copy-{threading.get_ident()}"
        digest = sha256()
        try:
            with file.open("wb") as out:
                for piece in self._source.bucket.stream(source_key):
                    digest.update(piece)
                    out.write(piece)
            self._target.bucket.put_file(target_key, file)
        except LakeError as error:
            if error.code != "store.no_object":
                raise
            return None
        finally:
            file.unlink(missing_ok=True)
        return digest.hexdigest()
