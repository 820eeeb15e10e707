"""Carry calls over HTTP in an event loop: the asynchronous twin of ``wire``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from atoll.calls import QUERY, Call, failure, reply
from atoll.credentials import Account
from atoll.errors import AtollError
from atoll.flows import Flow, Pause
from atoll.wire import (
    STREAM_TIMEOUT,
    Done,
    client_options,
    failed,
    first,
    proxies_checked,
    resume,
    sent,
    typed,
    unreachable,
)

T = TypeVar("T")


class AsyncWire:
    """Send calls and follow flows in an event loop."""

    def __init__(self, account: Account, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.account = account
        options = client_options(account)
        with proxies_checked():
            self._client = httpx.AsyncClient(**options, transport=transport)

    async def send(self, call: Call[T]) -> T:
        """Return the parsed reply, or raise an ``AtollError``."""
        try:
            response = await self._client.request(
                call.method, call.path, params=dict(call.query), content=call.content(), headers=typed(call)
            )
        except (httpx.HTTPError, UnicodeError) as error:
            raise unreachable(self.account, error) from error
        return reply(call, response.status_code, response.content)

    async def follow(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        step = first(flow)
        while not isinstance(step, Done):
            try:
                if isinstance(step.wanted, Pause):
                    await asyncio.sleep(step.wanted.seconds)
                    answer = None
                else:
                    answer = await self.send(step.wanted)
            except AtollError as error:
                step = failed(flow, error)
            else:
                step = sent(flow, answer)
        return step.value  # type: ignore[no-any-return]

    @asynccontextmanager
    async def stream(self, path: str, last: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an event stream after event ``last``."""
        try:
            async with self._client.stream(
                "GET", path, headers=resume(last), timeout=STREAM_TIMEOUT
            ) as response:
                if response.status_code != 200:
                    raise failure(response.status_code, await response.aread(), QUERY)
                yield response.aiter_bytes()
        except (httpx.HTTPError, UnicodeError) as error:
            raise unreachable(self.account, error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
