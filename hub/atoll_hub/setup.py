"""Prepare a hub's home: settings, signing key, database. Running it again changes nothing that is there."""

import secrets
from dataclasses import dataclass

from atoll_hub.audit.store import HeadFile
from atoll_hub.bootstrap import open_hub
from atoll_hub.database import open_database
from atoll_hub.home import HubHome
from atoll_hub.keys import make_signing_key, read_signing_key
from atoll_hub.migrations import migrate
from atoll_hub.settings import EXAMPLE, read_settings
from atoll_schemas.audit import EMPTY
from atoll_schemas.enrolment import fingerprint


@dataclass(frozen=True)
class Prepared:
    """What ``init`` made or found."""

    hub_id: str
    fingerprint: str
    database: str


def prepare(home: HubHome, database_url: str) -> Prepared:
    """Make what is missing of a hub's home, and bring its database to this software's migration."""
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not home.settings.exists():
        text = EXAMPLE.format(hub_id="hub-" + secrets.token_hex(4), database_url=database_url)
        home.settings.write_text(text, encoding="utf-8")
    settings = read_settings(home)
    make_signing_key(home.signing_key)
    key = read_signing_key(home.signing_key)
    database = open_database(settings.database, home)
    first = database.revision() is None
    migrate(database)
    if first:
        HeadFile(home.audit_head, key).advance(EMPTY)
    database.close()
    open_hub(home).database.close()
    return Prepared(settings.hub_id, fingerprint(key.public), settings.database.url)
