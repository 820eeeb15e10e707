"""Bring a database to the tables that this software needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from atoll_hub.database import Database


def migrate(database: Database) -> None:
    """Run every migration that the database has not seen; running it again changes nothing."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
