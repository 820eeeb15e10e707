"""Gather every feature's tables in one place, for migrations and their check."""

from atoll_hub.accounts import store as accounts
from atoll_hub.audit import store as audit
from atoll_hub.catalog import store as catalog
from atoll_hub.database import metadata
from atoll_hub.governance import store as governance
from atoll_hub.nodes import store as nodes
from atoll_hub.queries import store as queries

__all__ = ["accounts", "audit", "catalog", "governance", "metadata", "nodes", "queries"]
