"""What every real S3 server of the tests has: a free loopback port, one bucket, keys, an end by its pid."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Retry
from urllib3.exceptions import HTTPError

from atoll_node.settings import S3Store
from tests.support.scripted_hub import PrivateCa

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atoll" / "bin"
ACCESS, SECRET, BUCKET = "atoll-test", "atoll-test-secret", "atoll"
START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server with one bucket. Its keys are the administrator's."""

    endpoint: str
    client: Minio
    ca_file: Path | None = None
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def store(self, secrets: Path, *, prefix: str, keys: tuple[str, str] = (ACCESS, SECRET)) -> S3Store:
        """Write the key files and return the node's settings for this bucket."""
        access, secret = key_files(secrets, *keys)
        return S3Store(
            kind="s3",
            endpoint=self.endpoint,
            bucket=BUCKET,
            prefix=prefix,
            access_key_file=access,
            secret_key_file=secret,
            ca_file=self.ca_file,
        )


def key_files(folder: Path, access: str = ACCESS, secret: str = SECRET) -> tuple[Path, Path]:
    """Write a key pair as two files that only their owner may read."""
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "access", folder / "secret"
    for file, content in zip(files, (access, secret), strict=True):
        file.write_text(content)
        file.chmod(0o600)
    return files


def binary_of(name: str) -> str | None:
    """Return the path of a server that ``tools/parts`` built, or that the machine has."""
    cached = CACHE / name
    return str(cached) if cached.exists() else shutil.which(name)


@contextmanager
def serving(
    command: Sequence[str], environment: Mapping[str, str], address: str, authority: PrivateCa | None
) -> Iterator[S3Server]:
    """Start a server, make its bucket, and stop it by its process."""
    scheme, ca_file = ("https", authority.ca_file) if authority else ("http", None)
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield S3Server(f"{scheme}://{address}", _ready(address, ca_file), ca_file, process)
        finally:
            process.terminate()
            process.wait(timeout=20)


def certificate_files(folder: Path, authority: PrivateCa) -> tuple[Path, Path]:
    """Write the authority's server certificate and its key as two files."""
    folder.mkdir(parents=True)
    key, mark, chain = authority.server_file.read_text().partition("-----BEGIN CERTIFICATE-----")
    files = folder / "public.crt", folder / "private.key"
    files[0].write_text(mark + chain)
    files[1].write_text(key)
    return files


def client_of(
    address: str, ca_file: Path | None, keys: tuple[str, str] = (ACCESS, SECRET), *, seconds: float = 5
) -> Minio:
    """Return a client that does not try again by itself, and waits so long for an answer."""
    trust = {"ca_certs": str(ca_file)} if ca_file else {}
    pool = PoolManager(retries=Retry(0), timeout=seconds, **trust)
    return Minio(
        address, access_key=keys[0], secret_key=keys[1], secure=ca_file is not None, http_client=pool
    )


def _ready(address: str, ca_file: Path | None) -> Minio:
    client = client_of(address, ca_file)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.make_bucket(BUCKET)
        except (MinioException, HTTPError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return client


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
