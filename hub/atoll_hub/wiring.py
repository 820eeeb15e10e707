"""Say which parts a running hub is made of."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from atoll_hub.accounts.service import Accounts
from atoll_hub.audit.service import Journal
from atoll_hub.catalog.service import Catalog
from atoll_hub.database import Database
from atoll_hub.errors import Unavailable
from atoll_hub.governance.service import Governance
from atoll_hub.nodes.service import Nodes
from atoll_hub.queries.exchange import Exchange
from atoll_hub.queries.service import Queries
from atoll_hub.wakes import Wakes


@dataclass(frozen=True)
class Hub:
    """The hub's services, made by ``bootstrap`` and served by ``app`` and ``cli``."""

    hub_id: str
    database: Database
    journal: Journal
    accounts: Accounts
    nodes: Nodes
    catalog: Catalog
    governance: Governance
    queries: Queries
    exchange: Exchange
    wakes: Wakes
    new_trace_id: Callable[[], str]

    def close(self) -> None:
        """Sign the end of the audit chain and close the database."""
        self.journal.sign_end()
        self.database.close()

    def check_ready(self) -> None:
        """Raise ``Unavailable`` unless the database answers and stands at the right migration."""
        try:
            self.database.require_revision()
        except SQLAlchemyError as error:
            raise Unavailable("hub.not_ready", "the database does not answer", "start it again") from error
