"""Find which hub to ask and with which token: environment first, then the file of ``atoll login``."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from atoll.errors import Invalid, SignInError

_LOGIN = "Run `atoll login --hub URL`, or set ATOLL_HUB and ATOLL_TOKEN."
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Account:
    """A hub's address, the caller's token there, and an authority to trust besides the system's."""

    hub: str
    token: str = field(repr=False)
    ca_file: str | None = None


def checked(hub: str, token: str, ca_file: str | None = None, *, plain_http: bool = False) -> Account:
    """Return the account, or raise ``Invalid`` or ``SignInError``: a token travels over TLS or stays here."""
    address = _address(hub.strip())
    if address is None:
        raise Invalid("hub.address", "the hub's address is not an http(s) URL", "Give https://HOST[:PORT].")
    if address.username or address.password:
        raise Invalid("hub.address", "the hub's address holds a user or password", "Leave them out.")
    if address.scheme == "http" and address.hostname not in _LOOPBACK and not plain_http:
        raise Invalid(
            "hub.plain_http",
            "the hub's address is plain HTTP, where anybody on the way reads the token",
            "Use https://, or set ATOLL_PLAIN_HTTP=1 inside a closed network.",
        )
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SignInError("token.form", "the token is empty or holds characters that no token has", _LOGIN)
    return Account(hub=hub.strip().rstrip("/"), token=token, ca_file=ca_file)


def _address(hub: str) -> SplitResult | None:
    """Return the parts of an http(s) URL, or ``None`` when it is none that can be connected to."""
    try:
        address = urlsplit(hub)
        host, port = address.hostname or "", address.port
        host.encode("idna")
    except ValueError:
        return None
    named = host and port != 0 and hub.isprintable() and " " not in hub
    plain = address.scheme in ("http", "https") and not address.query and not address.fragment
    return address if named and plain else None


def from_environment(environment: Mapping[str, str]) -> Account:
    """Return the account of ATOLL_HUB, ATOLL_TOKEN or ATOLL_TOKEN_FILE, ATOLL_CA_FILE, else of the file.

    The file's token is only ever used for the file's hub.
    """
    stored = load(file_path(environment))
    hub = environment.get("ATOLL_HUB") or stored.get("hub")
    if not hub:
        raise SignInError("hub.unknown", "no hub is known", _LOGIN)
    token = _token(environment)
    if token is None and stored.get("hub") == hub.strip().rstrip("/"):
        token = stored.get("token")
    if token is None:
        raise SignInError("token.missing", "there is no token for this hub", _LOGIN)
    ca_file = environment.get("ATOLL_CA_FILE") or stored.get("ca_file")
    return checked(hub, token, ca_file, plain_http=environment.get("ATOLL_PLAIN_HTTP") == "1")


def _token(environment: Mapping[str, str]) -> str | None:
    path = environment.get("ATOLL_TOKEN_FILE")
    return environment.get("ATOLL_TOKEN") or (read_token(Path(path)) if path else None)


def read_token(path: Path) -> str:
    """Return the token that a file holds."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SignInError("token.file", "the token file cannot be read", f"Check {path}.") from error


def file_path(environment: Mapping[str, str]) -> Path:
    """Return where the account is kept (XDG base directories)."""
    named = environment.get("ATOLL_CREDENTIALS")
    if named:
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or str(
        Path(environment.get("HOME") or "~").expanduser() / ".config"
    )
    return Path(home) / "atoll" / "credentials.json"


def load(path: Path) -> dict[str, str]:
    """Return what :func:`save` wrote, nothing when there is no file. Others' eyes on it are refused."""
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SignInError(
                "token.exposed", "other users can read the credentials file", f"Run `chmod 600 {path}`."
            )
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SignInError("token.file", "the credentials file cannot be read", _LOGIN) from error
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise SignInError("token.file", "the credentials file is not what `atoll login` writes", _LOGIN)
    return value


def save(account: Account, path: Path) -> None:
    """Keep the account in a file of mode 0600, replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = {"hub": account.hub, "token": account.token}
    if account.ca_file:
        value["ca_file"] = str(Path(account.ca_file).resolve())
    # mkstemp opens with mode 0600, so that the token is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
