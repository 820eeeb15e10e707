"""Judge what writers saw that raced for the same new file: may this store hold Delta tables?

A commit to a Delta table is the creation of one file that only one writer may win. Deltalake asks for it
with ``PUT`` and ``If-None-Match: *`` (RFC 9110 section 13.1.2). A store that ignores the header, or that
honours it for one writer at a time only, loses acknowledged commits without an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pydantic import BaseModel, ConfigDict

_RUNBOOK = "docs/how-to/mend-a-refused-store.md"


class Reply(Enum):
    """How the store answered one conditional write."""

    WON = "won"
    """Written: the store says that nobody was there."""
    LOST = "lost"
    """Refused: another was first (412, or 409 while one is under way)."""
    UNSIGNED = "unsigned"
    """The signature no longer fits though that of a plain write does: something changed the headers."""
    UNKNOWN = "unknown"
    """The store does not know conditional writes."""
    FAILED = "failed"
    """Anything else."""


@dataclass(frozen=True)
class Round:
    """One race: what each writer was told, and which writer's bytes stand there afterwards."""

    replies: tuple[Reply, ...]
    standing: int | None

    @property
    def winners(self) -> tuple[int, ...]:
        """Return the writers that were told that they had won."""
        return tuple(writer for writer, reply in enumerate(self.replies) if reply is Reply.WON)


class Verdict(BaseModel):
    """Whether a store may hold tables, in words for those who run it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    safe: bool
    code: str
    told: str
    fix: str | None = None


def judged_condition(second: Reply) -> Verdict:
    """Judge a conditional write to a file that is there already: only a refusal is right."""
    if second is Reply.LOST:
        return Verdict(safe=True, code="store.condition", told="a file that is there is not written over")
    code, told, fix = _CONDITION[second]
    return Verdict(safe=False, code=code, told=told, fix=fix)


def judged_race(rounds: Sequence[Round]) -> Verdict:
    """Judge a race: in every round exactly one winner, and the winner's bytes stand."""
    most = max((len(race.winners) for race in rounds), default=0)
    writers = len(rounds[0].replies) if rounds else 0
    if most > 1:
        return Verdict(
            safe=False,
            code="store.two_winners",
            told=(
                f"{writers} writers created the same file at once, and this store told {most} of them that "
                "they had won. Saved rows would be lost without an error"
            ),
            fix=f"do not use this store; {_OTHER_STORE}",
        )
    if most == 0 or any(len(race.winners) != 1 for race in rounds):
        return Verdict(
            safe=False,
            code="store.no_winner",
            told=f"{writers} writers created the same file at once, and this store let none of them win",
            fix=f"see the store's own log for that minute, then run atoll-node doctor again ({_RUNBOOK})",
        )
    if any(race.standing != race.winners[0] for race in rounds):
        return Verdict(
            safe=False,
            code="store.other_bytes",
            told="this store kept the bytes of a writer that it had told to have lost",
            fix=f"do not use this store; {_OTHER_STORE}",
        )
    return Verdict(
        safe=True,
        code="store.race",
        told=f"{len(rounds)} races of {writers} writers had exactly one winner each",
    )


def judged_commits(writers: int, acknowledged: int, visible: int, versions: int) -> Verdict:
    """Judge Delta writers that appended at once: every acknowledged row is there, no version is missing."""
    if acknowledged == 0:
        return Verdict(
            safe=False,
            code="store.no_commit",
            told=f"{writers} writers appended to one table at once, and none could commit",
            fix=f"see the store's own log for that minute, then run atoll-node doctor again ({_RUNBOOK})",
        )
    if visible != acknowledged or versions < acknowledged:
        return Verdict(
            safe=False,
            code="store.lost_commits",
            told=(
                f"{writers} writers appended {acknowledged} rows to one table, each told that its row was "
                f"saved; {visible} are there. The rest is lost without an error"
            ),
            fix=f"do not use this store; {_OTHER_STORE}",
        )
    return Verdict(
        safe=True,
        code="store.commits",
        told=f"{writers} writers committed {acknowledged} times at once, and nothing was lost",
    )


_OTHER_STORE = (
    "MinIO and VersityGW are known to be right. When a proxy or gateway stands before the store, see that it "
    f"passes the header If-None-Match on unchanged ({_RUNBOOK})"
)
_CONDITION = {
    Reply.WON: (
        "store.ignores_condition",
        "this store wrote over a file that a writer had asked to create only if it was not there (it ignores "
        "the header If-None-Match). Two writers would overwrite each other, and saved rows would be lost "
        "without an error",
        f"do not use this store; {_OTHER_STORE}",
    ),
    Reply.UNSIGNED: (
        "store.condition_removed",
        "something between this node and the store changes or removes the header If-None-Match: a plain "
        "write passes, a conditional one has a wrong signature on arrival",
        f"let the proxy or gateway before the store pass all request headers on unchanged ({_RUNBOOK})",
    ),
    Reply.UNKNOWN: (
        "store.no_condition",
        "this store does not know conditional writes (PUT with If-None-Match), which Delta tables need",
        f"bring the store to a newer version, or use another one; {_OTHER_STORE}",
    ),
    Reply.FAILED: (
        "store.condition_failed",
        "this store answered a conditional write with an error of its own",
        f"see the store's own log for that minute, then run atoll-node doctor again ({_RUNBOOK})",
    ),
}
