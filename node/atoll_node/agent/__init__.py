"""Talk to the hub, outgoing only. This room cannot reach data: what it needs is given to it (law 3)."""

from atoll_node.agent.client import HubClient, HubDeclined, HubUnreachable, Identity
from atoll_node.agent.enrol import enrol
from atoll_node.agent.loop import Agent, Standing
from atoll_node.agent.ports import Answering, Journal, Mail, Mailbox

__all__ = [
    "Agent",
    "Answering",
    "HubClient",
    "HubDeclined",
    "HubUnreachable",
    "Identity",
    "Journal",
    "Mail",
    "Mailbox",
    "Standing",
    "enrol",
]
