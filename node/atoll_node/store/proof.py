"""Prove that a store may hold the lake, keep the proof with the store's identity, and refuse any other."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.store.kept_proof import Identity, Proof
from atoll_node.store.race import Bucket, Commits, race
from atoll_node.store.verdict import Verdict, judged_commits, judged_condition, judged_race
from atoll_schemas.problems import ExitCode

OWN_FOLDER = "_atoll"
"""Below the store's prefix: what the node writes to try the store. No dataset has such a name."""


class UnsafeStore(LakeError):
    """The store would lose saved rows: the node does not write to it."""

    exit_code = ExitCode.REFUSED


class NamedBucket(Bucket, Protocol):
    """A bucket whose server says its name."""

    def server_name(self) -> str:
        """Return what the store calls itself."""


def prove(
    store: S3Store,
    bucket: NamedBucket,
    commits: Callable[[str], Commits],
    kept: Proof | None,
    *,
    new_id: Callable[[], str],
    clock: Callable[[], datetime],
) -> Proof:
    """Try the store, unless ``kept`` is a good proof of this very one; the condition is tried each time.

    ``commits`` lets Delta writers race for a table at a key below the bucket.
    """
    own = own_folder(store)
    mark = _mark(bucket, f"{own}/store", new_id)
    identity = Identity(
        endpoint=store.endpoint,
        bucket=store.bucket,
        prefix=store.prefix,
        path_style=store.path_style,
        server=bucket.server_name(),
        mark=mark.decode("ascii", errors="replace"),
    )
    verdicts = [judged_condition(bucket.put_new(f"{own}/store", mark))]
    if verdicts[-1].safe and kept is not None and kept.safe and kept.identity == identity:
        return kept
    if verdicts[-1].safe:
        verdicts.append(judged_race(race(bucket, f"{own}/race-{new_id()}")))
    if verdicts[-1].safe:
        verdicts.append(raced_commits(bucket, f"{own}/table-{new_id()}", commits))
    return Proof(identity=identity, at=clock(), verdicts=tuple(verdicts))


def raced_commits(bucket: Bucket, place: str, commits: Callable[[str], Commits]) -> Verdict:
    """Let Delta writers race for a table at ``place``, judge it, and take the table away."""
    try:
        seen = commits(place)
    finally:
        bucket.remove([one.key for one in bucket.list(f"{place}/")])
    return judged_commits(seen.writers, seen.acknowledged, seen.visible, seen.versions)


def own_folder(store: S3Store) -> str:
    """Return the key below which the node tries the store."""
    return "/".join(part for part in (store.prefix.strip("/"), OWN_FOLDER) if part)


def refuse_unsafe(proof: Proof) -> None:
    """Raise ``UnsafeStore`` for the first verdict that is bad."""
    for verdict in proof.verdicts:
        if not verdict.safe:
            raise UnsafeStore(verdict.code, f"the store is refused: {verdict.told}", verdict.fix)


def _mark(bucket: Bucket, key: str, new_id: Callable[[], str]) -> bytes:
    """Return the mark that lies in the store, after writing one if there is none."""
    found = bucket.get(key)
    if found is None:
        bucket.put(key, new_id().encode("ascii"))
        found = bucket.get(key)
    if found is None:
        raise LakeError(
            "store.mark",
            "the store does not give back what was written to it",
            "see that the key may read and write below the prefix, and see the store's own log",
        )
    return found
