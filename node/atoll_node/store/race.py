"""Let writers race for the same new files of a bucket, and see what each is told."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from atoll_node.store.s3_adapter import Stored
from atoll_node.store.verdict import Reply, Round

WRITERS = 8
ROUNDS = 16


@dataclass(frozen=True)
class Commits:
    """What the writers were told, and what the table says."""

    writers: int
    acknowledged: int
    visible: int
    versions: int


class Bucket(Protocol):
    """A place of objects by key: a bucket in S3, or a folder."""

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""

    def put_new(self, key: str, content: bytes) -> Reply:
        """Write an object only when there is none."""

    def get(self, key: str) -> bytes | None:
        """Read an object; ``None`` when there is none."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """List the objects below a prefix."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects."""


def race(bucket: Bucket, place: str, *, writers: int = WRITERS, rounds: int = ROUNDS) -> tuple[Round, ...]:
    """Run the rounds below ``place``, one file each, and leave nothing behind."""
    keys = [f"{place}/{number:03d}" for number in range(rounds)]
    try:
        with ThreadPoolExecutor(writers) as pool:
            return tuple(_round(bucket, key, pool, writers) for key in keys)
    finally:
        bucket.remove(keys)


def _round(bucket: Bucket, key: str, pool: ThreadPoolExecutor, writers: int) -> Round:
    start = threading.Barrier(writers)

    def write(writer: int) -> Reply:
        start.wait()
        return bucket.put_new(key, _signature(writer))

    replies = tuple(pool.map(write, range(writers)))
    standing = bucket.get(key)
    return Round(replies, next((n for n in range(writers) if _signature(n) == standing), None))


def _signature(writer: int) -> bytes:
    return b"atoll race, writer %d" % writer
