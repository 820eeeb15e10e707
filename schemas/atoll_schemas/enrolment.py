"""Write and read one-time enrolment codes: a secret for the hub, and the hub key's fingerprint for the node.

A code reads ``atoll1-SECRET-FINGERPRINT``, both parts in base32 (RFC 4648 section 6, lower case). The
secret is 160 random bits. The fingerprint is the first 160 bits of the RFC 7638 thumbprint of the hub's
signing key, so that a node trusts only the hub that the operator's code names, whoever answers its call.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atoll_schemas.canonical import canonical_json

PREFIX = "atoll1"
SECRET_BYTES = 20
FINGERPRINT_BYTES = 20
_REQUIRED_MEMBERS = {"EC": ("crv", "kty", "x", "y")}
"""RFC 7638 section 3.2: the members that a thumbprint is taken over, by key type."""


class NotAnEnrolmentCode(ValueError):
    """The text is not an enrolment code. The message never repeats it."""


@dataclass(frozen=True)
class EnrolmentCode:
    """What a code holds: the secret as it is sent to the hub, and the fingerprint of the hub's key."""

    secret: str = field(repr=False)
    fingerprint: str

    def text(self) -> str:
        """Return the code as the operator hands it over."""
        return f"{PREFIX}-{self.secret}-{self.fingerprint}"

    def digest(self) -> str:
        """Return the SHA-256 of the secret, hex: what the hub keeps instead of the code."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()

    def trusted(self, keys: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Return those of the hub's ``keys`` that the code names; a node keeps these and no others."""
        return tuple(dict(key) for key in keys if _names(self.fingerprint, key))


def new_code(random: bytes, hub_key: Mapping[str, Any]) -> EnrolmentCode:
    """Return a code made of ``random`` (20 bytes) and the fingerprint of ``hub_key`` (a public JWK)."""
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a code's secret is {SECRET_BYTES} bytes")
    return EnrolmentCode(secret=_base32(random), fingerprint=fingerprint(hub_key))


def parse_code(text: str) -> EnrolmentCode:
    """Read a code as a person pasted it; white space around it and letter case do not matter."""
    parts = text.strip().lower().split("-")
    if len(parts) != 3 or parts[0] != PREFIX:
        raise NotAnEnrolmentCode("an enrolment code reads atoll1-SECRET-FINGERPRINT")
    secret, mark = parts[1], parts[2]
    if _decoded_length(secret) != SECRET_BYTES or _decoded_length(mark) != FINGERPRINT_BYTES:
        raise NotAnEnrolmentCode("the enrolment code is cut or mistyped")
    return EnrolmentCode(secret=secret, fingerprint=mark)


def thumbprint(key: Mapping[str, Any]) -> bytes:
    """Return the RFC 7638 SHA-256 thumbprint of a public JWK (EC keys). Raises ``ValueError``."""
    members = _REQUIRED_MEMBERS.get(str(key.get("kty")))
    if members is None or any(not isinstance(key.get(name), str) for name in members):
        raise ValueError("the key is not a complete EC public key")
    return hashlib.sha256(canonical_json({name: key[name] for name in members})).digest()


def key_id(key: Mapping[str, Any]) -> str:
    """Return the thumbprint in base64url: the ``kid`` of hub and node keys (RFC 7638 section 3)."""
    return base64.urlsafe_b64encode(thumbprint(key)).rstrip(b"=").decode("ascii")


def fingerprint(key: Mapping[str, Any]) -> str:
    """Return the first 160 bits of the thumbprint, base32: what an enrolment code carries."""
    return _base32(thumbprint(key)[:FINGERPRINT_BYTES])


def _names(mark: str, key: Mapping[str, Any]) -> bool:
    try:
        return fingerprint(key) == mark
    except ValueError:
        return False


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").lower()


def _decoded_length(text: str) -> int:
    try:
        return len(base64.b32decode(text.upper()))
    except (binascii.Error, ValueError):
        return -1
