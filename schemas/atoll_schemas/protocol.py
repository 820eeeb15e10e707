"""Hold what a node and the hub say to each other. The node speaks first, always.

Every request carries ``Atoll-Protocol: 1``; another version is answered with problem ``protocol.version``
that names both. Every type below travels as JSON over HTTPS.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from atoll_schemas.contract import Contract
from atoll_schemas.permits import PermitRequest
from atoll_schemas.query import Method, Name, ProjectId, Query, ReleaseName, SiteName
from atoll_schemas.results import ClearedResult

PROTOCOL = "1"
PROTOCOL_HEADER = "Atoll-Protocol"
TASK_TYPE = "atoll-task+jws"
"""The ``typ`` header of a signed task."""
PERMIT_TYPE = "atoll-permit+jws"
"""The ``typ`` header of a permit statement signed by a node."""
ALGORITHM = "ES256"
LONGEST_TOKEN_SECONDS = 300


class Enrolment(Contract):
    """A node's first message: the one-time code and the public key it made."""

    code: str
    protocol: str = PROTOCOL
    public_key: dict[str, Any]
    """JWK (RFC 7517), EC P-256, public members only, with ``kid``."""
    software: str


class Enrolled(Contract):
    """The hub's reply: who the node is now, and the keys that sign its tasks."""

    site: SiteName
    node_id: str
    hub_id: str
    hub_keys: tuple[dict[str, Any], ...]
    """JWKs; the node keeps them and trusts no others."""
    audience: str
    """The ``aud`` of the node's client assertions: the hub's token address."""


class Task(Contract):
    """One node's share of a query, as the hub signs it."""

    id: str
    protocol: str = PROTOCOL
    hub_id: str
    site: SiteName
    query_id: str
    query: Query
    query_digest: str
    project: ProjectId
    permit_id: str
    purpose: str
    issued_at: datetime
    expires_at: datetime


class Lease(Contract):
    """A claimed task: the signed task (JWS compact) and the lease's fence.

    The fence grows with each claim of a task; an answer with an older fence is refused.
    """

    kind: Literal["task"] = "task"
    task_id: str
    token: str
    fence: int = Field(ge=1)
    lease_expires_at: datetime


class PermitApplication(Contract):
    """A project asks this site for a permit; a steward decides at the node."""

    kind: Literal["permit_request"] = "permit_request"
    request: PermitRequest


class Cancelled(Contract):
    """A query was cancelled; the node stops the task if it runs."""

    kind: Literal["cancelled"] = "cancelled"
    task_id: str


Delivery = Annotated[Lease | PermitApplication | Cancelled, Field(discriminator="kind")]


class Inbox(Contract):
    """The hub's reply to a long poll; empty when the wait ran out."""

    protocol: str = PROTOCOL
    now: datetime
    deliveries: tuple[Delivery, ...] = ()


class Poll(Contract):
    """A node asks for work and waits up to ``wait_seconds``."""

    wait_seconds: float = Field(default=25, ge=0, le=60)
    running: tuple[str, ...] = Field(default=(), max_length=10_000)
    """Task ids that this node works on now; their leases are renewed."""
    software: str


class Refusal(Contract):
    """Why a node declines. ``code`` is of a closed list; ``detail`` is a constant text of that code."""

    kind: Literal["refusal"] = "refusal"
    code: str
    detail: str
    next_step: str | None = None
    successor: ReleaseName | None = None
    """The release to ask in the place of one that was withdrawn."""


class Answer(Contract):
    """A node's one answer to a task. The same fence and content may be sent again."""

    task_id: str
    fence: int = Field(ge=1, le=2**31 - 1)
    outcome: Annotated[ClearedResult | Refusal, Field(discriminator="kind")]


class Accepted(Contract):
    """The hub took the answer, or had it already."""

    task_id: str
    replayed: bool


Stage = Literal["verifying", "planning", "running", "clearing"]


class Progress(Contract):
    """Where a task stands. Stages only: no numbers of patients, rows or bytes."""

    task_id: str
    fence: int
    stage: Stage


class PermitStatement(Contract):
    """A steward's decision, signed by the node (JWS compact over a ``Permit``)."""

    token: str


class TokenReply(Contract):
    """OAuth 2.0 token response (RFC 6749 section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(ge=1, le=LONGEST_TOKEN_SECONDS)


class QueryEvent(Contract):
    """One server-sent event of a query."""

    sequence: int
    at: datetime
    kind: Literal[
        "submitted",
        "queued",
        "claimed",
        "stage",
        "answered",
        "refused",
        "failed",
        "late",
        "cancelled",
        "finished",
    ]
    site: SiteName | None = None
    stage: Stage | None = None
    detail: str | None = None


class QuerySummary(Contract):
    """One row of a researcher's list of queries."""

    query_id: str
    project: ProjectId
    dataset: Name
    method: Method
    state: str
    asked: int
    answered: int
    submitted_at: datetime
    submitted_by: str
