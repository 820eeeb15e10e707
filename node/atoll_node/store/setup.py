"""Plan what a store still needs before it can hold the lake: bucket, older versions, the node's own key."""

from dataclasses import dataclass
from typing import Literal

from atoll_node.store.s3_adapter import Versioning

KEPT_DAYS = 30
"""How long deleted content stays where a store keeps older versions and nobody said for how long."""
State = Literal["there", "to do", "by hand"]


@dataclass(frozen=True)
class Seen:
    """How the store is set up now; what is ``None`` the store does not tell this key."""

    bucket: bool | None
    versioning: Versioning | None
    key_works: bool
    makes_users: bool
    """Whether the store lets an administrator's key make users over the network (MinIO does)."""


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``keep_deleted``: days that deleted content shall stay."""

    keep_deleted: int | None = None
    by_administrator: bool = False


@dataclass(frozen=True)
class Step:
    """One thing that is right already, that will be done, or that a person must do."""

    name: Literal["bucket", "versions", "key"]
    state: State
    told: str


def planned(seen: Seen, wish: Wish) -> tuple[Step, ...]:
    """Return the steps in the order in which they are done."""
    return (_bucket(seen), _versions(seen, wish), _key(seen, wish))


def days_kept(wish: Wish) -> int:
    """Return for how many days older versions shall stay."""
    return wish.keep_deleted or KEPT_DAYS


def _bucket(seen: Seen) -> Step:
    if seen.bucket:
        return Step("bucket", "there", "the bucket is there")
    if seen.bucket is None:
        return Step(
            "bucket",
            "by hand",
            "the store does not let the node's key see the bucket: make it, or give an "
            "administrator's key to atoll-node store init",
        )
    return Step("bucket", "to do", "make the bucket")


def _versions(seen: Seen, wish: Wish) -> Step:
    found = seen.versioning
    if seen.bucket is None:
        return Step("versions", "by hand", "see that older versions of objects, if kept, end after some days")
    if found is None:
        if wish.keep_deleted is None:
            return Step("versions", "there", "the store keeps no older versions: what is deleted is gone")
        return Step("versions", "by hand", "the store cannot keep older versions, or does not let it be set")
    if not found.on and wish.keep_deleted is None:
        return Step("versions", "there", "no older versions are kept: what is deleted is gone")
    days = days_kept(wish)
    if found.on and found.days is not None and wish.keep_deleted in (None, found.days):
        return Step("versions", "there", f"deleted content stays {found.days} days, then it is gone")
    if found.on and wish.keep_deleted is None:
        return Step(
            "versions",
            "to do",
            f"let deleted content go after {days} days: now older versions stay for ever, and with them "
            "persons who are to be forgotten",
        )
    return Step("versions", "to do", f"keep deleted content for {days} days, then let it go")


def _key(seen: Seen, wish: Wish) -> Step:
    if seen.key_works and not wish.by_administrator:
        return Step("key", "there", "the node's key can list, read, write and delete")
    if wish.by_administrator and seen.makes_users:
        return Step(
            "key", "to do", "make the node's user with the key of its key files, and the policy below"
        )
    if seen.key_works:
        return Step("key", "there", "the node's key can list, read, write and delete")
    return Step(
        "key",
        "by hand",
        "give the node's key the policy below; on MinIO an administrator's key does it here",
    )
