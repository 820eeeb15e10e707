"""The hub's settings are one closed file; a wrong key is named with the one that was meant."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from atoll_hub import migrations, tables
from atoll_hub.database import SCHEMA_REVISION, open_database
from atoll_hub.errors import SettingsError
from atoll_hub.home import HubHome
from atoll_hub.keys import make_signing_key, read_signing_key
from atoll_hub.settings import EXAMPLE, DatabaseSettings, HubSettings, read_settings


def written(tmp_path: Path, text: str) -> HubHome:
    home = HubHome(tmp_path)
    home.settings.write_text(text)
    return home


def test_the_annotated_example_holds_the_defaults(tmp_path: Path):
    text = EXAMPLE.format(hub_id="hub-1", database_url="sqlite:///state/hub.sqlite")
    assert read_settings(written(tmp_path, text)) == HubSettings(hub_id="hub-1")


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path):
    with pytest.raises(SettingsError, match="did you mean lease_seconds"):
        read_settings(written(tmp_path, 'hub_id = "hub-1"\n[queries]\nlease_second = 3\n'))


@pytest.mark.parametrize("text", ["hub_id = ", 'hub_id = "X"', 'hub_id = "hub-1"\nlog_level = "loud"'])
def test_wrong_values_are_refused(tmp_path: Path, text: str):
    with pytest.raises(SettingsError):
        read_settings(written(tmp_path, text))


def test_absent_settings_say_what_to_run(tmp_path: Path):
    with pytest.raises(SettingsError) as refusal:
        read_settings(HubHome(tmp_path))
    assert refusal.value.next_step == "run: atoll-hub init"


def test_a_key_that_others_can_read_is_refused(tmp_path: Path):
    file = tmp_path / "secrets" / "key.pem"
    make_signing_key(file)
    kept = file.read_bytes()
    make_signing_key(file)
    assert file.read_bytes() == kept
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="readable by others"):
        read_signing_key(file)


def test_the_migrations_make_exactly_the_tables_that_the_software_uses(tmp_path: Path, database_url: str):
    database = open_database(DatabaseSettings(url=database_url), HubHome(tmp_path))
    migrations.migrate(database)
    migrations.migrate(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert connection.execute(sa.text("select sequence from audit_head")).scalar() == 0
    assert database.revision() == SCHEMA_REVISION
    database.close()


def test_the_software_names_the_last_migration():
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_current_head() == SCHEMA_REVISION


def test_another_kind_of_database_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="neither SQLite nor PostgreSQL"):
        open_database(DatabaseSettings(url="mysql://x@y/z"), HubHome(tmp_path))
