"""Open the hub's database, SQLite or PostgreSQL, with one way to read and one way to write."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from atoll_hub.errors import SettingsError, Unavailable
from atoll_hub.home import HubHome
from atoll_hub.settings import DatabaseSettings

SCHEMA_REVISION = "0001"
"""The migration that this software needs; ``atoll-hub init`` brings a database to it."""

metadata = sa.MetaData()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(sa.types.TypeDecorator[datetime]):
    """A UTC moment as whole microseconds since 1970, the same on every database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Write a zoned datetime."""
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """Read it back in UTC."""
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


class Database:
    """The hub's database. Writers of a SQLite file queue in this process instead of spinning on its lock."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer: Any = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for reading."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection whose work is committed at the end, or not at all.

        What is not ``durable`` survives a kill of the hub, but reaches the disk with the next durable work:
        for steps that a power cut may undo because they are taken again.
        """
        with self._writer, self.engine.connect() as connection:
            writing = connection.execution_options(begin="BEGIN IMMEDIATE", durable=durable)
            with writing.begin():
                if not durable and self.engine.dialect.name == "postgresql":
                    writing.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
                yield writing

    def revision(self) -> str | None:
        """Return the migration the database stands at; ``None`` when it was never prepared."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(sa.text("select version_num from alembic_version")).scalar()
            return None if found is None else str(found)

    def require_revision(self) -> None:
        """Raise ``Unavailable`` unless the database stands at the migration that this software needs."""
        if self.revision() != SCHEMA_REVISION:
            raise Unavailable(
                "database.revision",
                "the database is not at this software's migration",
                "run: atoll-hub init",
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(settings: DatabaseSettings, home: HubHome) -> Database:
    """Open the database that the settings name; nothing is written yet."""
    url = _located(make_url(settings.url), settings, home)
    if url.get_backend_name() == "sqlite":
        return Database(_sqlite(url, settings))
    if url.get_backend_name() == "postgresql":
        return Database(sa.create_engine(url, pool_size=settings.pool_size, pool_pre_ping=True))
    raise SettingsError("database.kind", "the database is neither SQLite nor PostgreSQL")


def _located(url: URL, settings: DatabaseSettings, home: HubHome) -> URL:
    if url.get_backend_name() == "sqlite":
        file = home.root / (url.database or "state/hub.sqlite")
        file.parent.mkdir(parents=True, exist_ok=True)
        return url.set(database=str(file))
    if settings.password_file is None:
        return url
    return url.set(password=_secret(home.root / settings.password_file))


def _secret(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError("database.password", "the database's password file cannot be read") from error


def _sqlite(url: URL, settings: DatabaseSettings) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=40,
        connect_args={"check_same_thread": False, "timeout": 10},
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    # The driver must not open transactions by itself: "begin" below says which kind each one is.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.dbapi_connection
    driver.execute(f"PRAGMA synchronous = {'FULL' if options.get('durable', True) else 'NORMAL'}")
    connection.exec_driver_sql(str(options.get("begin", "BEGIN")))
