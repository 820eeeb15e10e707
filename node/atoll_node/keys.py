"""Make, keep and use the node's secrets: the pseudonym key and the EC P-256 key that is its identity.

Signatures are JWS compact (RFC 7515) with ES256 (RFC 7518 section 3.4).
"""

import hashlib
import hmac
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from authlib.oauth2.rfc7523 import private_key_jwt_sign
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from atoll_node.errors import Refused, SettingsError
from atoll_node.home import Home
from atoll_schemas.enrolment import key_id
from atoll_schemas.protocol import ALGORITHM

PSEUDONYM_KEY_BYTES = 32
ASSERTION_SECONDS = 60
LARGEST_TOKEN = 12_000_000
"""Characters of a signed text: base64 of the largest question that a hub takes in, and its envelope."""


@dataclass(frozen=True)
class NodeKey:
    """The node's private key. It signs; it is never shown."""

    key: ECKey = field(repr=False)

    def public_jwk(self) -> dict[str, Any]:
        """Return the public JWK (RFC 7517) with its ``kid`` (RFC 7638)."""
        public = {name: self.key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
        return public | {"kid": key_id(public)}

    def sign(self, kind: str, payload: bytes) -> str:
        """Return a JWS compact whose header names ``kind`` as its ``typ``."""
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.public_jwk()["kid"]}
        return jws.serialize_compact(header, payload, self.key, algorithms=[ALGORITHM])

    def assertion(self, *, node_id: str, audience: str, now: datetime, token_id: str) -> str:
        """Return a client assertion (RFC 7523 section 3) that lives one minute."""
        signed: str = private_key_jwt_sign(
            self.key,
            node_id,
            audience,
            alg=ALGORITHM,
            claims={"jti": token_id},
            header={"typ": "JWT", "kid": self.public_jwk()["kid"]},
            issued_at=int(now.timestamp()),
            expires_in=ASSERTION_SECONDS,
        )
        return signed

    def seal_key(self) -> bytes:
        """Return the key that seals the audit chain, derived so that it is good for nothing else."""
        return hmac.new(self.key.as_pem(private=True), b"atoll audit seal 1", hashlib.sha256).digest()


def make_secrets(home: Home, random: bytes) -> None:
    """Make both secrets where they are absent; never replace one. ``random`` is 32 bytes."""
    if len(random) != PSEUDONYM_KEY_BYTES:
        raise SettingsError("keys.random", f"a pseudonym key is {PSEUDONYM_KEY_BYTES} bytes")
    home.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.secrets.chmod(0o700)
    if not home.pseudonym_key.exists():
        _write_secret(home.pseudonym_key, random)
    if not home.node_key.exists():
        _write_secret(home.node_key, ECKey.generate_key("P-256").as_pem(private=True))


def read_node_key(home: Home) -> NodeKey:
    """Read ``secrets/node.pem``. Refuses a file that others may read."""
    content = _read_secret(home.node_key)
    try:
        key = ECKey.import_key(content)
    except (JoseError, ValueError) as error:
        raise SettingsError("keys.node", "secrets/node.pem is not an EC private key") from error
    if not key.is_private or key.curve_name != "P-256":
        raise SettingsError("keys.node", "secrets/node.pem is not an EC P-256 private key")
    return NodeKey(key)


def read_pseudonym_key(home: Home) -> bytes:
    """Read ``secrets/pseudonym.key``. Refuses a file that others may read, or of another length."""
    content = _read_secret(home.pseudonym_key)
    if len(content) != PSEUDONYM_KEY_BYTES:
        raise SettingsError(
            "keys.pseudonym",
            "secrets/pseudonym.key is damaged",
            "restore it from your backup; never remake it",
        )
    return content


def opened(token: str, *, kind: str, keys: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the payload of a JWS that one of ``keys`` signed as ``kind``. Raises ``Refused``."""
    by_id = {str(key.get("kid") or key_id(key)): key for key in keys}
    try:
        head = jws.extract_compact(token.encode("ascii"), registry=_registry()).headers()
        if head.get("typ") != kind or head.get("alg") != ALGORITHM or set(head) - {"typ", "alg", "kid"}:
            raise Refused("task.type", "the signed text is not of the expected type")
        key = by_id.get(str(head.get("kid")))
        if key is None:
            raise Refused("task.signature", "the signing key is not one that this node pinned at enrolment")
        checked = jws.deserialize_compact(token, ECKey.import_key(_plain(key)), registry=_registry())
    except (JoseError, ValueError, UnicodeError) as error:
        raise Refused("task.signature", "the signature does not hold") from error
    return bytes(checked.payload)


def _registry() -> jws.JWSRegistry:
    """The library takes 128 kB of payload unless told; a cohort of a few thousand concepts is larger."""
    registry = jws.JWSRegistry(algorithms=[ALGORITHM])
    registry.max_payload_length = LARGEST_TOKEN
    return registry


def _plain(key: Mapping[str, Any]) -> dict[str, str | list[str]]:
    return {name: str(key[name]) for name in ("kty", "crv", "x", "y") if name in key}


def _write_secret(file: Path, content: bytes) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _read_secret(file: Path) -> bytes:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(
            "keys.missing", f"there is no secrets/{file.name}", "run: atoll-node init"
        ) from error
    except PermissionError as error:
        raise SettingsError("keys.unreadable", f"secrets/{file.name} may not be read by this user") from error
    if mode & 0o077:
        raise SettingsError(
            "keys.mode", f"secrets/{file.name} may be read by others", f"run: chmod 600 secrets/{file.name}"
        )
    return content
