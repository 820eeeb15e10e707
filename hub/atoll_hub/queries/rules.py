"""Decide where a query goes, which answers are taken, and how a query ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from atoll_hub.errors import Conflict, Forbidden, Missing, Unprocessable
from atoll_schemas.problems import Problem
from atoll_schemas.protocol import Answer, Refusal
from atoll_schemas.query import Query, Tighten
from atoll_schemas.results import ClearedResult, QueryState, SiteState

OPEN_STATES: frozenset[SiteState] = frozenset({"waiting", "running"})
ANSWERED_STATES: frozenset[SiteState] = frozenset({"answered", "refused", "failed"})
MOST_CLAIMS = 4
"""Tasks that one poll may claim: further ones wait until the node has room."""
_FAULTS = ("engine.", "lake.", "release.", "node.", "agent.", "internal.")
"""Refusal codes that speak of a fault at the node; all others speak of a rule."""
_ASK_STEWARD = "ask the site's steward, who decides at the node: atoll-node permits approve"


@dataclass(frozen=True)
class KeptTask:
    """One site's share of a query, as the hub keeps it."""

    id: str
    query_id: str
    site: str
    state: SiteState
    fence: int
    token: str
    query_digest: str
    method: str
    created_at: datetime
    deadline_at: datetime
    lease_expires_at: datetime | None
    answer_fence: int | None
    answer_digest: str | None


def tightened(query: Query, minimum_persons: int | None, round_to: int | None) -> Query:
    """Return the query with the hub's own disclosure wishes; a stricter wish of the researcher stays."""
    if minimum_persons is None and round_to is None:
        return query
    asked = query.tighten or Tighten()
    stricter = Tighten(
        minimum_persons=_larger(asked.minimum_persons, minimum_persons),
        round_to=_larger(asked.round_to, round_to),
    )
    return query.model_copy(update={"tighten": stricter})


def routed(dataset_sites: Iterable[str], wanted: Iterable[str] | None) -> tuple[str, ...]:
    """Return the sites to ask: those that offer the dataset, or the wanted ones if all of them do."""
    offering = tuple(dataset_sites)
    if not offering:
        raise Missing("dataset.unknown", "no site offers this dataset", "list them: GET /v1/datasets")
    if wanted is None:
        return offering
    chosen = tuple(dict.fromkeys(wanted))
    if not chosen or set(chosen) - set(offering):
        raise Unprocessable(
            "site.not_offering", "a wanted site does not offer this dataset", "list them: GET /v1/datasets"
        )
    return chosen


def judge(task: KeptTask, answer: Answer, digest: str, now: datetime) -> Literal["take", "replay"]:
    """Decide on an answer: take it, replay what was said before, or raise with the reason.

    At most one answer of a task is ever taken: the first that carries the newest fence.
    """
    if task.answer_fence is not None:
        if answer.fence == task.answer_fence and digest == task.answer_digest:
            return "replay"
        if answer.fence == task.answer_fence:
            raise Conflict("task.answered", "the task has another answer already", "keep the first answer")
    check_holder(task, answer.fence, now)
    check_content(task, answer)
    return "take"


def check_holder(task: KeptTask, fence: int, now: datetime) -> None:
    """Raise ``Conflict`` unless ``fence`` is the task's newest and the task is still open."""
    if fence != task.fence:
        raise Conflict("task.fenced", "the task was claimed again since", "drop this work; poll for tasks")
    if task.state == "cancelled":
        raise Conflict("task.cancelled", "the query was cancelled", "drop this work")
    if task.state == "late" or now >= task.deadline_at:
        raise Conflict("task.late", "the query's deadline is over", "drop this work")
    if task.state != "running":
        raise Conflict("task.answered", "the task has an answer already", "drop this work")


def check_content(task: KeptTask, answer: Answer) -> None:
    """Raise ``Unprocessable`` when a cleared result is of another site, query or method than the task."""
    outcome = answer.outcome
    if isinstance(outcome, Refusal):
        return
    if (
        outcome.site != task.site
        or outcome.query_digest != task.query_digest
        or (outcome.payload.method != task.method)
    ):
        raise Unprocessable(
            "answer.mismatch",
            "the answer is of another site, query or method than the task",
            "answer the task that the hub signed",
        )


def outcome_state(outcome: ClearedResult | Refusal) -> SiteState:
    """Return how a site stands after its answer."""
    if isinstance(outcome, ClearedResult):
        return "answered"
    return "failed" if outcome.code.startswith(_FAULTS) else "refused"


def query_state(states: Iterable[SiteState]) -> QueryState:
    """Return a query's state from its sites' states: computed from facts, never remembered."""
    found = list(states)
    if any(state in OPEN_STATES for state in found):
        return "running"
    if any(state == "cancelled" for state in found):
        return "cancelled"
    answered = sum(state == "answered" for state in found)
    if answered == len(found):
        return "complete"
    return "partial" if answered else "failed"


def refusal_problem(refusal: Refusal) -> Problem:
    """Return a node's refusal as a researcher reads it."""
    return Problem(
        title="The site declined",
        status=422,
        code=refusal.code,
        detail=refusal.detail,
        next_step=refusal.next_step,
    )


def state_problem(state: SiteState) -> Problem | None:
    """Return why a site that sent nothing has no answer."""
    if state == "no_permit":
        return Problem(
            title="No permit",
            status=403,
            code="permit.missing",
            detail="the site has no active permit for this project, dataset and method",
            next_step=_ASK_STEWARD,
        )
    if state == "late":
        return Problem(
            title="Too late",
            status=504,
            code="task.late",
            detail="the site did not answer before the query's deadline",
            next_step="ask again with a longer deadline, or see GET /v1/sites",
        )
    return None


def no_permit_anywhere() -> Forbidden:
    """Return the refusal of a query that no site may be asked."""
    return Forbidden(
        "permit.missing", "no site has an active permit for this project, dataset and method", _ASK_STEWARD
    )


def _larger(one: int | None, other: int | None) -> int | None:
    given = [value for value in (one, other) if value is not None]
    return max(given) if given else None
