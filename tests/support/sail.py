"""Run a real Sail server, a Spark Connect engine without Java, on a free loopback port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atoll_node.engine.spark.access import SparkAccess
from tests.support.s3_server import ACCESS, SECRET, S3Server, free_port

START_SECONDS = 60.0


@contextmanager
def running_sail(
    folder: Path, store: S3Server | None = None, *, checkpoints: bool = True
) -> Iterator[SparkAccess]:
    """Start a server that keeps checkpoints in ``folder``, and stop it by its process.

    With a ``store`` it has the store's keys, as a hospital's IT gives them to its engine.
    """
    program = Path(sys.executable).with_name("sail")
    if not program.exists():
        pytest.skip("no Sail here: tools/setup dev installs it (pysail)")
    kept = folder / "checkpoints"
    kept.mkdir(parents=True)
    environment = _keys(store)
    if checkpoints:
        environment["SAIL_EXECUTION__CHECKPOINT__PATH"] = kept.as_uri()
    port = free_port()
    command = [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    ) as process:
        try:
            wait_for(port)
            yield SparkAccess(f"127.0.0.1:{port}")
        finally:
            process.kill()


def _keys(store: S3Server | None) -> dict[str, str]:
    if store is None:
        return {}
    return {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }


def wait_for(port: int, seconds: float = START_SECONDS) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
