"""Name every decision that the hub records, and compare a chain with its signed end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from atoll_schemas.audit import EMPTY, AuditEntry, AuditHead, Flaw, flaws, head_of


class Action(StrEnum):
    """The closed list of what the hub decides."""

    PERSON_ADDED = "person.added"
    PERSON_REVOKED = "person.revoked"
    SITE_INVITED = "site.invited"
    NODE_ENROLLED = "node.enrolled"
    ENROLMENT_REFUSED = "node.enrolment_refused"
    TOKEN_ISSUED = "token.issued"
    TOKEN_REFUSED = "token.refused"
    NODE_INCOMPATIBLE = "node.incompatible"
    CATALOG_REPLACED = "catalog.replaced"
    PROJECT_APPLIED = "project.applied"
    PERMIT_KEPT = "permit.kept"
    PERMIT_REFUSED = "permit.refused"
    QUERY_SUBMITTED = "query.submitted"
    QUERY_REFUSED = "query.refused"
    QUERY_CANCELLED = "query.cancelled"
    QUERY_FINISHED = "query.finished"
    TASK_CLAIMED = "task.claimed"
    TASK_LATE = "task.late"
    ANSWER_ACCEPTED = "answer.accepted"
    ANSWER_REFUSED = "answer.refused"


@dataclass(frozen=True)
class Decision:
    """Who decided what about what; ``detail`` holds ids and states, never an answer's content."""

    actor: str
    action: Action
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """What an offline check of the chain found."""

    entries: int
    flaws: tuple[Flaw, ...]
    beyond_head: int
    """Entries that follow the signed end: written just before a crash, or while the check ran."""

    @property
    def holds(self) -> bool:
        """Whether the chain is whole."""
        return not self.flaws


def verify(
    entries: Sequence[AuditEntry | None], kept_head: AuditHead, signed_head: AuditHead | None
) -> Verification:
    """Check a chain: links and hashes, its head in the database, and the signed head apart from it.

    An entry that cannot even be read stands as ``None``. The signed head may lie behind the chain's end,
    never beyond it, and the entry at its place must be the one it names.
    """
    readable = [entry for entry in entries if entry is not None]
    found = [
        Flaw(place, "the entry cannot be read") for place, entry in enumerate(entries, 1) if entry is None
    ]
    found += flaws(readable, kept_head)
    last = head_of(readable[-1]) if readable else EMPTY
    if signed_head is None:
        found += [Flaw(last.sequence, "the signed end of the chain is absent or not signed by this hub")]
        return Verification(len(entries), tuple(found), 0)
    by_sequence = {entry.sequence: entry for entry in readable}
    named = by_sequence.get(signed_head.sequence)
    if signed_head != EMPTY and (named is None or named.hash != signed_head.hash):
        found.append(
            Flaw(signed_head.sequence, "the chain does not hold the entry that its signed end names")
        )
    return Verification(len(entries), tuple(found), max(last.sequence - signed_head.sequence, 0))
