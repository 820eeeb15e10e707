"""Forget persons: out of every table, every file of every version, quarantine, staging and the ledger.

The order makes a run that dies harmless: the persons are kept away first; then tables lose their rows, a new
release takes the old ones' place, old files go, and a second search of what is left must find nothing. The
same list again goes on where the last run stopped.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from atoll_node.deidentify.duckdb_adapter import Connection
from atoll_node.deidentify.pseudonyms import Kind, Pseudonyms
from atoll_node.erasure.identifiers import Forgotten, numbers_of
from atoll_node.erasure.proof import DatasetErasure, ErasureProof, TableErasure
from atoll_node.erasure.quarantine import purge
from atoll_node.erasure.rows import find_keys, leaving
from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.keys import read_pseudonym_key
from atoll_node.maintenance.rules import TableState
from atoll_node.maintenance.work import table_state
from atoll_node.release import Release
from atoll_node.releases import Releases, Withdrawal
from atoll_node.settings import NodeSettings
from atoll_node.tables.delta_adapter import LakeTable
from atoll_node.tables.merge_adapter import Leaving, count, replacing, touched
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from atoll_node.workroom import connected, workroom

Cut = Callable[[str], str | None]
"""Makes a new release of a dataset and returns its name; ``None`` when the dataset cannot be released."""


@dataclass(frozen=True)
class Forgetting:
    """What forgetting needs of the node."""

    node: NodeSettings
    home: Home
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    stand_in: Callable[[], int]
    """A random 63-bit number, put into the ledger in a person's place."""
    forget_in_ledger: Callable[[Iterable[int], Callable[[], int]], int]
    cut: Cut


def forget(identifiers: tuple[str, ...], work: Forgetting) -> ErasureProof:
    """Forget the persons of these identifiers of the hospital; return the proof, which is kept too.

    Raises ``LakeError`` when a store does not answer, a dataset is being written, or a row is still found.
    """
    pseudonyms = Pseudonyms(read_pseudonym_key(work.home), work.node.site)
    numbers = numbers_of(identifiers)
    Forgotten(work.home.forgotten).add(numbers, pseudonyms)
    persons = frozenset(pseudonyms.of(Kind.PERSON, number) for number in numbers)
    names = {dataset.name for dataset in work.node.datasets} | set(Releases(work.home).datasets())
    datasets = tuple(_Dataset(name, persons, work).forget() for name in sorted(names))
    searched = sum(1 for _ in work.home.quarantine.rglob("*.jsonl"))
    proof = ErasureProof(
        id=work.new_id(),
        site=work.node.site,
        at=work.clock(),
        persons_asked=len(identifiers),
        datasets=datasets,
        quarantine_files_searched=searched,
        quarantine_records_removed=purge(work.home.quarantine, identifiers),
        ledger_cohorts_changed=work.forget_in_ledger(persons, work.stand_in),
        scratch_emptied=True,
        kept_away=True,
    )
    work.home.proofs.mkdir(mode=0o700, parents=True, exist_ok=True)
    (work.home.proofs / f"{proof.id}.json").write_bytes(proof.canonical())
    return proof


@dataclass(frozen=True)
class _Found:
    """One table, and those of its files that hold a row about the persons."""

    table: LakeTable
    state: TableState
    leaving: Leaving
    held: frozenset[str]
    """Paths below the table's root."""
    removed: int
    """Files that nobody needed, removed unread."""


@dataclass(frozen=True)
class _Dataset:
    name: str
    persons: frozenset[int]
    work: Forgetting

    def forget(self) -> DatasetErasure:
        """Take the rows out of the newest version, let releases go that had them, remove their files."""
        releases = Releases(self.work.home)
        with self._searched() as (lake, connection, found):
            for one in found:
                self._rewrite(one, lake, connection)
        held = {f"{one.table.spec.name}/{path}" for one in found for path in one.held}
        old = [release.name for release in releases.list(self.name) if _pins(release, held)]
        successor = self.work.cut(self.name) if old else None
        for name in old:
            gone = Withdrawal(release=name, reason="erasure", successor=successor, at=self.work.clock())
            releases.withdraw(gone)
        before = {one.table.spec.name: one for one in found}
        with self._searched() as (_, connection, left):
            tables = tuple(_proven(before[one.table.spec.name], one, connection) for one in left)
        return DatasetErasure(dataset=self.name, tables=tables, withdrawn=tuple(old), successor=successor)

    @contextmanager
    def _searched(self) -> Iterator[tuple[Lake, Connection, tuple[_Found, ...]]]:
        """Remove files that nobody needs, then search every file that is left, of every version."""
        home = self.work.home
        with workroom(self.name, home) as scratch:
            places = places_of(home, self.work.node.store)
            lake = Lake(places, self.name, scratch)
            answering = Releases(home).list(self.name)
            tables = [(table, table_state(table, lake, answering)) for table in lake.tables()]
            for table, state in tables:
                lake.stored(table).remove(state.unneeded)
            with connected(scratch, places) as connection:
                find_keys(
                    connection,
                    self.persons,
                    {table.spec.name: _paths(table, state) for table, state in tables},
                )
                found = (_search(table, state, connection) for table, state in tables)
                yield lake, connection, tuple(one for one in found if one is not None)

    def _rewrite(self, found: _Found, lake: Lake, connection: Connection) -> None:
        """Commit the newest version without the rows."""
        removed = [file for file in found.state.live if file.path in found.held]
        if not removed:
            return
        paths = [f"{found.table.uri}/{file.path}" for file in removed]
        lake.commit(
            found.table,
            replacing(connection, found.leaving, paths),
            (),
            removed=removed,
            content=found.state.version + 1,
            written_at=int(self.work.clock().timestamp() * 1000),
        )


def _search(table: LakeTable, state: TableState, connection: Connection) -> _Found | None:
    gone = leaving(table.spec)
    if gone is None:
        return None
    held = touched(connection, gone, _paths(table, state))
    below = frozenset(path.removeprefix(f"{table.uri}/") for path in held)
    return _Found(table, state, gone, below, len(state.unneeded))


def _paths(table: LakeTable, state: TableState) -> list[str]:
    """Return every file that is left when nobody's files are removed."""
    unneeded = {file.path for file in state.unneeded}
    return [f"{table.uri}/{file.path}" for file in state.stored if file.path not in unneeded]


def _proven(before: _Found, after: _Found, connection: Connection) -> TableErasure:
    """Return what happened to a table. Raises ``LakeError`` when a row about the persons is left."""
    left = _paths(after.table, after.state)
    rows = count(connection, after.leaving, left)
    if rows or after.held:
        raise LakeError(
            "forget.left", "rows of a person to be forgotten are left", "run: atoll-node forget, once more"
        )
    return TableErasure(
        table=after.table.spec.name,
        files_searched=len(_paths(before.table, before.state)),
        files_rewritten=sum(file.path in before.held for file in before.state.live),
        files_removed=before.removed + after.removed,
        files_left=len(left),
        rows_found_afterwards=rows,
    )


def _pins(release: Release, held: set[str]) -> bool:
    return any(f"{table.name}/{file.path}" in held for table in release.tables for file in table.files)
