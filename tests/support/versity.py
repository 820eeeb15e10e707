"""Run a real VersityGW, a second and unrelated S3 store, on a free loopback port, when it was built here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.s3_server import (
    ACCESS,
    SECRET,
    S3Server,
    binary_of,
    certificate_files,
    free_port,
    serving,
)
from tests.support.scripted_hub import PrivateCa


@contextmanager
def running_versity(
    folder: Path, *, authority: PrivateCa | None = None, versions: Path | None = None
) -> Iterator[S3Server]:
    """Start a server over ``folder``, and stop it by its process. Skips, loudly, without the binary.

    With ``versions``, a folder, buckets can keep older versions of objects there.
    """
    binary = binary_of("versitygw")
    if binary is None:
        pytest.skip("no VersityGW binary: run tools/parts, which builds it with Go into ~/.cache/atoll/bin")
    address = f"127.0.0.1:{free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    certificates: list[str] = []
    if authority is not None:
        certificate, key = certificate_files(folder.parent / "versity-certs", authority)
        certificates = ["--cert", str(certificate), "--key", str(key)]
    kept = ["--versioning-dir", str(versions)] if versions is not None else []
    if versions is not None:
        versions.mkdir(parents=True, exist_ok=True)
    command = [binary, "--port", address, "--quiet", *certificates, "posix", *kept, str(folder)]
    environment = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
    with serving(command, environment, address, authority) as server:
        yield server
