"""Say who calls and who may: every route declares its callers through one of these dependencies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Request
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase

from atoll_hub.errors import Forbidden, Unauthenticated
from atoll_schemas.people import Role

EVERY_ROLE = frozenset(Role)


@dataclass(frozen=True)
class PersonCaller:
    """A person who showed a personal access token."""

    name: str
    role: Role

    @property
    def actor(self) -> str:
        """The caller as the audit chain names them."""
        return f"person:{self.name}"


@dataclass(frozen=True)
class NodeCaller:
    """A node that showed an access token."""

    site: str
    node_id: str

    @property
    def actor(self) -> str:
        """The caller as the audit chain names it."""
        return f"node:{self.site}"


Caller = PersonCaller | NodeCaller


class Doorkeeper(Protocol):
    """Finds out who shows a token. Raises ``Unauthenticated``."""

    def person(self, token: str) -> PersonCaller:
        """Return the person behind a personal access token."""

    def node(self, token: str) -> NodeCaller:
        """Return the node behind an access token."""


class Anyone:
    """Declares that a route is open to all, by intent."""

    def __call__(self) -> None:
        """Let everybody pass."""


class People(SecurityBase):
    """Declares the roles that may use a route."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles) or EVERY_ROLE
        self.model = BearerModel(description="A personal access token")
        self.scheme_name = "person"

    def __call__(self, request: Request) -> PersonCaller:
        """Return the caller, or raise ``Unauthenticated`` or ``Forbidden``."""
        caller = doorkeeper(request).person(_bearer(request))
        if caller.role not in self.roles:
            raise Forbidden(
                "role.denied",
                f"the role {caller.role.value} may not do this",
                "ask an operator of the hub",
            )
        return caller


class Node(SecurityBase):
    """Declares that only an enrolled node may use a route."""

    def __init__(self) -> None:
        self.model = BearerModel(description="An access token of POST /v1/token")
        self.scheme_name = "node"

    def __call__(self, request: Request) -> NodeCaller:
        """Return the node, or raise ``Unauthenticated``."""
        return doorkeeper(request).node(_bearer(request))


Access = Anyone | People | Node


def declared_access(route: Any) -> Access | None:
    """Return what a route declares about its callers; ``None`` when it declares nothing or twice."""
    found = [call for call in _dependencies(route.dependant) if isinstance(call, Anyone | People | Node)]
    return found[0] if len(found) == 1 else None


def doorkeeper(request: Request) -> Doorkeeper:
    """Return the doorkeeper that the wiring put into the application."""
    found: Doorkeeper = request.app.state.doorkeeper
    return found


def _dependencies(dependant: Any) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _dependencies(dependency)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "token.missing", "the request carries no bearer token", "send Authorization: Bearer TOKEN"
        )
    return token.strip()
