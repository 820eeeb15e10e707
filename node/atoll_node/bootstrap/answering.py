"""Wire the way out: releases, the engine over their files, and the gate; `up` loads no more of the lake."""

import time
from functools import partial

from atoll_node.answer import Stages
from atoll_node.bootstrap import Node
from atoll_node.bootstrap.releases import s3_of, spark_of
from atoll_node.disclosure import Ledger, LedgerStore, clear
from atoll_node.engine import ChosenEngine
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_schemas.query import Query


def open_stages(node: Node) -> Stages:
    """Wire the way out: releases, DuckDB over their files, and the gate with its ledger."""
    engine = chosen_engine(node)
    ledger = Ledger(LedgerStore(node.home.state))
    site, settings = node.settings.site, node.settings.gate
    return Stages(
        release_of=_Asked(Releases(node.home)),
        run=partial(engine.run, clock=time.perf_counter),
        clear=lambda raw, query, release: clear(
            raw, query=query, release=release, site=site, settings=settings, ledger=ledger
        ),
    )


def chosen_engine(node: Node) -> ChosenEngine:
    """Wire the engine: DuckDB, and a Spark Connect endpoint where the settings name one to use."""
    return ChosenEngine(node.settings, node.home.scratch, s3_of(node), spark_of(node.settings))


class _Asked:
    """The release that a query names, or the newest of its dataset; read and checked once."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases
        self._read: dict[str, Release] = {}

    def __call__(self, query: Query) -> Release | None:
        answering = self._releases.answering(query.dataset)
        name = query.release or (answering[-1] if answering else None)
        if name is None:
            return None
        if name not in answering:
            return self._releases.load(name)
        if name not in self._read:
            self._read[name] = self._releases.load(name)
        return self._read[name]
