"""Serve scripted replies over real HTTP on loopback, and keep what was asked."""

import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """One scripted reply; ``cut`` closes the connection without a proper end."""

    body: Any = None
    status: int = 200
    kind: str = "application/json"
    cut: bool = False

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


@dataclass
class SmallHub:
    """A server that says what it was told to say; the last reply of a route repeats."""

    url: str
    routes: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def says(self, method: str, path: str, *replies: Reply) -> None:
        self.routes[method, path] = list(replies)

    def next_reply(self, request: Asked) -> Reply:
        self.asked.append(request)
        replies = self.routes.get((request.method, request.path))
        if not replies:
            problem = {
                "title": "No such route",
                "status": 404,
                "code": "query.unknown",
                "detail": "no such query",
            }
            return Reply(problem, 404, "application/problem+json")
        return replies.pop(0) if len(replies) > 1 else replies[0]


def handler_of(hub: SmallHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            reply = hub.next_reply(
                Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
            )
            content = reply.content()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(content) + (1000 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = reply.cut

        do_GET = do_POST = answer

        def log_message(self, *args: object) -> None:
            return None

    return Handler


@contextmanager
def small_hub(certificate: Path | None = None) -> Iterator[SmallHub]:
    """Run a small hub; with a PEM file of key and certificate, over TLS."""
    hub = SmallHub("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hub.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def events(*items: dict[str, Any], tail: str = "") -> bytes:
    """Return items as server-sent events."""
    parts = [f"id: {item['sequence']}\nevent: {item['kind']}\ndata: {json.dumps(item)}\n\n" for item in items]
    return (": hello\n\n" + "".join(parts) + tail).encode()


def event(sequence: int, kind: str, site: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one query event as the hub writes it."""
    found = {"sequence": sequence, "at": "2026-03-04T12:00:00Z", "kind": kind, **more}
    return found if site is None else {**found, "site": site}


def summary(**more: Any) -> dict[str, Any]:
    """Return a query summary as the hub writes it."""
    return {
        "query_id": "Q-1",
        "project": "P-001",
        "dataset": "colon",
        "method": "count",
        "state": "running",
        "asked": 3,
        "answered": 0,
        "submitted_at": "2026-03-04T12:00:00Z",
        "submitted_by": "ada",
        **more,
    }


def project(datasets: Sequence[str] = ("colon",)) -> dict[str, Any]:
    """Return a project as the hub writes it."""
    return {
        "id": "P-001",
        "title": "Colon",
        "purpose": "learn",
        "people": ["ada"],
        "scope": {
            "datasets": list(datasets),
            "methods": ["count"],
            "valid_from": "2026-01-01T00:00:00Z",
            "valid_until": "2027-01-01T00:00:00Z",
        },
        "applied_by": "ada",
        "applied_at": "2026-01-01T00:00:00Z",
        "permits": [],
    }
