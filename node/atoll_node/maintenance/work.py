"""Look at a dataset's tables, and do what the rules say they need."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from atoll_node.deidentify.duckdb_adapter import Connection
from atoll_node.home import Home
from atoll_node.maintenance.rules import (
    TableState,
    Work,
    should_checkpoint,
    should_cluster,
    should_vacuum,
    to_retire,
    to_rewrite,
)
from atoll_node.release import Release
from atoll_node.releases import Releases, Withdrawal
from atoll_node.settings import NodeSettings
from atoll_node.tables.delta_adapter import LakeTable
from atoll_node.tables.merge_adapter import clustered
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from atoll_node.workroom import connected, workroom
from atoll_schemas.contract import Contract

Clock = Callable[[], datetime]


class TableMaintenance(Contract):
    """What was done to one table."""

    table: str
    work: tuple[Work, ...]
    files_before: int
    files_after: int
    removed: int
    """Files that no version in use and no release needed."""
    bytes_freed: int


class Maintenance(Contract):
    """What one run did to a dataset."""

    dataset: str
    retired: tuple[str, ...]
    """Releases that answer no more, because newer ones and their age let them go."""
    tables: tuple[TableMaintenance, ...]


@dataclass(frozen=True)
class DatasetState:
    """A dataset's tables and releases, and what is due."""

    dataset: str
    tables: tuple[TableState, ...]
    releases: tuple[Release, ...]
    withdrawn: tuple[Withdrawal, ...]
    to_retire: tuple[Release, ...]


def state_of(dataset: str, *, node: NodeSettings, home: Home, clock: Clock) -> DatasetState:
    """Look at a dataset without changing anything. Raises ``LakeError`` when the store does not answer."""
    lake = Lake(places_of(home, node.store), dataset, home.scratch / dataset)
    releases = Releases(home)
    answering = releases.list(dataset)
    withdrawn = (releases.withdrawal(name) for name in releases.names(dataset))
    return DatasetState(
        dataset=dataset,
        tables=tuple(table_state(table, lake, answering) for table in lake.tables()),
        releases=answering,
        withdrawn=tuple(found for found in withdrawn if found is not None),
        to_retire=_to_retire(answering, node, clock),
    )


def maintain(dataset: str, *, node: NodeSettings, home: Home, clock: Clock) -> Maintenance:
    """Retire releases, sort and compact tables, write checkpoints, remove files that nobody needs.

    Every step leaves the tables whole: a run that dies is taken up by the next. Raises ``LakeError``.
    """
    with workroom(dataset, home) as scratch:
        places = places_of(home, node.store)
        lake = Lake(places, dataset, scratch)
        releases = Releases(home)
        retired = _retire(releases, dataset, node, clock)
        answering = releases.list(dataset)
        with connected(scratch, places) as connection:
            tables = tuple(_maintained(table, lake, answering, connection, clock) for table in lake.tables())
    return Maintenance(dataset=dataset, retired=retired, tables=tables)


def _to_retire(releases: tuple[Release, ...], node: NodeSettings, clock: Clock) -> tuple[Release, ...]:
    kept = node.lake
    return to_retire(releases, keep=kept.keep_releases, days=kept.keep_days, now=clock())


def _retire(releases: Releases, dataset: str, node: NodeSettings, clock: Clock) -> tuple[str, ...]:
    answering = releases.list(dataset)
    spare = _to_retire(answering, node, clock)
    for release in spare:
        withdrawal = Withdrawal(
            release=release.name, reason="retired", successor=answering[-1].name, at=clock()
        )
        releases.withdraw(withdrawal)
    return tuple(release.name for release in spare)


def table_state(table: LakeTable, lake: Lake, releases: tuple[Release, ...]) -> TableState:
    pinned = table.pinned()
    stored = lake.stored(table)
    return TableState(
        name=table.spec.name,
        version=table.next_version - 1,
        rows=0 if pinned is None else pinned.rows,
        live=() if pinned is None else pinned.files,
        stored=stored.list(),
        pinned=frozenset(
            file.path
            for release in releases
            for held in release.tables
            if held.name == table.spec.name
            for file in held.files
        ),
        checkpoint=stored.checkpoint(),
    )


def _maintained(
    table: LakeTable, lake: Lake, releases: tuple[Release, ...], connection: Connection, clock: Clock
) -> TableMaintenance:
    before = table_state(table, lake, releases)
    work: list[Work] = []
    if should_cluster(before):
        work.append(Work.CLUSTER)
        _cluster(table, lake, releases, connection, clock)
    after = table_state(table, lake, releases)
    if should_checkpoint(after):
        table.checkpoint()
        work.append(Work.CHECKPOINT)
    lake.stored(table).remove(after.unneeded)
    if should_vacuum(after):
        work.append(Work.VACUUM)
    return TableMaintenance(
        table=table.spec.name,
        work=tuple(work),
        files_before=len(before.live),
        files_after=len(after.live),
        removed=len(after.unneeded),
        bytes_freed=sum(file.bytes for file in after.unneeded),
    )


def _cluster(
    table: LakeTable, lake: Lake, releases: tuple[Release, ...], connection: Connection, clock: Clock
) -> None:
    """Rewrite part after part, each in a commit of its own, until the table is sorted."""
    state = table_state(table, lake, releases)
    while should_cluster(state):
        chosen = to_rewrite(state)
        paths = [f"{table.uri}/{file.path}" for file in chosen]
        lake.commit(
            table,
            clustered(connection, table.spec, paths),
            (),
            removed=chosen,
            content=state.version + 1,
            written_at=int(clock().timestamp() * 1000),
            same_rows=True,
        )
        state = table_state(table, lake, releases)
