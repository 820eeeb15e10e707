"""Decide whether an enrolment, a client assertion and a protocol version hold, and who is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from atoll_hub.errors import Forbidden, Malformed, Unauthenticated
from atoll_schemas.protocol import LONGEST_TOKEN_SECONDS, PROTOCOL

SKEW_SECONDS = 60
NOTED_SECONDS = 5
LONGEST_JTI = 100
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE = "client_credentials"
_FURTHEST_MOMENT = 253_402_300_799
SiteState = Literal["invited", "online", "offline", "incompatible"]


@dataclass(frozen=True)
class KeptInvitation:
    """A one-time code as the hub keeps it."""

    site: str
    expires_at: datetime
    used_by_key: str | None
    """``kid`` of the node that used the code."""


@dataclass(frozen=True)
class KeptNode:
    """An enrolled node."""

    node_id: str
    site: str
    kid: str
    public_key: dict[str, Any]
    audience: str


@dataclass(frozen=True)
class Assertion:
    """What a checked client assertion (RFC 7523) says."""

    jti: str
    expires_at: datetime


@dataclass(frozen=True)
class Presence:
    """What the hub last saw of a site's node."""

    last_seen: datetime
    software: str | None
    protocol: str | None


def check_invitation(kept: KeptInvitation | None, kid: str, now: datetime) -> KeptInvitation:
    """Return the invitation if ``kid`` may enrol with it, or raise ``Forbidden``.

    The same key may use its code again, so that a node whose reply was lost can ask once more.
    """
    if kept is None:
        raise Forbidden(
            "enrolment.code", "the enrolment code is not known", "ask the operator for a new code"
        )
    if kept.used_by_key not in (None, kid):
        raise Forbidden(
            "enrolment.used", "the enrolment code was used by another key", "ask the operator for a new code"
        )
    if kept.expires_at <= now:
        raise Forbidden(
            "enrolment.expired", "the enrolment code has expired", "ask the operator for a new code"
        )
    return kept


def check_protocol(version: str | None) -> None:
    """Raise ``Malformed`` naming both versions unless the node speaks the hub's protocol."""
    if version != PROTOCOL:
        spoken = f"protocol {_shown(version)}" if version else "no protocol version"
        raise Malformed(
            "protocol.version",
            f"the node speaks {spoken}, the hub speaks protocol {PROTOCOL}",
            "install the node and hub software of one version",
        )


def check_assertion(claims: Mapping[str, Any], node: KeptNode, now: datetime) -> Assertion:
    """Check a signed assertion's claims (RFC 7523 section 3), or raise ``Unauthenticated``."""
    if claims.get("iss") != node.node_id or claims.get("sub") != node.node_id:
        raise _invalid("iss and sub are not the node's id")
    audience = claims.get("aud")
    if node.audience not in (audience if isinstance(audience, list) else [audience]):
        raise Unauthenticated(
            "assertion.audience",
            "the assertion is for another audience",
            f"use the audience of the enrolment: {node.audience}",
        )
    issued, expires = _moment(claims.get("iat")), _moment(claims.get("exp"))
    check_clock(issued, now)
    if not timedelta(0) < expires - issued <= timedelta(seconds=LONGEST_TOKEN_SECONDS):
        raise _invalid(f"exp is not within {LONGEST_TOKEN_SECONDS} s after iat")
    if expires + timedelta(seconds=SKEW_SECONDS) <= now:
        raise _invalid("the assertion has expired")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_JTI or not jti.isprintable():
        raise _invalid("jti is absent or not a short text")
    return Assertion(jti=jti, expires_at=expires)


def check_clock(issued: datetime, now: datetime) -> None:
    """Raise ``Unauthenticated`` (``clock.skew``) naming the difference when the node's clock is off."""
    ahead = (issued - now).total_seconds()
    if abs(ahead) > SKEW_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        raise Unauthenticated(
            "clock.skew",
            f"the node's clock is {abs(round(ahead))} s {side} the hub's; {SKEW_SECONDS} s are allowed",
            "set the node's clock by NTP (timedatectl set-ntp true) and start the node again",
        )


def site_state(presence: Presence | None, now: datetime, offline_after: float) -> SiteState:
    """Return how a site stands. A node of another protocol is there and cannot be used."""
    if presence is None:
        return "invited"
    if presence.protocol != PROTOCOL:
        return "incompatible"
    return "online" if now - presence.last_seen <= timedelta(seconds=offline_after) else "offline"


def is_news(noted: Presence | None, software: str, protocol: str, now: datetime) -> bool:
    """Whether a node's presence is worth noting again."""
    if noted is None or (noted.software, noted.protocol) != (software, protocol):
        return True
    return abs(now - noted.last_seen) >= timedelta(seconds=NOTED_SECONDS)


def _moment(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _FURTHEST_MOMENT:
        raise _invalid("iat or exp is absent or not a NumericDate")
    return datetime.fromtimestamp(value, UTC)


def _invalid(detail: str) -> Unauthenticated:
    return Unauthenticated(
        "assertion.invalid", detail, "make a fresh assertion; see docs/reference/hub-api.md"
    )


def _shown(version: str) -> str:
    """A version as it may be repeated: what a header may carry is not trusted to be short or printable."""
    return version if version.isascii() and version.isalnum() and len(version) <= 16 else "of another form"
