"""Stand before a real S3 store and spoil one thing, as careless stores and proxies in front of them do.

The gateway holds the store's keys: what it passes on it signs anew, so that the real store takes a request
from which a header is missing. Each spoiler is a function of one request.
"""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, urlsplit

from minio.credentials import Credentials
from minio.signer import sign_v4_s3

from tests.support.s3_server import ACCESS, SECRET, S3Server

CONDITION = "if-none-match"
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "host"})


@dataclass(frozen=True)
class Request:
    """One request as it came; header names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    signed: bool = False
    """Whether it is as its sender signed it, for this address."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    def without(self, header: str) -> "Request":
        kept = {name: value for name, value in self.headers.items() if name != header}
        return replace(self, headers=kept, signed=False)


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Pass = Callable[[Request], Reply]
Spoiler = Callable[[Request, Pass], Reply]


def honest(request: Request, onward: Pass) -> Reply:
    """Spoil nothing."""
    return onward(request)


def header_dropped(request: Request, onward: Pass) -> Reply:
    """Ignore the condition, as a store does that does not know it: every writer wins."""
    return onward(request.without(CONDITION))


def condition_unknown(request: Request, onward: Pass) -> Reply:
    """Refuse every conditional PUT as not implemented."""
    if CONDITION in request.headers:
        return refused(501, "NotImplemented")
    return onward(request)


def header_cut_after_signing(request: Request, onward: Pass) -> Reply:
    """Do as a proxy that removes the header: the signature no longer fits, and the store says so."""
    if CONDITION in request.headers:
        return refused(403, "SignatureDoesNotMatch")
    return onward(request)


def two_win(request: Request, onward: Pass) -> Reply:
    """Look first and write then: right for one writer at a time, wrong for several at once."""
    if request.method != "PUT" or CONDITION not in request.headers:
        return onward(request)
    there = onward(Request("HEAD", request.path, {}, b""))
    if there.status == 200:
        return refused(412, "PreconditionFailed")
    time.sleep(0.1)
    return onward(request.without(CONDITION))


def full(request: Request, onward: Pass) -> Reply:
    """Refuse large objects as MinIO does whose disk is full."""
    if request.method == "PUT" and len(request.body) > 1_000_000:
        return refused(507, "XMinioStorageFull")
    return onward(request)


def no_multipart(request: Request, onward: Pass) -> Reply:
    """Refuse to begin an upload in parts."""
    if request.method == "POST" and request.query.startswith("uploads"):
        return refused(501, "NotImplemented")
    return onward(request)


def parts_lost(request: Request, onward: Pass) -> Reply:
    """Take an object in parts and keep an empty one in its place."""
    reply = onward(request)
    if request.method == "POST" and "uploadId" in request.query:
        onward(Request("PUT", request.path, {}, b""))
    return reply


def empty_lists(request: Request, onward: Pass) -> Reply:
    """List a bucket as if nothing had been written, as a store does that lags behind."""
    if request.method == "GET" and "list-type=2" in request.query:
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>atoll</Name>'
            "<Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>"
            "<IsTruncated>false</IsTruncated></ListBucketResult>"
        )
        return Reply(200, {"Content-Type": "application/xml"}, body.encode())
    return onward(request)


class LostCommits:
    """Honour the condition for plain objects and drop it for Delta commits: writers overwrite each other."""

    def __call__(self, request: Request, onward: Pass) -> Reply:
        if "/_delta_log/" in request.path:
            return onward(request.without(CONDITION))
        return onward(request)


class Renamed:
    """Pass all on, and call the store by another name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request: Request, onward: Pass) -> Reply:
        reply = onward(request)
        kept = {name: value for name, value in reply.headers.items() if name.lower() != "server"}
        return replace(reply, headers={**kept, "Server": self.name})


def refused(status: int, code: str) -> Reply:
    """Return an S3 error."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Reply(status, {"Content-Type": "application/xml"}, body.encode())


@dataclass
class Gateway:
    """The running gateway, and what passed it."""

    server: S3Server
    endpoint: str = ""
    spoiler: Spoiler = honest
    heard: list[Request] = field(default_factory=list)
    _mine: threading.local = field(default_factory=threading.local, repr=False)

    def as_server(self) -> S3Server:
        """Return the store as it is seen through the gateway."""
        return replace(self.server, endpoint=self.endpoint)

    def onward(self, request: Request) -> Reply:
        """Send a request to the real store; one that a spoiler made is signed anew."""
        if request.signed:
            return self._sent(request.method, request.target, request.headers, request.body)
        address = urlsplit(self.server.endpoint).netloc
        query = "&".join(part if "=" in part else f"{part}=" for part in request.query.split("&") if part)
        url = SplitResult("http", address, request.path, query, "")
        kept = {
            name: value
            for name, value in request.headers.items()
            if name not in _HOP | {"authorization", "expect", "user-agent", "accept-encoding"}
        }
        now = datetime.now(UTC)
        digest = "UNSIGNED-PAYLOAD"
        kept |= {
            "host": address,
            "x-amz-content-sha256": digest,
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        signed = sign_v4_s3(
            method=request.method,
            url=url,
            region="us-east-1",
            headers=kept,
            credentials=Credentials(ACCESS, SECRET),
            content_sha256=digest,
            date=now,
        )
        target = request.path + (f"?{query}" if query else "")
        return self._sent(request.method, target, signed, request.body)

    def _sent(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Send over this thread's connection, which a store that was started again has closed."""
        kept: http.client.HTTPConnection | None = self._mine.__dict__.pop("connection", None)
        if kept is not None and method in {"GET", "HEAD"}:
            with suppress(OSError):
                return self._exchanged(kept, method, target, headers, body)
            kept = None
        address = urlsplit(self.server.endpoint).netloc
        connection = kept or http.client.HTTPConnection(address, timeout=60)
        return self._exchanged(connection, method, target, headers, body)

    def _exchanged(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> Reply:
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        self._mine.connection = connection
        return reply


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def gateway(server: S3Server, spoiler: Spoiler = honest) -> Iterator[Gateway]:
    """Run a gateway before a plain-HTTP server. Tests may change its ``spoiler`` while it runs."""
    state = Gateway(server, spoiler=spoiler)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(self.command, self.path, headers, body, signed=True)
            state.heard.append(request)
            self._send(state.spoiler(request, state.onward))

        def _send(self, reply: Reply) -> None:
            self.send_response_only(reply.status)
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in _HOP}
            length = str(len(reply.body))
            if self.command == "HEAD":
                length = reply.headers.get("Content-Length", length)
            for name, value in (kept | {"Content-Length": length}).items():
                self.send_header(name, value)
            self.send_header("Date", self.date_time_string())
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

        def log_message(self, *parts: object) -> None:
            pass

    front = _Front(("127.0.0.1", 0), Handler)
    state.endpoint = f"http://127.0.0.1:{front.server_address[1]}"
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        front.shutdown()
        front.server_close()
