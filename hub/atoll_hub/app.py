"""Put the features together into one application that answers every error as a problem."""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from atoll_hub import __version__
from atoll_hub.access import Access, NodeCaller, PersonCaller, declared_access
from atoll_hub.accounts import api as accounts_api
from atoll_hub.boundary import PROBLEM_TYPE, TRACE_KEY, Boundary, internal_problem
from atoll_hub.catalog import api as catalog_api
from atoll_hub.errors import HubError
from atoll_hub.governance import api as governance_api
from atoll_hub.health import router as health_router
from atoll_hub.nodes import api as nodes_api
from atoll_hub.openapi import openapi_document
from atoll_hub.queries import api as queries_api
from atoll_hub.queries import node_api
from atoll_hub.wire import wire_json
from atoll_hub.wiring import Hub
from atoll_schemas.problems import Problem

ROUTERS = (
    health_router,
    accounts_api.router,
    nodes_api.router,
    catalog_api.router,
    governance_api.router,
    queries_api.router,
    node_api.router,
)
SWEEP_SECONDS = 0.5
FORGET_EVERY_SWEEPS = 120
_TITLES = {404: ("route.unknown", "Not found"), 405: ("method.unknown", "The method is not known here")}
_log = logging.getLogger("atoll_hub")


class UndeclaredAccess(Exception):
    """A route does not say who may use it: the hub does not start."""


class Doors:
    """Finds callers for the routes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def person(self, token: str) -> PersonCaller:
        """Return the person behind a personal access token."""
        return self._hub.accounts.caller(token)

    def node(self, token: str) -> NodeCaller:
        """Return the node behind an access token."""
        return self._hub.nodes.caller(token)


def create_app(hub: Hub) -> Boundary:
    """Return the hub as an ASGI application."""
    return Boundary(routed_app(hub), hub.new_trace_id)


def routed_app(hub: Hub) -> FastAPI:
    """Return the routes without their boundary. Raises ``UndeclaredAccess``."""
    app = FastAPI(
        title="Atoll hub",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    # FastAPI silences this where it builds a body's model; our contracts are built later, at first use.
    warnings.filterwarnings(
        "ignore", message="The 'alias' attribute", category=UnsupportedFieldAttributeWarning
    )
    for router in ROUTERS:
        app.include_router(router)
    for route, access in accesses():
        if access is None:
            raise UndeclaredAccess(route.path)
    _attach(app, hub)
    for kind, answer in _HANDLERS.items():
        app.add_exception_handler(kind, answer)
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]
    return app


def accesses() -> Iterator[tuple[APIRoute, Access | None]]:
    """Return every route and what it declares about its callers."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route, declared_access(route)


def _attach(app: FastAPI, hub: Hub) -> None:
    app.state.hub = hub
    app.state.hub_id = hub.hub_id
    app.state.accounts = hub.accounts
    app.state.nodes = hub.nodes
    app.state.catalog = hub.catalog
    app.state.governance = hub.governance
    app.state.queries = hub.queries
    app.state.exchange = hub.exchange
    app.state.wakes = hub.wakes
    app.state.doorkeeper = Doors(hub)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    hub: Hub = app.state.hub
    hub.wakes.attach(asyncio.get_running_loop())
    await run_in_threadpool(hub.journal.catch_up)
    sweeper = asyncio.create_task(_sweep(hub))
    yield
    sweeper.cancel()
    with suppress(asyncio.CancelledError):
        await sweeper
    await run_in_threadpool(hub.journal.sign_end)


async def _sweep(hub: Hub) -> None:
    """End queries at their deadline, and forget what has expired, as long as the hub runs."""
    turn = 0
    while True:
        try:
            await run_in_threadpool(hub.queries.expire)
            await run_in_threadpool(hub.journal.sign_end)
            if turn % FORGET_EVERY_SWEEPS == 0:
                await run_in_threadpool(hub.nodes.forget_expired)
        except (SQLAlchemyError, OSError) as fault:
            _log.error("the sweep failed and is tried again: %s", type(fault).__name__)
        turn += 1
        await asyncio.sleep(SWEEP_SECONDS)


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as an answer (RFC 9457)."""
    return Response(wire_json(problem), status_code=problem.status, media_type=PROBLEM_TYPE, headers=headers)


def _trace(request: Request) -> str | None:
    found: str | None = request.scope.get(TRACE_KEY)
    return found


async def _hub_error(request: Request, error: Exception) -> Response:
    problem = error.problem(_trace(request)) if isinstance(error, HubError) else _unknown(error)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return problem_response(problem, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    code, title = _TITLES.get(status, ("request.malformed", "The request cannot be read"))
    problem = Problem(
        title=title,
        status=status,
        code=code,
        detail=None
        if status in _TITLES
        else "the body is not JSON, or is nested too deep, or holds a number of too many digits",
        next_step="see docs/reference/hub-api.md",
        trace_id=_trace(request),
    )
    return problem_response(problem, headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    malformed = any(item["type"] == "json_invalid" for item in found)
    problem = Problem(
        title="The request cannot be read" if malformed else "The request cannot be taken",
        status=400 if malformed else 422,
        code="request.malformed" if malformed else "request.invalid",
        detail="; ".join(_place(item) for item in found[:10]) or None,
        next_step="see docs/reference/hub-api.md",
        trace_id=_trace(request),
    )
    return problem_response(problem)


def _place(item: dict[str, Any]) -> str:
    """Where a request is wrong and by which rule; never the value, and no key that the caller made up."""
    where = list(item["loc"])
    if item["type"] == "extra_forbidden":
        where = [*where[:-1], "an unknown key"]
    return f"{'.'.join(str(part)[:40] for part in where)}: {item['type']}"


def _unknown(error: Exception) -> Problem:
    raise error


async def _fault(request: Request, error: Exception) -> Response:
    """Answer a fault. It is raised again behind this answer, and the boundary records it."""
    del error
    return problem_response(internal_problem(_trace(request) or "unknown"))


_HANDLERS: dict[type[Exception], Any] = {
    HubError: _hub_error,
    HTTPException: _http_error,
    RequestValidationError: _validation_error,
    Exception: _fault,
}
