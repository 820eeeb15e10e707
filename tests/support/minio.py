"""Run a real MinIO server on a free loopback port, when its binary was built on this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Retry
from urllib3.exceptions import HTTPError

from atoll_node.settings import S3Store
from tests.support.scripted_hub import PrivateCa

BINARY = Path.home() / ".cache" / "atoll" / "bin" / "minio"
ACCESS, SECRET, BUCKET = "atoll-test", "atoll-test-secret", "atoll"
START_SECONDS = 30.0


@dataclass(frozen=True)
class MinioServer:
    """A running server with one bucket."""

    endpoint: str
    client: Minio
    ca_file: Path | None = None

    def store(self, secrets: Path, *, prefix: str) -> S3Store:
        """Write the key files and return the node's settings for this bucket."""
        secrets.mkdir(parents=True, exist_ok=True)
        files = {"access": ACCESS, "secret": SECRET}
        for name, content in files.items():
            (secrets / name).write_text(content)
            (secrets / name).chmod(0o600)
        return S3Store(
            kind="s3",
            endpoint=self.endpoint,
            bucket=BUCKET,
            prefix=prefix,
            access_key_file=secrets / "access",
            secret_key_file=secrets / "secret",
            ca_file=self.ca_file,
        )


@contextmanager
def running_minio(folder: Path, *, authority: PrivateCa | None = None) -> Iterator[MinioServer]:
    """Start a server over ``folder``, and stop it by its process. Skips, loudly, without the binary.

    With an ``authority``, the server speaks TLS with the authority's certificate.
    """
    binary = str(BINARY) if BINARY.exists() else shutil.which("minio")
    if binary is None:
        pytest.skip(
            "no MinIO binary: go install github.com/minio/minio@latest, then copy it to ~/.cache/atoll/bin"
        )
    address = f"127.0.0.1:{_free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET}
    command = [
        binary,
        "server",
        "--quiet",
        "--address",
        address,
        "--console-address",
        "127.0.0.1:0",
        *_certificates(folder.parent / "certs", authority),
        str(folder),
    ]
    scheme, ca_file = ("https", authority.ca_file) if authority else ("http", None)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield MinioServer(f"{scheme}://{address}", _ready(address, ca_file), ca_file)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _certificates(folder: Path, authority: PrivateCa | None) -> list[str]:
    if authority is None:
        return []
    folder.mkdir(parents=True)
    key, mark, chain = authority.server_file.read_text().partition("-----BEGIN CERTIFICATE-----")
    (folder / "private.key").write_text(key)
    (folder / "public.crt").write_text(mark + chain)
    return ["--certs-dir", str(folder)]


def _ready(address: str, ca_file: Path | None) -> Minio:
    trust = {"ca_certs": str(ca_file)} if ca_file else {}
    pool = PoolManager(retries=Retry(0), timeout=2, **trust)
    client = Minio(
        address, access_key=ACCESS, secret_key=SECRET, secure=ca_file is not None, http_client=pool
    )
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
