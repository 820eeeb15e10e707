"""Read server-sent events (WHATWG HTML, section 9.2) from bytes as they come, and know where to resume."""

import json
import re
from collections.abc import Iterator

from pydantic import ValidationError

from atoll.errors import ProtocolMismatch, Unreachable
from atoll_schemas.protocol import QueryEvent

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
_MOST_BYTES = 1_000_000
"""An event's data beyond this is not read."""


class Reader:
    """Turn chunks of a stream into the data of its events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of every event that ``chunk`` completes. Comments and other fields are left out."""
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        if len(self._rest) + sum(map(len, self._data)) > _MOST_BYTES:
            raise ProtocolMismatch("events.too_large", "the hub sent an event that is too large")
        for line in lines:
            if line:
                self._take(line.decode("utf-8", "replace"))
            elif self._data:
                yield "\n".join(self._data)
                self._data = []

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))


class Following:
    """Follow one query's events over any number of connections: each event once, in order."""

    def __init__(self, after: int = 0, patience: int = 6) -> None:
        self.last = after
        self._finished = False
        self._patience = patience
        self._failures = 0
        self._reader = Reader()

    def ended(self) -> bool:
        """Whether the query's last event was read."""
        return self._finished

    def connected(self) -> None:
        """Start to read a new connection; what the last one left half is thrown away."""
        self._reader = Reader()

    def read(self, chunk: bytes) -> Iterator[QueryEvent]:
        """Yield the new events that ``chunk`` completes."""
        for data in self._reader.feed(chunk):
            event = _event(data)
            if event.sequence > self.last and not self._finished:
                self.last = event.sequence
                self._failures = 0
                self._finished = event.kind == "finished"
                yield event

    def interrupted(self, error: Unreachable | None) -> float:
        """Note that a connection ended early; return the seconds to wait, or raise when patience ends."""
        self._failures += 1
        if self._failures > self._patience:
            raise error or Unreachable(
                "events.interrupted",
                "the hub's event stream keeps breaking off",
                "The query goes on; ask for its result.",
            )
        return float(min(0.25 * 2 ** (self._failures - 1), 5.0))


def _event(data: str) -> QueryEvent:
    try:
        return QueryEvent.from_wire(json.loads(data))
    except (ValueError, ValidationError, RecursionError) as error:
        raise ProtocolMismatch(
            "events.unknown",
            "the hub sent an event that this SDK does not know",
            "Install the SDK of the hub's version.",
        ) from error
