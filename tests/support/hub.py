"""Start a real hub as its own process on a free loopback port, and speak to it as a node does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jws
from joserfc.jwk import ECKey

from atoll_schemas.enrolment import key_id
from atoll_schemas.permits import Permit, PermitRequest
from atoll_schemas.protocol import (
    ALGORITHM,
    PERMIT_TYPE,
    PROTOCOL,
    PROTOCOL_HEADER,
    Enrolled,
    Inbox,
    Lease,
    PermitApplication,
)

STARTING_SECONDS = 60
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class HubProcess:
    """A running ``atoll-hub up`` and its home."""

    url: str
    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def command(self, *arguments: str) -> str:
        """Run an ``atoll-hub`` command on this home and return what it prints."""
        done = subprocess.run(
            [*_PROGRAM, "--home", str(self.home), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def invite(self, site: str) -> str:
        """Return a one-time enrolment code for a site."""
        return str(json.loads(self.command("sites", "invite", site, "--json"))["code"])

    def add_user(self, name: str, role: str = "researcher") -> str:
        """Add a person and return their token."""
        return str(json.loads(self.command("users", "add", name, "--role", role, "--json"))["token"])

    def client(self, token: str | None = None) -> httpx.Client:
        """Return an HTTP client, signed in with a personal access token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=70, trust_env=False)

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        log = (self.home / "hub.log").open("ab")
        self.process = subprocess.Popen(
            [*_PROGRAM, "--home", str(self.home), "up", "--port", str(self.port)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + STARTING_SECONDS
        while not self.is_ready():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, "the hub did not become ready"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether the hub answers."""
        try:
            return httpx.get(f"{self.url}/v1/ready", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """Return what the hub wrote."""
        return (self.home / "hub.log").read_text(encoding="utf-8")

    def kill(self) -> None:
        """Kill the process without a word (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> float:
        """Stop the process as a service manager does (SIGTERM); return how long it took, in seconds."""
        started = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - started

    def restart(self) -> None:
        """Start again on the same home and port, after ``kill`` or ``stop``."""
        if self.process is not None:
            self.stop()
        self.start()

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(timeout=15)
            self.process = None


_PROGRAM = (sys.executable, "-c", "from atoll_hub.cli import app; app()")


def start_hub(
    tmp: Path, *, database_url: str | None = None, settings: Mapping[str, str] | None = None
) -> HubProcess:
    """Make a hub's home below ``tmp`` and start it. ``settings`` replaces ``key = value`` lines by key."""
    port = free_port()
    home = tmp / "hub"
    hub = HubProcess(url=f"http://127.0.0.1:{port}", home=home, port=port)
    hub.command("init", *(("--database-url", database_url) if database_url else ()))
    file = home / "atoll-hub.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    for key, value in (settings or {}).items():
        places = [n for n, line in enumerate(lines) if line.lstrip("# ").startswith(f"{key} =")]
        assert places, f"no setting {key}"
        lines[places[0]] = f"{key} = {value}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    hub.start()
    return hub


@dataclass
class PlainNode:
    """A node's side of the protocol and nothing behind it: a real key, real signatures, no data."""

    url: str
    key: ECKey
    enrolled: Enrolled | None = None
    token: str | None = None
    protocol: str = PROTOCOL
    clock_offset: timedelta = timedelta(0)
    http: httpx.Client | None = field(default=None, repr=False)

    @classmethod
    def at(cls, url: str, http: httpx.Client | None = None) -> "PlainNode":
        """Return a node with a new key that has not enrolled yet."""
        client = http or httpx.Client(base_url=url, timeout=70, trust_env=False)
        return cls(url=url, key=ECKey.generate_key("P-256", private=True), http=client)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        members = self.key.as_dict(private=False)
        return {name: members[name] for name in ("kty", "crv", "x", "y")} | {"kid": key_id(members)}

    def enrol(self, code: str) -> httpx.Response:
        """Enrol with a code."""
        message = {"code": code, "protocol": self.protocol, "public_key": self.jwk, "software": "plain 1"}
        reply = self._http.post("/v1/node/enrol", json=message, headers=self._headers)
        if reply.status_code == 200:
            self.enrolled = Enrolled.model_validate(reply.json())
        return reply

    def assertion(self, **changes: Any) -> str:
        """Return a signed client assertion; ``changes`` replace claims, ``None`` leaves one out."""
        assert self.enrolled is not None
        now = datetime.now(UTC) + self.clock_offset
        claims: dict[str, Any] = {
            "iss": self.enrolled.node_id,
            "sub": self.enrolled.node_id,
            "aud": self.enrolled.audience,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 120,
            "jti": uuid.uuid4().hex,
        }
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return self.signed(json.dumps(claims).encode(), "JWT")

    def signed(self, payload: bytes, kind: str) -> str:
        """Return a JWS compact under this node's key."""
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.jwk["kid"]}
        return jws.serialize_compact(header, payload, self.key, algorithms=[ALGORITHM])

    def ask_token(self, assertion: str) -> httpx.Response:
        """Exchange an assertion for an access token."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return self._http.post("/v1/token", data=form, headers=self._headers)

    def sign_in(self) -> None:
        """Get an access token and keep it."""
        reply = self.ask_token(self.assertion())
        assert reply.status_code == 200, reply.text
        self.token = reply.json()["access_token"]

    def post(self, path: str, message: Any) -> httpx.Response:
        """Send a message under ``/v1/node/``."""
        headers = self._headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        return self._http.post(f"/v1/node/{path}", json=message, headers=headers)

    def poll(self, wait: float = 0, running: tuple[str, ...] = ()) -> Inbox:
        """Poll and return the inbox."""
        message = {"wait_seconds": wait, "running": list(running), "software": "plain 1"}
        reply = self.post("poll", message)
        assert reply.status_code == 200, reply.text
        return Inbox.model_validate(reply.json())

    def leases(self, wait: float = 0, running: tuple[str, ...] = ()) -> list[Lease]:
        """Poll and return the claimed tasks."""
        return [one for one in self.poll(wait, running).deliveries if isinstance(one, Lease)]

    def applications(self) -> list[PermitRequest]:
        """Poll and return the permit requests."""
        return [one.request for one in self.poll().deliveries if isinstance(one, PermitApplication)]

    def decide(
        self, request: PermitRequest, state: str = "active", revision: int = 1, **changes: Any
    ) -> Permit:
        """Return a steward's decision on a request."""
        assert self.enrolled is not None
        facts = {
            "permit_id": request.permit_id,
            "project": request.project,
            "site": self.enrolled.site,
            "state": state,
            "scope": request.scope,
            "purpose": request.purpose,
            "decided_by": "a steward",
            "decided_at": datetime.now(UTC),
            "revision": revision,
        }
        return Permit.model_validate(facts | changes)

    def state_permit(self, permit: Permit) -> httpx.Response:
        """Send a signed permit statement."""
        return self.post("permits", {"token": self.signed(permit.canonical(), PERMIT_TYPE)})

    @property
    def _http(self) -> httpx.Client:
        assert self.http is not None
        return self.http

    @property
    def _headers(self) -> dict[str, str]:
        return {PROTOCOL_HEADER: self.protocol}


def end_all(hubs: list[HubProcess]) -> None:
    """Kill every hub that a test started and left running."""
    for hub in hubs:
        hub.kill()


def home_environment(home: Path) -> dict[str, str]:
    """Return an environment in which ``atoll-hub`` finds this home."""
    return os.environ | {"ATOLL_HUB_HOME": str(home)}
