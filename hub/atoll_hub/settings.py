"""Read the hub's settings: one TOML file, closed to unknown keys, secrets only as paths of files."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atoll_hub.errors import SettingsError
from atoll_hub.home import HubHome

LogLevel = Annotated[str, Field(pattern="^(debug|info|warning|error)$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """Where the hub listens, and how the world reaches it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=1, le=65_535)
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*[^/])?$")
    """The address that nodes and people use, when a proxy stands before the hub; no slash at its end."""
    tls_cert: Path | None = None
    tls_key: Path | None = None


class DatabaseSettings(_Section):
    """Where the hub keeps its facts."""

    url: str = "sqlite:///state/hub.sqlite"
    """``sqlite:///PATH`` (relative to the home) or ``postgresql+pg8000://USER@HOST:PORT/DATABASE``."""
    password_file: Path | None = None
    """A file with the PostgreSQL password, relative to the home."""
    pool_size: int = Field(default=10, ge=1, le=200)


class GateSettings(_Section):
    """What the hub asks of every site on top of the site's own gate. It can only make answers stricter."""

    minimum_persons: int | None = Field(default=None, ge=1)
    round_to: int | None = Field(default=None, ge=1)


class QuerySettings(_Section):
    """How long a claimed task and a silent node are waited for, in seconds."""

    lease_seconds: float = Field(default=30, ge=1, le=600)
    offline_after_seconds: float = Field(default=45, ge=2, le=3600)


class HubSettings(_Section):
    """All of the hub's settings (``atoll-hub.toml``)."""

    hub_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$")
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    gate: GateSettings = GateSettings()
    queries: QuerySettings = QuerySettings()
    log_level: LogLevel = "info"


_SECTIONS = (HubSettings, ServerSettings, DatabaseSettings, GateSettings, QuerySettings)
_KNOWN_KEYS = sorted({name for section in _SECTIONS for name in section.model_fields})

EXAMPLE = """\
# Settings of an Atoll hub. Unknown keys refuse to start. Secrets stand in files, never here.

# This hub's name in tasks and enrolments. Made once; nodes remember it.
hub_id = "{hub_id}"

# debug, info, warning or error. No level shows tokens or answers.
log_level = "info"

[server]
# Plain http is served on loopback only; any other host needs tls_cert and tls_key.
host = "127.0.0.1"
port = 8700
# The address that nodes and people use, when a proxy stands before the hub.
# public_url = "https://hub.example.org"
# tls_cert = "secrets/tls.crt"
# tls_key = "secrets/tls.key"

[database]
# A file below this home, or PostgreSQL: postgresql+pg8000://atoll@127.0.0.1:5432/atoll
url = "{database_url}"
# password_file = "secrets/database.password"
pool_size = 10

[gate]
# Asked of every site on top of its own gate; it can only make answers stricter.
# minimum_persons = 20
# round_to = 10

[queries]
# A claimed task that is neither polled for nor reported on is free again after this.
lease_seconds = 30
# A node that is silent for this long is shown as offline.
offline_after_seconds = 45
"""


def read_settings(home: HubHome) -> HubSettings:
    """Read the home's settings. Raises ``SettingsError`` naming the key and the nearest known one."""
    try:
        content = tomllib.loads(home.settings.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            "settings.missing", f"there is no {home.settings.name} in the hub's home", "run: atoll-hub init"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("settings.toml", f"{home.settings.name} is not valid TOML: {error}") from error
    try:
        return HubSettings.model_validate(content)
    except ValidationError as error:
        raise SettingsError("settings.invalid", _explained(error), f"correct {home.settings.name}") from error


def _explained(error: ValidationError) -> str:
    return "; ".join(_line(item["loc"], item["type"], item["msg"]) for item in error.errors())


def _line(place: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(str(part) for part in place)
    if kind != "extra_forbidden":
        return f"{path}: {message}"
    near = difflib.get_close_matches(str(place[-1]), _KNOWN_KEYS, n=1)
    return f"{path}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
