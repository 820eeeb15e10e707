"""Stand between the network and the application: limits on bodies, safe answers to any fault, a trace id.

This is the one place of the hub that catches everything: it records the fault and answers a problem.
"""

import json
import logging
import re
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atoll_hub.errors import HubError, Malformed
from atoll_schemas.problems import Problem

PROBLEM_TYPE = "application/problem+json"
TRACE_KEY = "atoll.trace_id"
CATALOG_PATH = "/v1/node/catalog"
LARGEST_BODY = 8 * 1024 * 1024
LARGEST_CATALOG = 64 * 1024 * 1024
LARGEST_ANONYMOUS = 64 * 1024
_NUL = re.compile(rb"\x00|(?<!\\)(?:\\\\)*\\u0000")
_log = logging.getLogger("atoll_hub.requests")


class TooLarge(HubError):
    """A body is larger than its route takes."""

    status = 413
    title = "The request is too large"


class Boundary:
    """The outermost ASGI layer."""

    def __init__(self, app: ASGIApp, new_trace_id: Callable[[], str]) -> None:
        self._app = app
        self._new_trace_id = new_trace_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace_id = self._new_trace_id()
        scope[TRACE_KEY] = trace_id
        answer = _Answer(send, trace_id)
        started = time.perf_counter()
        try:
            body = await _whole_body(scope, receive)
            await self._app(scope, _Replay(body, receive), answer)
        except HubError as refusal:
            await answer.problem(refusal.problem(trace_id))
        except Exception as fault:  # noqa: BLE001 - the process boundary: record, answer safely, carry on
            _log.error(
                "fault %s %s: %s", trace_id, _route(scope), type(fault).__name__, exc_info=_traced(fault)
            )
            await answer.problem(internal_problem(trace_id))
        took = (time.perf_counter() - started) * 1000
        _log.info("%s %s %s %.1f ms %s", scope["method"], _route(scope), answer.status, took, trace_id)


def internal_problem(trace_id: str) -> Problem:
    """Return what a reader sees of a fault: where to find it, and nothing else."""
    return Problem(
        title="The hub failed",
        status=500,
        code="hub.fault",
        detail="a fault in the hub; it is recorded under the trace id",
        next_step="tell the operator of the hub the trace id",
        trace_id=trace_id,
    )


class _Answer:
    """Sends an answer with the headers that every answer has, and remembers whether it began."""

    def __init__(self, send: Send, trace_id: str) -> None:
        self._send = send
        self._trace_id = trace_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [
                *message.get("headers", []),
                (b"x-content-type-options", b"nosniff"),
                (b"x-trace-id", self._trace_id.encode("ascii")),
            ]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        """Answer a problem, unless an answer has begun: then the connection ends where it stands."""
        if self.status is not None:
            return
        body = json.dumps(problem.wire()).encode("utf-8")
        headers = [
            (b"content-type", PROBLEM_TYPE.encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
        ]
        await self({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


class _Replay:
    """Gives a body that was read once more, and then what the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    if b"%00" in scope.get("raw_path", b"") or b"%00" in scope.get("query_string", b""):
        raise _nul()
    largest = _largest(scope)
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:20]) > largest:
        raise _too_large(largest)
    body = await _read(receive, largest)
    if (b"\x00" in body or b"\\u0000" in body) and _NUL.search(body):
        raise _nul()
    return body


async def _read(receive: Receive, largest: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > largest:
            raise _too_large(largest)
        if not message.get("more_body", False):
            return b"".join(parts)


def _largest(scope: Scope) -> int:
    if not any(name == b"authorization" for name, _ in scope["headers"]):
        return LARGEST_ANONYMOUS
    return LARGEST_CATALOG if scope["path"] == CATALOG_PATH else LARGEST_BODY


def _too_large(largest: int) -> TooLarge:
    return TooLarge("request.too_large", f"the body is larger than {largest} bytes", "send less at once")


def _nul() -> Malformed:
    return Malformed("request.nul", "the request holds a NUL character", "leave it out")


def _route(scope: Scope) -> str:
    """The route's own text, so that no caller's text reaches the log."""
    return getattr(scope.get("route"), "path", "no route")


def _traced(fault: Exception) -> bool:
    """Whether the log may carry the traceback: only at debug level, where a message may hold ids."""
    del fault
    return _log.isEnabledFor(logging.DEBUG)
