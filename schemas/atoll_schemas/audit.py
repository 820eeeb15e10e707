"""Chain decisions by their hashes, so that a flip, a deletion or a cut end shows."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from atoll_schemas.canonical import canonical_json
from atoll_schemas.contract import Contract

GENESIS = "0" * 64
"""The ``previous`` of a chain's first entry."""


class AuditEntry(Contract):
    """One decision: who did what to what, why, and the hash that binds it to the entry before."""

    sequence: int = Field(ge=1)
    at: datetime
    actor: str
    action: str
    """Dotted, of the closed list of its package, such as ``permit.approved``."""
    subject: str
    detail: dict[str, Any] = Field(default_factory=dict)
    previous: str
    hash: str


class AuditHead(Contract):
    """The end of a chain, kept apart from it so that a cut end is found."""

    sequence: int = Field(ge=0)
    hash: str


@dataclass(frozen=True)
class Flaw:
    """Where a chain breaks, and how."""

    sequence: int
    what: str


def chained(
    head: AuditHead,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """Return the entry that follows ``head``."""
    facts: dict[str, Any] = {
        "sequence": head.sequence + 1,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail or {},
        "previous": head.hash,
    }
    unsealed = AuditEntry(**facts, hash=GENESIS)
    return AuditEntry(**facts, hash=entry_hash(unsealed))


def entry_hash(entry: AuditEntry) -> str:
    """Return the SHA-256 over the entry's canonical form without its own hash."""
    return hashlib.sha256(canonical_json(entry.model_dump(mode="json", exclude={"hash"}))).hexdigest()


def head_of(entry: AuditEntry) -> AuditHead:
    """Return the head that a chain has after ``entry``."""
    return AuditHead(sequence=entry.sequence, hash=entry.hash)


EMPTY = AuditHead(sequence=0, hash=GENESIS)


def flaws(entries: Iterable[AuditEntry], head: AuditHead) -> list[Flaw]:
    """Check a chain against its head: order, links, hashes, end. An empty list means that it holds."""
    found: list[Flaw] = []
    last = EMPTY
    for entry in entries:
        if entry.sequence != last.sequence + 1:
            found.append(Flaw(last.sequence + 1, "an entry is missing or out of order"))
        if entry.previous != last.hash:
            found.append(Flaw(entry.sequence, "the entry does not follow the one before it"))
        if entry_hash(entry) != entry.hash:
            found.append(Flaw(entry.sequence, "the entry was changed after it was written"))
        last = head_of(entry)
    if last != head:
        found.append(Flaw(last.sequence + 1, "the chain does not end where its head says"))
    return found
