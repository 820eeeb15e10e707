"""Give tests a hub in their own process, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.support.hub_consortium import Consortium
    from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    """A real PostgreSQL server for the whole run; skips loudly when it is not installed."""
    from tests.support.postgres import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a new database, on each kind."""
    if request.param == "sqlite":
        return "sqlite:///state/hub.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database(f"hub_{uuid4().hex[:12]}")


@pytest.fixture
def hub(tmp_path: Path, database_url: str) -> Iterator["Consortium"]:
    """A hub in this process, on each kind of database."""
    from tests.support.hub_consortium import consortium

    with ExitStack() as stack:
        yield stack.enter_context(consortium(tmp_path, database_url))


@pytest.fixture
def lagoon(tmp_path: Path) -> Iterator["Consortium"]:
    """A hub in this process on SQLite, for tests whose subject is not the database."""
    from tests.support.hub_consortium import consortium

    with consortium(tmp_path, "sqlite:///state/hub.sqlite") as opened:
        yield opened
