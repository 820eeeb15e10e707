"""The way to a Spark Connect endpoint: TLS with the hospital's own authority, and a token over it alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from atoll_node.engine.connection import Stop
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.connection import SparkDatabase, connected
from atoll_node.errors import EngineError
from tests.support.s3_server import certificate_files
from tests.support.scripted_hub import PrivateCa, private_ca


@dataclass
class Gatekeeper(grpc.GenericRpcHandler):
    """Notes who calls, and answers nothing: calls wait until the server ends, or are declined."""

    declines: bool = True
    tokens: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def service(self, call: Any) -> Any:
        self.tokens += [value for key, value in call.invocation_metadata if key == "authorization"]
        if self.declines:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.over.wait(60))


@contextmanager
def listening(gatekeeper: Gatekeeper, folder: Path, authority: PrivateCa | None) -> Iterator[str]:
    """Serve on a free loopback port, with the authority's certificate if there is one."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=(gatekeeper,))
    if authority is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        certificate, key = (file.read_bytes() for file in certificate_files(folder / "pair", authority))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        gatekeeper.over.set()
        server.stop(0).wait(10)


def declined(access: SparkAccess) -> str:
    with pytest.raises(EngineError) as caught:
        connected(access)
    assert "s3cr3t" not in f"{caught.value} {caught.value.next_step}"
    return caught.value.code


def test_the_token_travels_over_tls_with_the_hospitals_own_authority(tmp_path: Path) -> None:
    authority, gatekeeper = private_ca(tmp_path / "ca"), Gatekeeper()
    with listening(gatekeeper, tmp_path, authority) as address:
        access = SparkAccess(address, tls=True, ca_file=authority.ca_file, token="s3cr3t")
        assert declined(access) == "engine.spark_away"
    assert set(gatekeeper.tokens) == {"Bearer s3cr3t"}


def test_an_endpoint_with_a_strangers_certificate_gets_no_token(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper()
    stranger, ours = private_ca(tmp_path / "stranger"), private_ca(tmp_path / "ours")
    with listening(gatekeeper, tmp_path, stranger) as address:
        assert declined(SparkAccess(address, tls=True, ca_file=ours.ca_file, token="s3cr3t")) == (
            "engine.spark_away"
        )
    assert gatekeeper.tokens == []


def test_without_tls_no_token_is_sent(tmp_path: Path) -> None:
    gatekeeper = Gatekeeper()
    with listening(gatekeeper, tmp_path, None) as address:
        assert declined(SparkAccess(address, token="s3cr3t")) == "engine.spark_away"
    assert gatekeeper.tokens == []


def test_an_endpoint_that_takes_calls_and_never_answers_does_not_hold_a_query(tmp_path: Path) -> None:
    with listening(Gatekeeper(declines=False), tmp_path, None) as address:
        database = SparkDatabase(None, SparkAccess(address), seconds=0.5)
        with pytest.raises(EngineError) as caught, database.session(Stop()):
            pass
    assert caught.value.code == "engine.time"
