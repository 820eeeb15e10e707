"""A store that the campaign kills and starts again, over the same folder and on the same port."""

import os
import random
import subprocess
import time

from minio.error import MinioException
from urllib3.exceptions import HTTPError

from tests.support.s3_server import ACCESS, BUCKET, SECRET, S3Server

KEYS = {
    "MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET,
    "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET,
}  # fmt: skip
"""What either store is started with."""
PATIENCE = 120.0


class MortalStore:
    """The process of a running store."""

    def __init__(self, server: S3Server) -> None:
        if server.process is None:
            raise ValueError("the campaign stops and starts its store, so it must have started it")
        self._server = server
        self._process = server.process

    def restart(self, draw: random.Random) -> None:
        """Kill the store, leave it dead for up to a second, and wait until it answers again."""
        self._process.kill()
        self._process.wait()
        time.sleep(draw.uniform(0, 1))
        self._process = subprocess.Popen(
            self._process.args,
            env={**os.environ, **KEYS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("the store did not come back")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the process that runs now."""
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)

    def _answers(self) -> bool:
        try:
            return bool(self._server.client.bucket_exists(BUCKET))
        except (MinioException, HTTPError):
            return False
