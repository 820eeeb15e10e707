"""Send one message to the hub and read its reply: TLS, proxy, token, journal, problems."""

import ipaddress
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from atoll_node.agent.ports import Journal
from atoll_node.errors import HubError, SettingsError
from atoll_node.keys import NodeKey
from atoll_node.settings import NetworkSettings
from atoll_schemas.problems import ExitCode, Problem
from atoll_schemas.protocol import PROTOCOL, PROTOCOL_HEADER, TokenReply

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/v1/token"
HEALTH_PATH = "/v1/health"
HEALTH_SECONDS = 6.0
RENEW_BEFORE_SECONDS = 30.0
LARGEST_REPLY_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 10.0
REPLY_SECONDS = 30.0

Reply = TypeVar("Reply", bound=BaseModel)


class HubUnreachable(HubError):
    """No reply came: network, proxy, TLS, or a hub that is down."""


class HubDeclined(HubError):
    """The hub replied with a problem."""

    exit_code = ExitCode.ERROR

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(problem.code, _plain(problem.detail or problem.title), _plain(problem.next_step))
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status >= 500 or self.status == 429


@dataclass(frozen=True)
class Identity:
    """Who the node is to the hub, as enrolment said."""

    node_id: str
    audience: str
    key: NodeKey


class HubClient:
    """One kept-alive connection pool to one hub. Safe to use from several threads."""

    def __init__(
        self,
        hub: str,
        network: NetworkSettings,
        journal: Journal,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hub = checked_hub(hub)
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._monotonic = monotonic
        self._identity: Identity | None = None
        self._token: tuple[str, float] | None = None
        self._token_lock = threading.Lock()
        self._http = _http(self.hub, network)

    def identify(self, identity: Identity) -> None:
        """Say who the node is; needed before any call but enrolment."""
        self._identity = identity

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def call(self, why: str, path: str, message: BaseModel, *, seconds: float = REPLY_SECONDS) -> bytes:
        """POST a message as the enrolled node and return the reply's body; a stale token is renewed once."""
        body = message.model_dump_json(by_alias=True, exclude_none=True).encode()
        headers = {"Authorization": f"Bearer {self._bearer()}"}
        try:
            return self._post(why, path, body, headers, seconds)
        except HubDeclined as declined:
            if declined.status != 401 or not declined.code.startswith("token."):
                raise
        with self._token_lock:
            self._token = None
        return self._post(why, path, body, {"Authorization": f"Bearer {self._bearer()}"}, seconds)

    def call_unknown(self, why: str, path: str, message: BaseModel) -> bytes:
        """POST a message without a token: enrolment."""
        body = message.model_dump_json(by_alias=True, exclude_none=True).encode()
        return self._post(why, path, body, {}, REPLY_SECONDS)

    def health(self) -> tuple[bytes, str | None]:
        """Ask the hub how it is, without a token; return the reply's body and the hub's ``Date``."""
        return self._exchange("doctor", "GET", HEALTH_PATH, b"", {}, HEALTH_SECONDS)

    def _bearer(self) -> str:
        with self._token_lock:
            if self._token is None or self._monotonic() >= self._token[1]:
                self._token = self._new_token()
            return self._token[0]

    def _new_token(self) -> tuple[str, float]:
        if self._identity is None:
            raise SettingsError(
                "node.not_enrolled", "this node is not enrolled", "run: atoll-node enroll CODE"
            )
        asked_at = self._monotonic()
        assertion = self._identity.key.assertion(
            node_id=self._identity.node_id,
            audience=self._identity.audience,
            now=self._clock(),
            token_id=self._new_id(),
        )
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }
        ).encode("ascii")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = read_reply(TokenReply, self._post("token", TOKEN_PATH, form, headers, REPLY_SECONDS))
        lasts = max(reply.expires_in - RENEW_BEFORE_SECONDS, reply.expires_in / 2)
        return reply.access_token, asked_at + lasts

    def _post(self, why: str, path: str, body: bytes, headers: dict[str, str], seconds: float) -> bytes:
        content, _ = self._exchange(why, "POST", path, body, headers, seconds)
        return content

    def _exchange(
        self, why: str, method: str, path: str, body: bytes, headers: dict[str, str], seconds: float
    ) -> tuple[bytes, str | None]:
        number = self._journal.sending(recipient=self.hub, method=method, path=path, why=why, body=body)
        sent = {PROTOCOL_HEADER: PROTOCOL, "Content-Type": "application/json"} | headers
        timeout = httpx.Timeout(CONNECT_SECONDS, read=seconds)
        try:
            with self._http.stream(method, path, content=body, headers=sent, timeout=timeout) as response:
                content = _bounded(response)
        except (httpx.HTTPError, httpx.StreamError) as error:
            self._journal.answered(number, "unanswered")
            raise _unreachable(error) from error
        self._journal.answered(number, str(response.status_code))
        if response.status_code >= 300:
            raise HubDeclined(response.status_code, _problem(response, content))
        return content, response.headers.get("date")


def checked_hub(hub: str) -> str:
    """Return the hub's address without a trailing slash; only a hub on this machine may lack TLS."""
    parts = urlsplit(hub)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise SettingsError(
            "hub.address", "hub is not an https address", 'write it as hub = "https://hub.example"'
        )
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise SettingsError(
            "hub.not_https", "hub must be https: only a hub on this machine may lack TLS", "use https://"
        )
    return hub.rstrip("/")


def read_reply(kind: type[Reply], content: bytes) -> Reply:
    """Read a reply as its type; another shape means that hub and node do not understand each other."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise HubUnreachable(
            "hub.reply",
            "the hub's reply is not of this protocol's shape",
            "check that hub names an Atoll hub",
        ) from error


def _http(hub: str, network: NetworkSettings) -> httpx.Client:
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=120)
    try:
        return httpx.Client(
            base_url=hub,
            verify=_trust(network.ca_file),
            proxy=network.proxy,
            limits=limits,
            follow_redirects=False,
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(
            "network.proxy", "network.proxy is not an address", 'such as "http://proxy:3128"'
        ) from error


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except FileNotFoundError as error:
        raise SettingsError("network.ca_file", "there is no file at network.ca_file") from error
    except (ssl.SSLError, OSError) as error:
        raise SettingsError("network.ca_file", "network.ca_file holds no certificate (PEM)") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > LARGEST_REPLY_BYTES:
            raise httpx.ReadError("the reply is too large")
    return bytes(content)


def _unreachable(error: Exception) -> HubUnreachable:
    if isinstance(error, httpx.ProxyError):
        return HubUnreachable("hub.proxy", "the proxy does not let the node through", "check network.proxy")
    if isinstance(error, httpx.ConnectError) and _is_certificate(error):
        return HubUnreachable(
            "hub.certificate",
            "the hub's certificate is not trusted here",
            "set network.ca_file to the CA's PEM file",
        )
    if isinstance(error, httpx.TimeoutException):
        return HubUnreachable("hub.timeout", "the hub did not reply in time", "the node keeps trying")
    return HubUnreachable("hub.unreachable", "the hub cannot be reached", "check hub, proxy and firewall")


def _is_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _problem(response: httpx.Response, content: bytes) -> Problem:
    try:
        return Problem.model_validate_json(content)
    except ValidationError:
        return Problem(
            title=f"HTTP status {response.status_code} without a reason",
            status=response.status_code,
            code="hub.status",
            next_step="check that hub names an Atoll hub",
        )


def _plain(text: str | None) -> str:
    """Cut what came from outside down to one short printable line."""
    return "".join(character if character.isprintable() else " " for character in text or "")[:300]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
