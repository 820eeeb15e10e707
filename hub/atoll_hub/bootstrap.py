"""Wire the hub: the only place where clocks, randomness, files and the database meet the services."""

import secrets
from datetime import UTC, datetime, timedelta

from atoll_hub.accounts.service import Accounts
from atoll_hub.audit.service import Clock, Journal
from atoll_hub.audit.store import HeadFile
from atoll_hub.catalog.service import Catalog
from atoll_hub.database import Database, open_database
from atoll_hub.governance.service import Governance
from atoll_hub.home import HubHome
from atoll_hub.keys import SigningKey, read_signing_key
from atoll_hub.nodes.service import HubIdentity, Nodes
from atoll_hub.queries.exchange import Exchange
from atoll_hub.queries.service import Asking, Queries
from atoll_hub.settings import HubSettings, read_settings
from atoll_hub.wakes import Wakes
from atoll_hub.wiring import Hub

TOKEN_PATH = "/v1/token"


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def open_hub(home: HubHome, address: str | None = None) -> Hub:
    """Open the hub of a home; ``address`` is where it listens, when it serves."""
    settings = read_settings(home)
    key = read_signing_key(home.signing_key)
    return wire_hub(
        settings, key, open_database(settings.database, home), HeadFile(home.audit_head, key), address
    )


def wire_hub(
    settings: HubSettings,
    key: SigningKey,
    database: Database,
    head: HeadFile,
    address: str | None = None,
    clock: Clock = utc_now,
) -> Hub:
    """Put the services together."""
    wakes = Wakes()
    journal = Journal(database, head, clock)
    governance = Governance(database, journal, clock, wakes.ring)
    lease = timedelta(seconds=settings.queries.lease_seconds)
    asking = Asking(settings.hub_id, key, settings.gate)
    return Hub(
        hub_id=settings.hub_id,
        database=database,
        journal=journal,
        accounts=Accounts(database, journal, clock, secrets.token_bytes),
        nodes=Nodes(database, journal, _identity(settings, key, address), clock, secrets.token_bytes),
        catalog=Catalog(database, journal),
        governance=governance,
        queries=Queries(database, journal, asking, clock, secrets.token_bytes, wakes.ring),
        exchange=Exchange(database, journal, governance, clock, lease, wakes.ring),
        wakes=wakes,
        new_trace_id=lambda: secrets.token_hex(8),
    )


def _identity(settings: HubSettings, key: SigningKey, address: str | None) -> HubIdentity:
    server = settings.server
    scheme = "https" if server.tls_cert else "http"
    url = server.public_url or address or f"{scheme}://{server.host}:{server.port}"
    return HubIdentity(
        hub_id=settings.hub_id,
        key=key,
        audience=url + TOKEN_PATH,
        offline_after=settings.queries.offline_after_seconds,
    )
