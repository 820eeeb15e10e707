"""Start a real PostgreSQL server for tests: its own folder, a free loopback port, ended by its own id."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pg8000.native
import pytest

from tests.support.hub import free_port

STARTING_SECONDS = 30
ACCOUNTS = ("postgres", "nobody")
"""Who runs the server when the tests run as root: PostgreSQL refuses root."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server that trusts everybody on loopback."""

    port: int

    def new_database(self, name: str) -> str:
        """Make a database and return its SQLAlchemy URL."""
        connection = pg8000.native.Connection("atoll", host="127.0.0.1", port=self.port, database="postgres")
        try:
            connection.run(f'create database "{name}"')
        finally:
            connection.close()
        return f"postgresql+pg8000://atoll@127.0.0.1:{self.port}/{name}"


def find_programs() -> Path | None:
    """Return the folder that holds ``initdb`` and ``postgres``; ``None`` when there is none."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    named = shutil.which("initdb")
    if named is not None:
        folders.append(Path(named).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server as long as the block lasts; skip loudly when PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (initdb, postgres): its half of the hub's tests did not run")
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="atoll-postgres-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _prepare(programs, folder, account)
        with _running(programs, folder, account) as port:
            yield PostgresServer(port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(programs: Path, folder: Path, account: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "atoll", "-A", "trust", "-E", "UTF8", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **_as(account),
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _running(programs: Path, folder: Path, account: pwd.struct_passwd | None) -> Iterator[int]:
    port = free_port()
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    command = [str(programs / "postgres"), "-D", str(folder / "data")]
    for option in options:
        command += ["-c", option]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **_as(account))
    try:
        _await_answer(port, server, folder)
        yield port
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=20)


def _await_answer(port: int, server: "subprocess.Popen[bytes]", folder: Path) -> None:
    end = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            pg8000.native.Connection("atoll", host="127.0.0.1", port=port, database="postgres").close()
            return
        except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, "PostgreSQL did not start"
            time.sleep(0.1)


def _account() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("the tests run as root and there is no unprivileged account to run PostgreSQL")


def _as(account: pwd.struct_passwd | None) -> dict[str, object]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
