"""Decide whether a task may run here: what this site's steward permitted, and what the hub signed."""

from atoll_node.permits.rules import Pins, check_task, narrowed, permitted
from atoll_node.permits.store import HeldPermit, PermitStore
from atoll_node.permits.tasks import TaskStore

__all__ = ["HeldPermit", "PermitStore", "Pins", "TaskStore", "check_task", "narrowed", "permitted"]
