"""Make, keep and use the hub's signing key, and check what nodes sign (JWS, RFC 7515, ES256)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from atoll_hub.errors import SettingsError
from atoll_schemas.enrolment import key_id, thumbprint
from atoll_schemas.protocol import ALGORITHM

_PUBLIC_MEMBERS = ("kty", "crv", "x", "y")
_COORDINATE_LENGTH = 43


class BadSignature(Exception):
    """A signed text does not hold under the key that it must hold under."""


@dataclass(frozen=True)
class SigningKey:
    """The hub's private key."""

    key: ECKey
    kid: str

    @property
    def public(self) -> dict[str, Any]:
        """The public JWK that nodes keep."""
        members = self.key.as_dict(private=False)
        return {name: members[name] for name in _PUBLIC_MEMBERS} | {
            "kid": self.kid,
            "alg": ALGORITHM,
            "use": "sig",
        }

    def sign(self, payload: bytes, kind: str) -> str:
        """Return ``payload`` as a JWS compact whose ``typ`` is ``kind``."""
        header = {"alg": ALGORITHM, "typ": kind, "kid": self.kid}
        return jws.serialize_compact(header, payload, self.key, algorithms=[ALGORITHM])


def make_signing_key(file: Path) -> None:
    """Write a new EC P-256 key to ``file`` (0600, in a 0700 folder). An existing key is kept."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = ECKey.generate_key("P-256", private=True).as_pem(private=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as stream:
        stream.write(pem)


def read_signing_key(file: Path) -> SigningKey:
    """Read the hub's key. Raises ``SettingsError`` when it is absent, unreadable or open to others."""
    try:
        pem = file.read_bytes()
        open_to_others = file.stat().st_mode & 0o077
    except FileNotFoundError as error:
        raise SettingsError(
            "key.missing", "the hub's signing key is absent", "run: atoll-hub init"
        ) from error
    if open_to_others:
        raise SettingsError(
            "key.open", "the hub's signing key is readable by others", f"run: chmod 600 {file}"
        )
    try:
        key = ECKey.import_key(pem)
        return SigningKey(key=key, kid=key_id(key.as_dict(private=False)))
    except (JoseError, ValueError) as error:
        raise SettingsError("key.invalid", "the hub's signing key is not an EC P-256 key") from error


def public_key(jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public members of a node's EC P-256 JWK with its thumbprint as ``kid``.

    Raises ``ValueError`` for another kind of key, a key that is not on the curve, or a private one.
    """
    members = {name: str(jwk.get(name)) for name in _PUBLIC_MEMBERS}
    if "d" in jwk or members["kty"] != "EC" or members["crv"] != "P-256":
        raise ValueError("the key is not a public EC P-256 key")
    if any(len(members[name]) != _COORDINATE_LENGTH for name in "xy"):
        raise ValueError("a coordinate of the key is not 32 bytes in base64url")
    try:
        _ = ECKey.import_key({**members}).public_key
    except (JoseError, ValueError, TypeError) as error:
        raise ValueError("the key is not a point on P-256") from error
    thumbprint(members)
    return {**members, "kid": key_id(members), "alg": ALGORITHM, "use": "sig"}


def verified(token: str, jwk: Mapping[str, Any], kind: str | None = None) -> bytes:
    """Return the payload of a JWS compact that holds under ``jwk`` (ES256; ``typ`` is ``kind`` if given)."""
    try:
        found = jws.deserialize_compact(token, ECKey.import_key(dict(jwk)), algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError) as error:
        raise BadSignature from error
    if kind is not None and found.protected.get("typ") != kind:
        raise BadSignature
    return found.payload


def unverified_payload(token: str) -> bytes:
    """Return the payload of a JWS compact without believing it: only to learn which key to check with."""
    try:
        return jws.extract_compact(token.encode("utf-8")).payload
    except (JoseError, ValueError, TypeError) as error:
        raise BadSignature from error
