"""Make tokens and decide whether one still opens the door."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from atoll_hub.errors import Unauthenticated
from atoll_schemas.people import Role

PERSON_TOKEN_PREFIX = "atoll_pat_"
NODE_TOKEN_PREFIX = "atoll_node_"
TOKEN_BYTES = 32


@dataclass(frozen=True)
class KeptToken:
    """A person's token as the hub keeps it, with what decides over it."""

    name: str
    role: Role
    expires_at: datetime
    revoked_at: datetime | None


def token_text(prefix: str, random: bytes) -> str:
    """Return a bearer token made of 256 random bits."""
    if len(random) != TOKEN_BYTES:
        raise ValueError("a token is made of 32 random bytes")
    return prefix + base64.urlsafe_b64encode(random).rstrip(b"=").decode("ascii")


def token_hash(token: str) -> str:
    """Return what is kept of a token. It holds 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def check_token(kept: KeptToken | None, now: datetime) -> KeptToken:
    """Return the token's person, or raise ``Unauthenticated`` with the reason."""
    if kept is None or kept.revoked_at is not None:
        raise Unauthenticated("token.invalid", "the token is not known", "ask an operator for a new token")
    if kept.expires_at <= now:
        raise Unauthenticated("token.expired", "the token has expired", "ask an operator for a new token")
    return kept
