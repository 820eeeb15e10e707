"""Keep what is to leave, and every message that left."""

from atoll_node.outbound.journal import Journal, Sent
from atoll_node.outbound.outbox import Outbox, Parcel

__all__ = ["Journal", "Outbox", "Parcel", "Sent"]
