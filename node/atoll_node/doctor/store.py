"""Judge the store by what it does: keys, parts, lists, room, older versions, and what the races said."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import BinaryIO, Protocol

from atoll_node.doctor.examination import Finding, blocker, ok, warning
from atoll_node.doctor.machine import GB, LEAST_FREE, Volume
from atoll_node.errors import LakeError
from atoll_node.store.race import Bucket
from atoll_node.store.s3_adapter import PART_BYTES, Versioning
from atoll_node.store.verdict import Verdict

PARTS_BYTES = 2 * PART_BYTES + 1_000_003
ROOM_BYTES = 4 * 1024 * 1024
_LISTED = 5


class PartsBucket(Bucket, Protocol):
    """A bucket that takes objects in parts and gives them back as a stream."""

    def put_in_parts(self, key: str, content: BinaryIO, length: int = -1) -> None:
        """Write an object in parts."""

    def stream(self, key: str) -> Iterator[bytes]:
        """Read an object piece by piece."""


def without_tls(host: str) -> Finding:
    """Say what plain http means where the store is another machine."""
    if host in ("localhost", "127.0.0.1", "::1"):
        return ok("the store is on this machine: no TLS is needed")
    return warning(
        "the way to the store has no TLS: what is read and written can be seen on the network between",
        "give the store a certificate and write store.endpoint with https://",
    )


def credentials(bucket: Bucket, place: str, *, told: str) -> Finding:
    """Write, read and remove one small object; a store's no arrives as the node's error with its fix."""
    content = os.urandom(16)
    bucket.put(place, content)
    given = bucket.get(place)
    bucket.remove([place])
    if given != content:
        return blocker("the store gave back other bytes than were written", "see the store's own log")
    return ok(told)


def from_verdict(verdicts: Mapping[str, Verdict], good: str) -> Finding:
    """Turn a verdict of the races into a finding: the good one, else the one that refused the store."""
    if good in verdicts:
        return ok(verdicts[good].told)
    bad = next((verdict for verdict in verdicts.values() if not verdict.safe), None)
    if bad is None:
        return warning("this race was not run", "run: atoll-node doctor")
    return blocker(bad.told, bad.fix)


def multipart(bucket: PartsBucket, place: str) -> Finding:
    """Write an object in three parts and compare what comes back."""
    block = os.urandom(1 << 20)
    content = (block * (PARTS_BYTES // len(block) + 1))[:PARTS_BYTES]
    try:
        bucket.put_in_parts(place, io.BytesIO(content), len(content))
        given = sha256(b"".join(bucket.stream(place))).digest()
    except LakeError as error:
        if error.code == "store.full":
            raise
        return blocker(
            f"an object in parts could not be written: {error.message}",
            "let the store take multipart uploads; a gateway before it may have to pass POST on",
        )
    finally:
        bucket.remove([place])
    if given != sha256(content).digest():
        return blocker("an object in parts came back with other bytes", "do not use this store")
    return ok(f"{len(content) // 1_000_000} MB in parts came back the same")


def list_after_write(bucket: Bucket, place: str) -> Finding:
    """Write a few objects and list them at once: all must be there, and none after they were removed."""
    keys = {f"{place}/{number}" for number in range(_LISTED)}
    for key in keys:
        bucket.put(key, b"atoll")
    seen = {one.key for one in bucket.list(f"{place}/")}
    bucket.remove(keys)
    left = {one.key for one in bucket.list(f"{place}/")}
    if seen != keys or left:
        there = len(seen & keys)
        return blocker(
            f"{there} of {len(keys)} new objects were listed at once, and {len(left)} that were removed",
            "turn on strong consistency in the store, or use another: tables are found by listing",
        )
    return ok(f"{len(keys)} new objects were listed at once")


def room(bucket: Bucket, place: str) -> Finding:
    """See that the store takes some megabytes: S3 tells its free space to nobody."""
    bucket.put(place, os.urandom(ROOM_BYTES))
    bucket.remove([place])
    return ok(
        f"{ROOM_BYTES // 1_000_000} MB could be written; how much more, only the store's own console tells"
    )


def room_of_folder(volume: Volume) -> Finding:
    """See that the disk of the lake has room."""
    told = f"{volume.free / GB:.1f} GB are free on the lake's disk"
    if volume.free < LEAST_FREE:
        return blocker(told, "free some room, or move the lake: atoll-node store migrate")
    return ok(told)


def versioning(found: Versioning | None) -> Finding:
    """See that what is deleted does not stay for ever in older versions of objects."""
    if found is None:
        return ok("the store does not tell whether it keeps older versions")
    if not found.on:
        return ok("no older versions are kept: what is deleted is gone")
    if found.days is None:
        return warning(
            "deleted content stays for ever as older versions, persons who were forgotten too",
            "run: atoll-node store init --apply, with a key that may set the bucket's rules",
        )
    return ok(f"deleted content stays {found.days} days as older versions, then it is gone")


def for_folder(told: str) -> Callable[[], Finding]:
    """A line that has nothing to ask of a folder."""
    return lambda: ok(told)
