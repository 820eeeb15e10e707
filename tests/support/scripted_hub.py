"""Serve a hub that says exactly what a test tells it to, also what no honest hub would say; over TLS or not.

A second part is a real CONNECT proxy. Both are small servers on free ports of 127.0.0.1.
"""

import contextlib
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey

from atoll_node.keys import NodeKey
from atoll_schemas.enrolment import new_code
from atoll_schemas.people import Health
from atoll_schemas.protocol import Answer, Enrolled, Inbox
from tests.support.node_records import HUB_ID, SITE, a_hub_key

Reply = tuple[int, dict[str, Any] | None]


@dataclass
class Heard:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedHub:
    """What the hub knows and says; tests change it while it runs."""

    url: str = ""
    key: NodeKey = field(default_factory=a_hub_key)
    shown_key: NodeKey | None = None
    """The key it shows at enrolment, when it is not the one that the code names."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    protocol: str = "1"
    expires_in: int = 300
    down: bool = False
    heard: list[Heard] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    node_key: dict[str, Any] | None = None
    overrides: dict[str, Reply] = field(default_factory=dict)
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _tokens: set[str] = field(default_factory=set)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def code(self) -> str:
        return new_code(b"s" * 20, self.key.public_jwk()).text()

    def deliver(self, *deliveries: Any) -> None:
        """Hand deliveries to the next poll."""
        with self._news:
            self._waiting += [delivery.wire() for delivery in deliveries]
            self._news.notify_all()

    def forget_tokens(self) -> None:
        self._tokens.clear()

    def paths(self) -> list[str]:
        return [heard.path for heard in self.heard]

    def reply(self, heard: Heard) -> Reply:
        self.heard.append(heard)
        if heard.path == "/v1/health":
            health = Health(status="alive", hub_id=HUB_ID, protocol=self.protocol, software="scripted hub")
            return 200, health.wire()
        if heard.path in self.overrides:
            return self.overrides[heard.path]
        if heard.headers.get("atoll-protocol") != self.protocol:
            return 400, problem(
                "protocol.version",
                f"the node speaks protocol {heard.headers.get('atoll-protocol')},"
                f" the hub speaks protocol {self.protocol}",
            )
        if heard.path == "/v1/node/enrol":
            return self._enrol(heard)
        if heard.path == "/v1/token":
            return self._token(heard)
        if heard.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            return 401, problem("token.invalid", "the access token is not known")
        return self._node(heard)

    def _enrol(self, heard: Heard) -> Reply:
        self.node_key = heard.json()["public_key"]
        shown = (self.shown_key or self.key).public_jwk()
        enrolled = Enrolled(
            site=SITE, node_id="node-1", hub_id=HUB_ID, hub_keys=(shown,), audience=f"{self.url}/v1/token"
        )
        return 200, enrolled.wire()

    def _token(self, heard: Heard) -> Reply:
        form = parse_qs(heard.body.decode())
        assert form["grant_type"] == ["client_credentials"]
        assert self.node_key is not None
        checked = jwt.decode(
            form["client_assertion"][0], ECKey.import_key(self.node_key), algorithms=["ES256"]
        )
        ahead = checked.claims["iat"] - self.clock().timestamp()
        if abs(ahead) > 60:
            return 401, problem(
                "clock.skew", f"the node's clock is {abs(round(ahead))} s off", "set it by NTP"
            )
        token = f"token-{len(self._tokens)}-{time.monotonic_ns()}"
        self._tokens.add(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in}

    def _node(self, heard: Heard) -> Reply:
        if heard.path == "/v1/node/poll":
            return 200, self._inbox(heard.json()["wait_seconds"])
        if heard.path.endswith("/answer"):
            answer = Answer.from_wire(heard.json())
            self.answers.append(answer)
            return 200, {"task_id": answer.task_id, "replayed": len(self.answers) > 1}
        return 204, None

    def _inbox(self, wait: float) -> dict[str, Any]:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self.down, timeout=wait)
            deliveries, self._waiting = self._waiting, []
        return Inbox(protocol=self.protocol, now=self.clock()).wire() | {"deliveries": deliveries}


def problem(code: str, detail: str, next_step: str = "") -> dict[str, Any]:
    return {"title": detail, "status": 400, "code": code, "detail": detail, "next_step": next_step}


@contextmanager
def scripted_hub(certificate: Path | None = None, port: int = 0, **script: Any) -> Iterator[ScriptedHub]:
    """Run a scripted hub; with a certificate (PEM with its key) it speaks TLS."""
    hub = ScriptedHub(**script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = hub.reply(Heard(self.path, headers, body))
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, *parts: Any) -> None:
            pass

    server = _Quiet(("127.0.0.1", port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    hub.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    with _serving(server):
        yield hub
        hub.down = True
        with hub._news:
            hub._news.notify_all()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Proxy:
    """A CONNECT proxy and where it was asked to go. With a ``refusal``, an HTTP status, it opens no way."""

    url: str = ""
    refusal: int | None = None
    asked: list[str] = field(default_factory=list)


@contextmanager
def connect_proxy() -> Iterator[Proxy]:
    """Run a proxy that tunnels (RFC 9110 section 9.3.6) and does nothing else."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            proxy.asked.append(self.path)
            if proxy.refusal is not None:
                self.send_error(proxy.refusal)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as beyond:
                self.send_response(200)
                self.end_headers()
                _tunnel(self.connection, beyond)
            self.close_connection = True

        def log_message(self, *parts: Any) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    with _serving(server):
        yield proxy


def _tunnel(near: socket.socket, far: socket.socket) -> None:
    other = {near: far, far: near}
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([near, far], [], [], 30)
            if not ready:
                return
            for end in ready:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)


@dataclass(frozen=True)
class PrivateCa:
    """A private certificate authority: its own certificate, and one for 127.0.0.1."""

    ca_file: Path
    server_file: Path


def private_ca(folder: Path, name: str = "Private CA for tests") -> PrivateCa:
    """Make an authority of that name and its server certificate for 127.0.0.1 and localhost."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca=True).sign(ca_key, hashes.SHA256())
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")])
    server = (
        _certificate(host, ca_name, server_key.public_key(), ca=False)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    found = PrivateCa(folder / "ca.pem", folder / "server.pem")
    found.ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    secret = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    found.server_file.write_bytes(secret + server.public_bytes(Encoding.PEM))
    return found


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
