"""Run a real MinIO server on a free loopback port, when its binary was built on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.s3_server import (
    ACCESS,
    BUCKET,
    SECRET,
    S3Server,
    binary_of,
    certificate_files,
    free_port,
    serving,
)
from tests.support.scripted_hub import PrivateCa

__all__ = ["ACCESS", "BUCKET", "SECRET", "running_minio"]


@contextmanager
def running_minio(
    folder: Path, *, authority: PrivateCa | None = None, port: int | None = None, domain: str | None = None
) -> Iterator[S3Server]:
    """Start a server over ``folder``, and stop it by its process. Skips, loudly, without the binary.

    With an ``authority``, the server speaks TLS with the authority's certificate. With a ``domain``, a
    bucket is reached as ``bucket.domain`` too.
    """
    binary = binary_of("minio")
    if binary is None:
        pytest.skip("no MinIO binary: run tools/parts, which builds it with Go into ~/.cache/atoll/bin")
    address = f"127.0.0.1:{port or free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET}
    if domain is not None:
        environment["MINIO_DOMAIN"] = domain
    certificates: list[str] = []
    if authority is not None:
        certificate, _ = certificate_files(folder.parent / "certs", authority)
        certificates = ["--certs-dir", str(certificate.parent)]
    console = ["--console-address", "127.0.0.1:0"]
    command = [binary, "server", "--quiet", "--address", address, *console, *certificates, str(folder)]
    with serving(command, environment, address, authority) as server:
        yield server
