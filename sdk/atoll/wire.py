"""Carry calls over HTTP: the one place that knows httpx. Proxies come from the environment."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, TypeVar

import httpx

from atoll.calls import QUERY, Call, failure, reply
from atoll.credentials import Account
from atoll.errors import AtollError, Invalid, Unreachable
from atoll.flows import Flow, Pause
from atoll_schemas import __version__
from atoll_schemas.protocol import PROTOCOL, PROTOCOL_HEADER

T = TypeVar("T")
_TIMEOUT = httpx.Timeout(10.0, read=75.0)
"""A result may be waited for up to 60 s at the hub."""
STREAM_TIMEOUT = httpx.Timeout(10.0, read=45.0)
"""The hub's heartbeat comes every 15 s."""


class ClientOptions(TypedDict):
    """What httpx clients are made with."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    verify: ssl.SSLContext


def client_options(account: Account) -> ClientOptions:
    """Return how both kinds of client are set up."""
    return {
        "base_url": account.hub,
        "headers": {
            "Authorization": f"Bearer {account.token}",
            "Accept": "application/json",
            "User-Agent": f"atoll/{__version__}",
            PROTOCOL_HEADER: PROTOCOL,
        },
        "timeout": _TIMEOUT,
        "verify": _trust(account),
    }


def _trust(account: Account) -> ssl.SSLContext:
    """Return whom to trust: the system's authorities and ATOLL_CA_FILE; over plain HTTP nobody is asked."""
    if not account.hub.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    if account.ca_file:
        try:
            context.load_verify_locations(cafile=account.ca_file)
        except OSError as error:
            raise Invalid(
                "ca.file", "the certificate authority file cannot be read", "Check ATOLL_CA_FILE."
            ) from error
    return context


@contextmanager
def proxies_checked() -> Iterator[None]:
    """Say in the SDK's words that httpx cannot use a proxy of the environment."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise Invalid(
            "proxy.form",
            "the proxy that the environment names cannot be used",
            "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY read http://HOST:PORT.",
        ) from error


def unreachable(account: Account, error: httpx.HTTPError | UnicodeError) -> Unreachable:
    """Return what a reader needs to know of a failed connection."""
    reason = type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Unreachable(
            "hub.certificate",
            f"the certificate of {account.hub} is not trusted",
            "If your organisation has its own authority, set ATOLL_CA_FILE to its PEM file.",
        )
    return Unreachable(
        "hub.unreachable",
        f"the hub at {account.hub} cannot be reached ({reason})",
        "Check the address, the network and HTTPS_PROXY, and that the hub is up.",
    )


class Wire:
    """Send calls and follow flows, one after another."""

    def __init__(self, account: Account, transport: httpx.BaseTransport | None = None) -> None:
        self.account = account
        options = client_options(account)
        with proxies_checked():
            self._client = httpx.Client(**options, transport=transport)

    def send(self, call: Call[T]) -> T:
        """Return the parsed reply, or raise an ``AtollError``."""
        try:
            response = self._client.request(
                call.method, call.path, params=dict(call.query), content=call.content(), headers=typed(call)
            )
        except (httpx.HTTPError, UnicodeError) as error:
            raise unreachable(self.account, error) from error
        return reply(call, response.status_code, response.content)

    def follow(self, flow: Flow[T]) -> T:
        """Run a flow to its end."""
        step = first(flow)
        while not isinstance(step, Done):
            try:
                if isinstance(step.wanted, Pause):
                    time.sleep(step.wanted.seconds)
                    answer = None
                else:
                    answer = self.send(step.wanted)
            except AtollError as error:
                step = failed(flow, error)
            else:
                step = sent(flow, answer)
        return step.value  # type: ignore[no-any-return]

    @contextmanager
    def stream(self, path: str, last: int) -> Iterator[Iterator[bytes]]:
        """Open an event stream after event ``last``."""
        try:
            with self._client.stream("GET", path, headers=resume(last), timeout=STREAM_TIMEOUT) as response:
                if response.status_code != 200:
                    raise failure(response.status_code, response.read(), QUERY)
                yield response.iter_bytes()
        except (httpx.HTTPError, UnicodeError) as error:
            raise unreachable(self.account, error) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Done:
    """A flow's end."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Wants:
    """What a flow asks for next."""

    def __init__(self, wanted: Call[Any] | Pause) -> None:
        self.wanted = wanted


def first(flow: Flow[Any]) -> Wants | Done:
    """Start a flow."""
    return sent(flow, None)


def sent(flow: Flow[Any], answer: Any) -> Wants | Done:
    """Give a flow the reply to what it wanted."""
    try:
        return Wants(flow.send(answer))
    except StopIteration as end:
        return Done(end.value)


def failed(flow: Flow[Any], error: AtollError) -> Wants | Done:
    """Tell a flow that what it wanted failed; it may try something else, or let the error out."""
    try:
        return Wants(flow.throw(error))
    except StopIteration as end:
        return Done(end.value)


def typed(call: Call[Any]) -> dict[str, str]:
    """Return the headers of a body."""
    return {"Content-Type": "application/json"} if call.body is not None else {}


def resume(last: int) -> dict[str, str]:
    """Return the headers of an event stream."""
    return {"Accept": "text/event-stream", "Cache-Control": "no-store", "Last-Event-ID": str(last)}
