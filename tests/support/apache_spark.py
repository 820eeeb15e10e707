"""Run a real Apache Spark 4.0 with Delta and S3A as a Spark Connect server on a free loopback port.

``tools/parts --spark`` brings it into a cache folder: Spark itself and the jars. It needs Java 17.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atoll_node.engine.spark.access import SparkAccess
from tests.support.s3_server import ACCESS, CACHE, SECRET, S3Server, free_port
from tests.support.sail import wait_for

HOME = CACHE.parent / "spark-4.0"
START_SECONDS = 240.0
_MAIN = "org.apache.spark.sql.connect.service.SparkConnectServer"


@contextmanager
def running_spark(folder: Path, store: S3Server | None = None) -> Iterator[SparkAccess]:
    """Start a server that works in ``folder``, and stop it by its process. Skips, loudly, without it."""
    submit = HOME / "python" / "pyspark" / "bin" / "spark-submit"
    jars = sorted((HOME / "jars").glob("*.jar"))
    if not submit.exists() or not jars or shutil.which("java") is None:
        pytest.skip("no Apache Spark here: make test-spark brings it (Java 17, Maven)")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [str(submit), "--class", _MAIN, "--jars", ",".join(map(str, jars))]
    for name, value in {**_bounds(folder, port), **_store(store)}.items():
        command += ["--conf", f"{name}={value}"]
    environment = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_HOME": str(submit.parent.parent),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
    }
    log = (folder / "spark.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [*command, "spark-internal"], env=environment, stdout=log, stderr=log, cwd=folder
        ) as process,
    ):
        try:
            wait_for(port, START_SECONDS)
            yield SparkAccess(f"127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=60)


def _bounds(folder: Path, port: int) -> dict[str, str]:
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "2g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }


def _store(store: S3Server | None) -> dict[str, str]:
    """The endpoint's own keys: the node never sends one."""
    if store is None:
        return {}
    return {
        "spark.hadoop.fs.s3a.endpoint": store.endpoint,
        "spark.hadoop.fs.s3a.access.key": ACCESS,
        "spark.hadoop.fs.s3a.secret.key": SECRET,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
    }
