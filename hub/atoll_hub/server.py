"""Run the application: one process, keep-alive, and an end that does not wait for long polls."""

import errno
import ipaddress
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from atoll_hub.errors import HubError, SettingsError
from atoll_hub.wakes import Wakes
from atoll_schemas.problems import ExitCode

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 75


class CannotListen(HubError):
    """The address cannot be listened on."""

    title = "The hub cannot listen"
    exit_code = ExitCode.BLOCKER


@dataclass(frozen=True)
class Listening:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def address(self) -> str:
        """The hub's address as a node on this machine reaches it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"


class _Server(uvicorn.Server):
    """Ends every long poll the moment the process is asked to stop."""

    def __init__(self, config: uvicorn.Config, wakes: Wakes) -> None:
        super().__init__(config)
        self._wakes = wakes

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take SIGTERM or SIGINT."""
        self._wakes.close()
        super().handle_exit(sig, frame)


def check_listening(listening: Listening) -> None:
    """Raise ``SettingsError`` for plain http beyond loopback, and for half a certificate."""
    if (listening.tls_cert is None) != (listening.tls_key is None):
        raise SettingsError(
            "server.tls", "tls_cert and tls_key come together", "give both, or none on loopback"
        )
    if listening.tls_cert is None and not _is_loopback(listening.host):
        raise SettingsError(
            "server.plain",
            f"plain http is served on loopback only, not on {listening.host}",
            "give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks https",
        )
    for file in (listening.tls_cert, listening.tls_key):
        if file is not None and not file.is_file():
            raise SettingsError("server.tls", f"there is no file {file}", "check tls_cert and tls_key")


def open_socket(listening: Listening) -> socket.socket:
    """Take the port. Raises ``CannotListen`` naming a busy port and what to do."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    # The protocol is named because asyncio turns off the 40 ms of Nagle only where it is.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((listening.host, listening.port))
    except OSError as error:
        opened.close()
        raise _cannot_listen(listening, error) from error
    return opened


def serve(app: ASGIApp, opened: socket.socket, listening: Listening, wakes: Wakes, log_level: str) -> None:
    """Serve until the process is asked to stop."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=listening.tls_cert,
        ssl_keyfile=listening.tls_key,
        ws="none",
    )
    _Server(config, wakes).run(sockets=[opened])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cannot_listen(listening: Listening, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            "server.busy",
            f"port {listening.port} on {listening.host} is taken by another process",
            f"stop that process (ss -ltnp 'sport = :{listening.port}'), or choose another port with --port",
        )
    return CannotListen(
        "server.address",
        f"{listening.host} port {listening.port} cannot be listened on: {error.strerror}",
        "choose an address of this machine and a port above 1023",
    )
