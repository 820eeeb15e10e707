"""Read a node's settings: one TOML file, closed to unknown keys, secrets only as paths of files."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from atoll_node.errors import SettingsError
from atoll_schemas.query import Label, Name, SiteName

SETTINGS_FILE = "atoll-node.toml"


_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)


def size_of(text: str) -> int:
    """Return the bytes of a size as DuckDB reads it, such as ``2GB`` or ``512MiB``."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise SettingsError(
            "settings.size", "engine.memory, engine.columns or engine.spill is not a size", 'such as "2GB"'
        )
    power = " KMGT".index(found[2].upper() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FolderStore(_Section):
    """Tables in a folder of this machine. ``path`` is relative to the node's home."""

    kind: Literal["folder"] = "folder"
    path: Path = Path("lake")


class S3Store(_Section):
    """Tables in an S3 bucket with conditional PUT (MinIO). Keys come from files."""

    kind: Literal["s3"]
    endpoint: str
    bucket: str
    prefix: str = "atoll"
    region: str = "us-east-1"
    access_key_file: Path
    secret_key_file: Path
    ca_file: Path | None = None
    path_style: bool = True


class SparkSettings(_Section):
    """A Spark Connect endpoint (Apache Spark or Sail) that reads the lake with keys of its own."""

    address: str = Field(pattern=r"^[A-Za-z0-9._-]+:[0-9]{1,5}$")
    """``host:port``."""
    tls: bool = True
    """Off only where nobody else is on the way: values of questions and rows of persons travel."""
    ca_file: Path | None = None
    """The authority of the endpoint's certificate, if it is the hospital's own."""
    token_file: Path | None = None
    """A bearer token for the endpoint, or for the proxy before it; only with ``tls``."""
    s3_scheme: Literal["s3a", "s3"] = "s3a"
    """How the endpoint names objects of an S3 store."""
    rows: int = Field(default=500_000_000, ge=1)
    """With ``engine.kind = "by_size"``: releases with at least so many rows run there, others in DuckDB."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.token_file is not None and not self.tls:
            raise ValueError("token_file needs tls, or the token would travel in the open")
        return self


class EngineSettings(_Section):
    """What runs a query, and its bounds."""

    kind: Literal["duckdb", "spark", "by_size"] = "duckdb"
    """``spark`` runs every query at the Spark Connect endpoint; ``by_size`` those on large releases."""
    memory: str = "2GB"
    columns: str = "1GB"
    """Columns that are worked on in memory beside it, or kept between questions: half for each. A release
    with more records than fit is asked by statements, which spill; ``0GB`` asks every one so."""
    threads: int = Field(default=2, ge=1)
    seconds: float = Field(default=120, gt=0)
    spill: str = "20GB"


class GateSettings(_Section):
    """Disclosure settings of this node. Looser than the defaults only by a deliberate act of the site."""

    minimum_persons: int = Field(default=10, ge=2)
    round_to: int = Field(default=5, ge=1)
    minimum_events: int = Field(default=10, ge=2)
    dominance_share: float = Field(default=0.90, gt=0, le=1)
    """NK(2, share): two persons may not carry more than this share of a sum."""
    p_ratio: float = Field(default=0.10, ge=0, lt=1)
    """The rest of a sum beside its two largest parts is at least this share of the largest."""


class NetworkSettings(_Section):
    """The one outgoing connection."""

    proxy: str | None = None
    """Else the ``HTTPS_PROXY`` of the environment."""
    ca_file: Path | None = None


class AgentSettings(_Section):
    """How the node works for the hub."""

    tasks_at_once: int = Field(default=1, ge=1, le=16)
    poll_seconds: float = Field(default=25, gt=0, le=60)
    """How long a request for work waits at the hub."""


class LakeSettings(_Section):
    """How the node keeps its tables."""

    maintain: bool = True
    """Compact, sort and clean after an ingest, when a table needs it."""
    keep_releases: int = Field(default=24, ge=1)
    """So many of a dataset's newest releases answer, however old they are."""
    keep_days: int = Field(default=400, ge=0)
    """Releases younger than this answer, however many there are."""


class DatasetSettings(_Section):
    """One dataset: where its files lie and how they are de-identified."""

    name: Name
    title: Label
    description: str = ""
    format: Literal["omop", "flat"]
    """``omop``: one CSV, CSV.gz or Parquet file per CDM table; ``flat``: CSV files through ``mapping``."""
    path: Path
    mapping: Path | None = None
    date_shift: bool = True
    date_shift_days: int = Field(default=182, ge=1, le=3650)
    """Each person's dates move by a keyed number of days in ± this many."""
    cap_ages: bool = True
    """Ages over 89 become 90. Off only for data that are of no living person."""
    load: Literal["full", "persons", "changes"] = "full"
    """``full``: the files hold the whole dataset. ``persons``: they hold all rows of the persons they name,
    in the place of those persons' earlier rows. ``changes``: new and changed rows, merged by key."""
    safe_text: tuple[str, ...] = ()
    """Free-text fields declared safe, as ``table.field``."""
    opt_out_file: Path | None = None
    """One source person identifier a line."""
    synthetic: bool = False


class NodeSettings(_Section):
    """All of a node's settings (``atoll-node.toml``)."""

    site: SiteName
    title: Label
    hub: str
    store: Annotated[FolderStore | S3Store, Field(discriminator="kind")] = FolderStore()
    engine: EngineSettings = EngineSettings()
    spark: SparkSettings | None = None
    gate: GateSettings = GateSettings()
    network: NetworkSettings = NetworkSettings()
    agent: AgentSettings = AgentSettings()
    lake: LakeSettings = LakeSettings()
    datasets: tuple[DatasetSettings, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _has_an_endpoint(self) -> Self:
        if self.engine.kind != "duckdb" and self.spark is None:
            raise ValueError("engine.kind names Spark, and there is no [spark] with an address")
        return self


def read_settings(home: Path) -> NodeSettings:
    """Read ``home/atoll-node.toml``. Raises ``SettingsError`` naming the key and the nearest known one."""
    file = home / SETTINGS_FILE
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            "settings.missing", f"there is no {SETTINGS_FILE} in the node's home", "run: atoll-node init"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("settings.toml", f"{SETTINGS_FILE} is not valid TOML: {error}") from error
    try:
        settings = NodeSettings.model_validate(content)
    except ValidationError as error:
        raise SettingsError("settings.invalid", explained(error)) from error
    return anchored(settings, home)


def anchored(settings: NodeSettings, home: Path) -> NodeSettings:
    """Return the settings with every relative path made relative to the node's home."""
    sections = {
        "store": _anchored(settings.store, home),
        "spark": None if settings.spark is None else _anchored(settings.spark, home),
        "network": _anchored(settings.network, home),
        "datasets": tuple(_anchored(dataset, home) for dataset in settings.datasets),
    }
    return settings.model_copy(update=sections)


def _anchored(section: _Section, home: Path) -> _Section:
    paths = {name: home / value for name, value in section if isinstance(value, Path)}
    return section.model_copy(update=paths)


def absent_files(settings: NodeSettings) -> list[str]:
    """Name the settings whose files are not there (yet)."""
    named = [
        (f"datasets.{dataset.name}.{key}", path)
        for dataset in settings.datasets
        for key, path in (
            ("path", dataset.path),
            ("mapping", dataset.mapping),
            ("opt_out_file", dataset.opt_out_file),
        )
    ]
    named.append(("network.ca_file", settings.network.ca_file))
    if settings.spark is not None:
        named.append(("spark.ca_file", settings.spark.ca_file))
        named.append(("spark.token_file", settings.spark.token_file))
    return [name for name, path in named if path is not None and not path.exists()]


def explained(error: ValidationError) -> str:
    """Say in one line which keys are wrong, and the nearest known ones."""
    return "; ".join(_line(item["loc"], item["type"], item["msg"]) for item in error.errors())


def _line(place: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(str(part) for part in place)
    if kind != "extra_forbidden":
        return f"{path}: {message}"
    near = difflib.get_close_matches(str(place[-1]), _KNOWN_KEYS, n=1)
    return f"{path}: unknown key" + (f"; did you mean {near[0]}?" if near else "")


_KNOWN_KEYS = sorted(
    {
        name
        for section in (
            NodeSettings,
            FolderStore,
            S3Store,
            EngineSettings,
            SparkSettings,
            GateSettings,
            NetworkSettings,
            AgentSettings,
            LakeSettings,
            DatasetSettings,
        )
        for name in section.model_fields
    }
)
