"""Keep permit requests and every revision of a decision; a decision, its signed statement and its audit
entry are one transaction."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from atoll_node.audit import AuditLog, Decision
from atoll_node.errors import NodeError
from atoll_node.state import State
from atoll_schemas.permits import Permit, PermitRequest
from atoll_schemas.problems import ExitCode

_TABLES = (
    "CREATE TABLE IF NOT EXISTS permit_request (permit_id TEXT PRIMARY KEY, request TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS permit (permit_id TEXT, revision INTEGER, permit TEXT NOT NULL,"
    " PRIMARY KEY (permit_id, revision))",
)


class PermitUnknown(NodeError):
    """There is no such request at this node."""

    exit_code = ExitCode.NOT_FOUND


@dataclass(frozen=True)
class HeldPermit:
    """A request and this site's latest decision on it, if any."""

    request: PermitRequest
    permit: Permit | None

    @property
    def state(self) -> str:
        """``requested`` until the steward decides."""
        return self.permit.state if self.permit else "requested"


class PermitStore:
    """Requests and decisions in the node's database.

    ``post`` queues the statement for the hub within the decision's own transaction.
    """

    def __init__(
        self, state: State, audit: AuditLog, post: Callable[[sqlite3.Connection, Permit], None]
    ) -> None:
        self._state = state
        self._audit = audit
        self._post = post
        state.create(*_TABLES)

    def take_request(self, request: PermitRequest, record: Decision) -> None:
        """Keep a request; the same one again changes nothing, another one under its id replaces it."""
        found = self._request(request.permit_id)
        if found == request:
            return
        with self._audit.recorded(record) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO permit_request (permit_id, request) VALUES (?, ?)",
                (request.permit_id, request.model_dump_json()),
            )

    def decide(self, permit: Permit, record: Decision) -> None:
        """Keep a decision, queue its statement, write the audit entry: all or nothing."""
        with self._audit.recorded(record) as connection:
            connection.execute(
                "INSERT INTO permit (permit_id, revision, permit) VALUES (?, ?, ?)",
                (permit.permit_id, permit.revision, permit.model_dump_json()),
            )
            self._post(connection, permit)

    def held(self, permit_id: str) -> HeldPermit:
        """Return one request with its latest decision. Raises ``PermitUnknown``."""
        request = self._request(permit_id)
        if request is None:
            raise PermitUnknown(
                "permit.unknown", "this node has no such permit request", "see: atoll-node permits list"
            )
        return HeldPermit(request, self.latest(permit_id))

    def all(self) -> list[HeldPermit]:
        """Return every request with its latest decision, oldest first."""
        rows = self._state.connection().execute("SELECT request FROM permit_request ORDER BY rowid")
        requests = [PermitRequest.model_validate_json(row["request"]) for row in rows]
        return [HeldPermit(request, self.latest(request.permit_id)) for request in requests]

    def latest(self, permit_id: str) -> Permit | None:
        """Return the decision of the highest revision."""
        row = (
            self._state.connection()
            .execute(
                "SELECT permit FROM permit WHERE permit_id = ? ORDER BY revision DESC LIMIT 1", (permit_id,)
            )
            .fetchone()
        )
        return Permit.model_validate_json(row["permit"]) if row else None

    def _request(self, permit_id: str) -> PermitRequest | None:
        row = (
            self._state.connection()
            .execute("SELECT request FROM permit_request WHERE permit_id = ?", (permit_id,))
            .fetchone()
        )
        return PermitRequest.model_validate_json(row["request"]) if row else None
