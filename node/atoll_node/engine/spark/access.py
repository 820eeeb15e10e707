"""Say how a Spark Connect endpoint is reached; this needs none of Spark's client."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SparkAccess:
    """An endpoint. The token is in no text form of this value."""

    address: str
    """``host:port``."""
    tls: bool = False
    ca_file: Path | None = None
    token: str | None = field(default=None, repr=False)
    s3_scheme: str = "s3a"
    """How the endpoint names objects of an S3 store."""
