"""The faults, each as what a network or a store does to one request; drawn from a seed."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.support.unsafe_store import Pass, Reply, Request, refused

Harm = Callable[[Request, Pass, random.Random], Reply]


def stall(request: Request, onward: Pass, draw: random.Random) -> Reply:
    """Wait before the request goes on."""
    time.sleep(draw.uniform(0.1, 1.0))
    return onward(request)


def cut_before(request: Request, _: Pass, __: random.Random) -> Reply:
    """Close the connection before the store hears of the request."""
    raise ConnectionResetError(request.method)


def cut_after(request: Request, onward: Pass, _: random.Random) -> Reply:
    """Let the request through, and close the connection before the answer: the commit may have been made."""
    onward(request)
    raise ConnectionResetError(request.method)


def cut_short(request: Request, onward: Pass, _: random.Random) -> Reply:
    """Give the first half of an answer for the whole, as a cut download looks."""
    reply = onward(request)
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def truncate(request: Request, onward: Pass, _: random.Random) -> Reply:
    """Keep half of a data file, and close the connection: an upload that broke."""
    if request.method == "PUT" and request.path.endswith(".parquet"):
        half = request.body[: len(request.body) // 2]
        kept = {name: value for name, value in request.headers.items() if not name.startswith("content-md5")}
        onward(Request("PUT", request.target, kept, half))
    raise ConnectionResetError(request.method)


def answering(status: int, code: str) -> Harm:
    """Return the fault of a store that answers so instead of doing anything."""

    def answer(_: Request, __: Pass, ___: random.Random) -> Reply:
        return refused(status, code)

    return answer


REQUESTS: Mapping[str, Harm] = {
    "stalls": stall,
    "cut before": cut_before,
    "cut after the commit": cut_after,
    "half an answer": cut_short,
    "truncated upload": truncate,
    "500": answering(500, "InternalError"),
    "503": answering(503, "SlowDown"),
    "409": answering(409, "OperationAborted"),
    "412": answering(412, "PreconditionFailed"),
    "full disk of the store": answering(507, "XMinioStorageFull"),
    "read-only bucket": answering(403, "AccessDenied"),
}
"""What happens to single requests."""
_ON_WRITES = frozenset({"truncated upload", "full disk of the store", "read-only bucket", "409", "412"})
PROCESSES = (
    "writer killed", "store killed and restarted", "scratch full", "clock jumps", "ingest killed",
)  # fmt: skip
"""What happens to processes."""
ALL = (*REQUESTS, *PROCESSES)


@dataclass
class Harmful:
    """A spoiler that harms some requests of a kind, and counts them."""

    kind: str
    share: float
    draw: random.Random
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, request: Request, onward: Pass) -> Reply:
        """Harm the request, or let it through."""
        writes = request.method in {"PUT", "POST", "DELETE"}
        with self._lock:
            chosen = (writes or self.kind not in _ON_WRITES) and self.draw.random() < self.share
            self.done += chosen
        return REQUESTS[self.kind](request, onward, self.draw) if chosen else onward(request)
