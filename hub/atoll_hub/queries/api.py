"""Serve queries to people: submit, follow, read, cancel."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Request
from fastapi import Query as QueryParameter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from atoll_hub.access import People, PersonCaller
from atoll_hub.errors import HubError
from atoll_hub.queries.events import query_topic
from atoll_hub.queries.examples import SUBMISSION_EXAMPLES
from atoll_hub.queries.service import Queries
from atoll_hub.wakes import Wakes
from atoll_hub.wire import WireResponse, wire_json, wire_list
from atoll_schemas.people import QueryView, Role
from atoll_schemas.protocol import QueryEvent, QuerySummary
from atoll_schemas.query import ProjectId, Submission
from atoll_schemas.results import Result

router = APIRouter(tags=["queries"])
HEARTBEAT_SECONDS = 15.0
Asker = Annotated[PersonCaller, Depends(People(Role.RESEARCHER, Role.PARTNER, Role.OPERATOR))]
AnyPerson = Annotated[PersonCaller, Depends(People())]
QueryId = Annotated[str, Path(pattern=r"^q-[0-9a-f]{16}$", examples=["q-0123456789abcdef"])]


def queries_of(request: Request) -> Queries:
    """Return the queries that the wiring put into the application."""
    found: Queries = request.app.state.queries
    return found


def wakes_of(request: Request) -> Wakes:
    """Return the bells that the wiring put into the application."""
    found: Wakes = request.app.state.wakes
    return found


Service = Annotated[Queries, Depends(queries_of)]
Bells = Annotated[Wakes, Depends(wakes_of)]


@router.post(
    "/v1/queries",
    response_model=QuerySummary,
    status_code=201,
    responses={200: {"model": QuerySummary, "description": "The idempotency key replays this query"}},
)
def submit(
    caller: Asker,
    queries: Service,
    submission: Annotated[Submission, Body(openapi_examples=SUBMISSION_EXAMPLES)],
) -> Response:
    """Ask the sites that offer a dataset. The same idempotency key returns the same query."""
    summary, replayed = queries.submit(submission, caller)
    headers = {"Location": f"/v1/queries/{summary.query_id}"}
    return WireResponse(summary, status_code=200 if replayed else 201, headers=headers)


@router.get("/v1/queries", response_model=list[QuerySummary])
def list_queries(
    caller: AnyPerson,
    queries: Service,
    project: Annotated[ProjectId | None, QueryParameter(examples=["P-001"])] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Response:
    """List the queries of the caller's projects, newest first."""
    return wire_list(queries.listed(caller, project, limit))


@router.get("/v1/queries/{query_id}", response_model=QueryView)
def show(caller: AnyPerson, queries: Service, query_id: QueryId) -> Response:
    """Show what was asked, and how each site fares."""
    return WireResponse(queries.view(query_id, caller))


@router.post("/v1/queries/{query_id}/cancel", response_model=QuerySummary)
def cancel(caller: Asker, queries: Service, query_id: QueryId) -> Response:
    """Cancel a query; a finished one stays as it is."""
    return WireResponse(queries.cancel(query_id, caller))


@router.get("/v1/queries/{query_id}/result", response_model=Result)
async def result(
    request: Request,
    caller: AnyPerson,
    queries: Service,
    bells: Bells,
    query_id: QueryId,
    wait: Annotated[float, QueryParameter(ge=0, le=60, description="Seconds to wait for the end")] = 0,
) -> Response:
    """Return the answer; with ``wait``, as soon as the query is finished, if the caller still may then."""
    await run_in_threadpool(queries.check_visible, query_id, caller)
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    with bells.listening(query_topic(query_id)) as bell:
        while wait and not await run_in_threadpool(queries.finished, query_id):
            left = end - loop.time()
            if left <= 0 or bells.closing:
                break
            await bells.wait(bell, min(left, bells.look_again()))
    await run_in_threadpool(_known_again, request, queries, query_id)
    return WireResponse(await run_in_threadpool(queries.result, query_id, caller))


@router.get(
    "/v1/queries/{query_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    caller: AnyPerson,
    queries: Service,
    bells: Bells,
    query_id: QueryId,
    last_event_id: Annotated[int, Header(ge=0, le=2**31 - 1)] = 0,
) -> StreamingResponse:
    """Follow a query as server-sent events; resumes after ``Last-Event-ID`` and ends after ``finished``.

    It also ends when the caller's token does.
    """
    await run_in_threadpool(queries.check_visible, query_id, caller)
    return StreamingResponse(
        _stream(queries, bells, query_id, last_event_id, partial(_known_again, request, queries, query_id)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _known_again(request: Request, queries: Queries, query_id: str) -> None:
    """Ask anew who calls and what they may see: a token can end while its request waits."""
    queries.check_visible(query_id, People()(request))


async def _stream(
    queries: Queries, bells: Wakes, query_id: str, last: int, known_again: Callable[[], None]
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    spoken = loop.time()
    with bells.listening(query_topic(query_id)) as bell:
        while True:
            try:
                await run_in_threadpool(known_again)
            except HubError:
                return
            finished = await run_in_threadpool(queries.finished, query_id)
            for event in await run_in_threadpool(queries.events, query_id, last):
                last, spoken = event.sequence, loop.time()
                yield _framed(event)
            if finished or bells.closing:
                return
            if loop.time() - spoken >= HEARTBEAT_SECONDS:
                spoken = loop.time()
                yield ": still here\n\n"
            await bells.wait(bell, bells.look_again())


def _framed(event: QueryEvent) -> str:
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {wire_json(event)}\n\n"
