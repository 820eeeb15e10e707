"""Look at one address of the network as the node meets it: its name, the proxy before it, its certificate."""

import base64
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from atoll_node.doctor.network import Certificate, Trust

SECONDS = 4.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Host and port of a URL."""

    host: str
    port: int
    tls: bool


class ProxyDeclined(Exception):
    """The proxy answered, and did not let the connection through; ``status`` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def address_of(url: str) -> Address:
    """Return where a URL leads."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443), parts.scheme == "https")


def proxy_of(url: str, configured: str | None) -> str | None:
    """Return the proxy that the node uses for a URL: the configured one, else that of the environment."""
    if configured is not None:
        return configured
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    found = urllib.request.getproxies()
    return found.get(parts.scheme) or found.get("all")


def resolved(address: Address, seconds: float = SECONDS) -> tuple[str, ...]:
    """Return the addresses of a name; none when it is unknown or no answer comes in time."""
    found: list[str] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except OSError:
            return
        found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    # The system's resolver knows no deadline of ours.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return tuple(found)


def certificate_of(address: Address, proxy: str | None, ca_file: Path | None) -> Certificate:
    """Return the certificate that arrives, and who of this machine trusts it. Raises ``OSError``."""
    with _connected(address, proxy) as link:
        shown = _certificate(link, address.host)
    return Certificate(
        issuer=_issuer(shown),
        ends=shown.not_valid_after_utc,
        by_settings=_trusted(address, proxy, ca_file),
        by_system=_trusted(address, proxy, None),
    )


def through(address: Address, proxy: str | None) -> None:
    """See that the address takes a connection, through the proxy if there is one."""
    with _connected(address, proxy):
        pass


@contextmanager
def _connected(address: Address, proxy: str | None) -> Iterator[socket.socket]:
    if proxy is None:
        with socket.create_connection((address.host, address.port), timeout=SECONDS) as link:
            yield link
        return
    parts = urlsplit(proxy)
    port = parts.port or _PORTS.get(parts.scheme, 3128)
    with socket.create_connection((parts.hostname or "", port), timeout=SECONDS) as link:
        _tunnel(link, address, parts.username, parts.password)
        yield link


def _tunnel(link: socket.socket, address: Address, user: str | None, password: str | None) -> None:
    """Ask a proxy for a tunnel (RFC 9110 section 9.3.6)."""
    target = f"{address.host}:{address.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode('ascii')}")
    link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65_536:
        piece = link.recv(4096)
        if not piece:
            break
        head += piece
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if status != 200:
        raise ProxyDeclined(status)


def _certificate(link: socket.socket, host: str) -> x509.Certificate:
    """Shake hands without asking who it is: what arrives is looked at here, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(link, server_hostname=host) as secure:
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")


def _trusted(address: Address, proxy: str | None, ca_file: Path | None) -> Trust:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    with _connected(address, proxy) as link:
        try:
            with context.wrap_socket(link, server_hostname=address.host):
                return Trust.TRUSTED
        except ssl.SSLCertVerificationError as error:
            return _DISTRUST.get(error.verify_code, Trust.UNKNOWN_ISSUER)
        except ssl.SSLError:
            return Trust.NO_TLS


_DISTRUST = {10: Trust.EXPIRED, 9: Trust.EXPIRED, 62: Trust.OTHER_NAME, 64: Trust.OTHER_NAME}
"""Reasons of OpenSSL (``X509_V_ERR_…``); all others are about the issuer."""


def _issuer(shown: x509.Certificate) -> str:
    names = [
        str(found[0].value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        if (found := shown.issuer.get_attributes_for_oid(oid))
    ]
    return "".join(letter if letter.isprintable() else " " for letter in ", ".join(names))[:120]
