"""Serve nodes: the long poll, progress and answers."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from atoll_hub.access import NodeCaller
from atoll_hub.governance.service import site_topic
from atoll_hub.nodes.api import Service as NodesService
from atoll_hub.nodes.api import speaking_node
from atoll_hub.queries.api import Bells
from atoll_hub.queries.exchange import Exchange
from atoll_hub.wire import WireResponse
from atoll_schemas.protocol import PROTOCOL, Accepted, Answer, Inbox, Poll, Progress

router = APIRouter(tags=["node"])
SEEN_EVERY_SECONDS = 20.0
CallingNode = Annotated[NodeCaller, Depends(speaking_node)]
TaskId = Annotated[str, Path(pattern=r"^t-[0-9a-f]{16}$", examples=["t-0123456789abcdef"])]


def exchange_of(request: Request) -> Exchange:
    """Return the exchange that the wiring put into the application."""
    found: Exchange = request.app.state.exchange
    return found


Service = Annotated[Exchange, Depends(exchange_of)]


@router.post("/v1/node/poll", response_model=Inbox)
async def poll(
    caller: CallingNode, nodes: NodesService, exchange: Service, bells: Bells, request: Request, asked: Poll
) -> Response:
    """Wait for deliveries; while a node waits, it is seen and the leases of its running tasks hold."""
    loop = asyncio.get_running_loop()
    end = loop.time() + asked.wait_seconds
    renewing = exchange.lease.total_seconds() / 3
    beat_every = min(SEEN_EVERY_SECONDS, renewing) if asked.running else SEEN_EVERY_SECONDS
    next_beat = loop.time()
    with bells.listening(site_topic(caller.site)) as bell:
        while True:
            if await request.is_disconnected():
                break
            if loop.time() >= next_beat:
                await run_in_threadpool(_beat, nodes, exchange, caller, asked)
                next_beat = loop.time() + beat_every
            if await run_in_threadpool(exchange.has_news, caller, asked):
                return WireResponse(await run_in_threadpool(exchange.collect, caller, asked))
            left = end - loop.time()
            if left <= 0 or bells.closing:
                break
            await bells.wait(bell, min(left, next_beat - loop.time(), bells.look_again()))
    return WireResponse(exchange.empty())


@router.post("/v1/node/tasks/{task_id}/progress", status_code=204, response_class=Response)
def report(caller: CallingNode, exchange: Service, task_id: TaskId, progress: Progress) -> Response:
    """Note a task's stage; its lease is prolonged."""
    exchange.progress(task_id, progress, caller)
    return Response(status_code=204)


@router.post("/v1/node/tasks/{task_id}/answer", response_model=Accepted)
def answer(caller: CallingNode, exchange: Service, task_id: TaskId, given: Answer) -> Response:
    """Take a node's answer; the same fence and content may be sent again."""
    return WireResponse(exchange.answer(task_id, given, caller))


def _beat(nodes: NodesService, exchange: Exchange, caller: NodeCaller, asked: Poll) -> None:
    nodes.see(caller, asked.software, PROTOCOL)
    if asked.running:
        exchange.renew(caller, asked.running)
