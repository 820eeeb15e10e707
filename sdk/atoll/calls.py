"""Build each request to the hub and read its reply, without I/O: sync and async hubs share this."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from atoll.errors import AtollError, NotFound, ProtocolMismatch, error_of
from atoll_schemas.catalog import CatalogEntry, SiteView
from atoll_schemas.contract import Contract
from atoll_schemas.people import DatasetVariables, DatasetView, Me, ProjectApplication, ProjectView, QueryView
from atoll_schemas.problems import Problem
from atoll_schemas.protocol import PROTOCOL, QuerySummary
from atoll_schemas.query import Submission
from atoll_schemas.results import Result

T = TypeVar("T")
C = TypeVar("C", bound=Contract)
QUERY = "query"
_LISTS = {QUERY: "atoll queries", "dataset": "atoll datasets", "project": "atoll projects"}


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how its reply is read."""

    method: str
    path: str
    parse: Callable[[Any], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Contract | None = None
    names: str | None = None
    """What the path names, if the request has no other part that could be wrong."""

    def content(self) -> bytes | None:
        """Return the body as it travels."""
        return None if self.body is None else json.dumps(self.body.wire()).encode()


def me() -> Call[Me]:
    """Who am I?"""
    return Call("GET", "/v1/me", Me.from_wire)


def sites() -> Call[tuple[SiteView, ...]]:
    """Which hospitals are there?"""
    return Call("GET", "/v1/sites", _listed(SiteView))


def datasets(words: str | None = None) -> Call[tuple[DatasetView, ...]]:
    """Which datasets are there, or match ``words``?"""
    return Call("GET", "/v1/datasets", _listed(DatasetView), {"q": words} if words else {})


def entries(dataset: str) -> Call[tuple[CatalogEntry, ...]]:
    """What does each site's release of a dataset hold?"""
    return Call("GET", f"/v1/datasets/{_part(dataset)}", _listed(CatalogEntry), names="dataset")


def variables(dataset: str) -> Call[DatasetVariables]:
    """What may be asked of a dataset by name?"""
    path = f"/v1/datasets/{_part(dataset)}/variables"
    return Call("GET", path, DatasetVariables.from_wire, names="dataset")


def projects() -> Call[tuple[ProjectView, ...]]:
    """Which projects am I in?"""
    return Call("GET", "/v1/projects", _listed(ProjectView))


def project(name: str) -> Call[ProjectView]:
    """What may this project ask, and where?"""
    return Call("GET", f"/v1/projects/{_part(name)}", ProjectView.from_wire, names="project")


def apply(application: ProjectApplication) -> Call[ProjectView]:
    """Apply for a project."""
    return Call("POST", "/v1/projects", ProjectView.from_wire, body=application)


def submit(submission: Submission) -> Call[QuerySummary]:
    """Ask."""
    return Call("POST", "/v1/queries", QuerySummary.from_wire, body=submission)


def queries(project: str | None = None, limit: int = 50) -> Call[tuple[QuerySummary, ...]]:
    """What was asked lately?"""
    words = {"limit": str(limit), **({"project": project} if project else {})}
    return Call("GET", "/v1/queries", _listed(QuerySummary), words)


def query(name: str) -> Call[QueryView]:
    """What was asked, and how does each site fare?"""
    return Call("GET", f"/v1/queries/{_part(name)}", QueryView.from_wire, names=QUERY)


def result(name: str, wait: int = 0) -> Call[Result]:
    """What is the answer? Waits up to ``wait`` seconds for the query to finish."""
    path = f"/v1/queries/{_part(name)}/result"
    return Call("GET", path, Result.from_wire, {"wait": str(wait)}, names=QUERY)


def cancel(name: str) -> Call[QuerySummary]:
    """Stop the query."""
    return Call("POST", f"/v1/queries/{_part(name)}/cancel", QuerySummary.from_wire, names=QUERY)


def events_path(name: str) -> str:
    """Return where a query's events stream from."""
    return f"/v1/queries/{_part(name)}/events"


def _part(name: str) -> str:
    return quote(name, safe="")


def _listed(kind: type[C]) -> Callable[[Any], tuple[C, ...]]:
    def parse(value: Any) -> tuple[C, ...]:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(kind.from_wire(item) for item in value)

    return parse


def reply(call: Call[T], status: int, content: bytes) -> T:
    """Read the hub's reply, or raise what it refuses with."""
    if status >= 300:
        raise failure(status, content, call.names)
    try:
        return call.parse(json.loads(content))
    except (ValueError, TypeError, ValidationError, RecursionError) as error:
        raise _not_understood(status) from error


def failure(status: int, content: bytes, names: str | None = None) -> AtollError:
    """Return the error of a reply that is no success. A name of no valid form ``names`` nothing."""
    try:
        problem = Problem.from_wire(json.loads(content))
        if names is not None and problem.code == "request.invalid":
            return _no_such(names, problem.trace_id)
        return error_of(problem, status)
    except (ValueError, ValidationError, RecursionError):
        kind = "Unreachable" if status in (502, 503, 504) else "HubFailed"
    if status < 500 and status != 401:
        return _not_understood(status)
    found = Problem(
        title=kind,
        status=status,
        code=f"http.{status}",
        detail=f"the hub, or a proxy before it, answered with HTTP {status} and no explanation",
        next_step="Ask again later; if it stays, tell the operator of the hub.",
    )
    return error_of(found, status)


def _no_such(names: str, trace_id: str | None) -> NotFound:
    return NotFound(f"{names}.unknown", f"there is no such {names}", f"See `{_LISTS[names]}`.", trace_id)


def _not_understood(status: int) -> ProtocolMismatch:
    return ProtocolMismatch(
        "reply.unknown",
        f"the address answers (HTTP {status}), but not as an Atoll hub of protocol {PROTOCOL}",
        "Check the hub's address, and that SDK and hub are of the same version.",
    )
