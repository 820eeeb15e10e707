"""Name what the agent is given: who answers tasks, who takes requests, what is to be sent, who records it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from atoll_schemas.permits import PermitRequest
from atoll_schemas.protocol import Lease, Refusal, Stage
from atoll_schemas.results import ClearedResult

OnStage = Callable[[Stage], None]
TakeRequest = Callable[[PermitRequest], None]


class Answering(Protocol):
    """Turns a lease into the one outcome that may leave."""

    def answer(self, lease: Lease, on_stage: OnStage) -> ClearedResult | Refusal | None:
        """Return the outcome, or ``None`` when the task was cancelled: then nothing is sent."""

    def cancel(self, task_id: str) -> None:
        """Stop the task if it runs."""


class Mail(Protocol):
    """One thing of the node that waits to be sent."""

    @property
    def id(self) -> int:
        """Its number in the queue."""

    @property
    def kind(self) -> str:
        """``permit`` or ``catalog``."""

    @property
    def body(self) -> str:
        """JSON of a ``PermitStatement`` or ``CatalogPush``."""


class Mailbox(Protocol):
    """What other processes of this node want sent."""

    def waiting(self) -> Sequence[Mail]:
        """Return what the hub has not taken yet, oldest first."""

    def delivered(self, mail_id: int) -> None:
        """Note that the hub took it."""

    def declined(self, mail_id: int, code: str) -> None:
        """Note that the hub will never take it."""


class Journal(Protocol):
    """Records each message before it leaves."""

    def sending(self, *, recipient: str, method: str, path: str, why: str, body: bytes) -> int:
        """Write the message down and return its number."""

    def answered(self, message: int, status: str) -> None:
        """Note how the recipient answered."""
