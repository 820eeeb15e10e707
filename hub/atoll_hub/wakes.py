"""Wake those who wait for news, such as a node's long poll, the moment that news is committed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOKS_PER_SECOND = 100
LOOK_AGAIN_SECONDS, LONGEST_LOOK_SECONDS = 1.0, 10.0


class Wakes:
    """Bells by topic in one process. What rings none, such as an ended lease, is found by looking again."""

    def __init__(self) -> None:
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closing = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop in which the waiting is done."""
        self._loop = loop
        self.closing = False

    def ring(self, topic: str) -> None:
        """Wake everybody who listens to ``topic``; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring, topic)

    def close(self) -> None:
        """End all waiting, now and from now on: the hub stops."""
        self.closing = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring_all)

    @contextmanager
    def listening(self, topic: str) -> Iterator[asyncio.Event]:
        """Give a bell that rings for ``topic`` as long as the block lasts."""
        bell = asyncio.Event()
        self._bells.setdefault(topic, set()).add(bell)
        try:
            yield bell
        finally:
            listeners = self._bells.get(topic, set())
            listeners.discard(bell)
            if not listeners:
                self._bells.pop(topic, None)

    def is_awaited(self, topic: str) -> bool:
        """Whether somebody listens to ``topic``."""
        return topic in self._bells

    def look_again(self) -> float:
        """Return in how many seconds one who waits looks into the database again without a bell.

        Each second, while few wait; with many, all of them together look about ``LOOKS_PER_SECOND`` times.
        """
        waiting = sum(len(bells) for bells in self._bells.values())
        return min(max(LOOK_AGAIN_SECONDS, waiting / LOOKS_PER_SECOND), LONGEST_LOOK_SECONDS)

    async def wait(self, bell: asyncio.Event, seconds: float) -> None:
        """Wait until the bell rings, ``seconds`` are over, or the hub stops."""
        if not self.closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), timeout=max(seconds, 0))
        bell.clear()

    def _ring(self, topic: str) -> None:
        for bell in self._bells.get(topic, ()):
            bell.set()

    def _ring_all(self) -> None:
        for topic in self._bells:
            self._ring(topic)
