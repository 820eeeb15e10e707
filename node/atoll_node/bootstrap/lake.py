"""Wire what keeps the lake: its state, and maintenance that is put on record."""

import logging

from atoll_node.audit import Decision
from atoll_node.bootstrap import Node
from atoll_node.bootstrap.store import require_safe_store
from atoll_node.errors import NodeError
from atoll_node.maintenance.work import DatasetState, Maintenance, maintain, state_of
from atoll_node.settings import DatasetSettings

log = logging.getLogger(__name__)


def lake_state(node: Node, dataset: DatasetSettings) -> DatasetState:
    """Look at a dataset's tables and releases; nothing is changed."""
    return state_of(dataset.name, node=node.settings, home=node.home, clock=node.world.clock)


def maintain_dataset(node: Node, dataset: DatasetSettings) -> Maintenance:
    """Do what the dataset's tables need, and put it on record when something was done.

    Refuses a store that loses commits, as an ingest does.
    """
    require_safe_store(node)
    done = maintain(dataset.name, node=node.settings, home=node.home, clock=node.world.clock)
    worked = [table.table for table in done.tables if table.work]
    if worked or done.retired:
        facts = {"tables": worked, "retired": list(done.retired)}
        node.audit.record(Decision("lake.maintained", "node", dataset.name, facts))
    return done


def maintain_if_wanted(node: Node, dataset: DatasetSettings) -> None:
    """Do what is due after an ingest. The tables are whole in any case, so a failure is only said."""
    if not node.settings.lake.maintain:
        return
    try:
        maintain_dataset(node, dataset)
    except NodeError as error:
        log.warning("maintenance did not end", extra={"dataset": dataset.name, "code": error.code})
