"""Wire the move of a lake: prove the new store, copy, see that every release is there, and change over."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from atoll_node.audit import Decision
from atoll_node.bootstrap import Node, running_alone, write_whole
from atoll_node.bootstrap.store import prove_other
from atoll_node.errors import LakeError, SettingsError
from atoll_node.moves import Move, Moves
from atoll_node.releases import Releases
from atoll_node.settings import SETTINGS_FILE, FolderStore, S3Store
from atoll_node.store.copy_journal import CopyJournal
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.migration import Place, Report, Step, copy_lake, missing
from atoll_node.store.s3_adapter import S3Bucket
from atoll_node.store.settings_text import store_of, with_store
from atoll_node.tables.places import keys_of, places_of
from atoll_node.tables.writer import sole_writer

CURRENT = "current"
_RETRIES = 5
AnyStore = FolderStore | S3Store


@dataclass(frozen=True)
class Migrated:
    """What a run did, where from and where to, and whether the node lives there now."""

    source: str
    target: str
    report: Report
    releases: int
    switched: bool


def store_named(node: Node, name: str) -> AnyStore:
    """Return the store of ``current``, of a TOML file with a ``[store]``, or of a folder."""
    if name == CURRENT:
        return node.settings.store
    path = Path(name)
    if path.suffix == ".toml":
        return store_of(path)
    if path.is_file():
        raise SettingsError(
            "store.file", "a place is current, a folder, or a .toml file with [store]", "give one of these"
        )
    return FolderStore(path=path.absolute())


def migrate(
    node: Node, source_name: str, target_name: str, *, switch: bool, progress: Callable[[Step], None]
) -> Migrated:
    """Copy a lake and verify each object; with ``switch`` let the node live at the new place from now on."""
    source, target = store_named(node, source_name), store_named(node, target_name)
    before, after = _root(node, source), _root(node, target)
    if switch and source != node.settings.store and before != _root(node, node.settings.store):
        raise SettingsError(
            "store.not_current",
            "only the lake that the node uses can be changed over",
            f"give {CURRENT} as FROM, or leave --switch away",
        )
    if before == after:
        raise SettingsError("store.same_place", "FROM and TO are the same place", "name another place as TO")
    if isinstance(target, S3Store):
        prove_other(node, target)
    with _nobody_else(node) if switch else ExitStack():
        text = with_store(_settings_text(node), target)
        journal = CopyJournal(_journal_file(node, before, after), node.world.new_id())
        report = copy_lake(_place(node, source), _place(node, target), journal, _scratch(node), progress)
        releases = _releases_are_there(node, journal) if source == node.settings.store else 0
        if switch:
            _change_over(node, text, Move(before=before, after=after, at=node.world.clock()), journal)
    return Migrated(before, after, report, releases, switch)


@contextmanager
def _nobody_else(node: Node) -> Iterator[None]:
    """Hold the node and every dataset, so that nothing is written or read at the old place meanwhile."""
    with ExitStack() as held:
        held.enter_context(running_alone(node.home))
        for dataset in node.settings.datasets:
            held.enter_context(sole_writer(node.home.state.parent / f"{dataset.name}.lock"))
        yield


def _releases_are_there(node: Node, journal: CopyJournal) -> int:
    """Return how many releases can be answered at the new place; raise when a file of one is not there."""
    releases = Releases(node.home)
    found = [release for dataset in releases.datasets() for release in releases.list(dataset)]
    for release in found:
        wanted = [
            (f"{release.dataset}/{table.name}/{file.path}", file.bytes)
            for table in release.tables
            for file in table.files
        ]
        if absent := missing(wanted, journal):
            raise LakeError(
                "store.incomplete",
                f"{len(absent)} files that the release {release.name} names are not at the old place either",
                "restore them from the backup, or let the release be withdrawn; nothing was changed over",
            )
    return len(found)


def _change_over(node: Node, text: str, move: Move, journal: CopyJournal) -> None:
    """Write down the move, then the settings. Cut off in between, the node reads nothing until run again."""
    file = node.home.root / SETTINGS_FILE
    listed = "".join(f"{one.sha256}  {one.name}\n" for one in journal.all())
    facts = {"objects": len(journal.all()), "digest": f"sha256:{sha256(listed.encode()).hexdigest()}"}
    with node.audit.recorded(Decision("store.moved", "operator", node.settings.site, facts)):
        write_whole(file.with_name(f"{SETTINGS_FILE}.before-move"), _settings_text(node))
        Moves(node.home).add(move)
        write_whole(file, text)


def _settings_text(node: Node) -> str:
    return (node.home.root / SETTINGS_FILE).read_text(encoding="utf-8")


def _place(node: Node, store: AnyStore) -> Place:
    if isinstance(store, FolderStore):
        return Place(FolderBucket(Path(_root(node, store))))
    keys = keys_of(store.access_key_file, store.secret_key_file)
    return Place(S3Bucket(store, keys, retries=_RETRIES), store.prefix.strip("/"))


def _root(node: Node, store: AnyStore) -> str:
    return places_of(node.home, store).root


def _scratch(node: Node) -> Path:
    folder = node.home.scratch / "migrate"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _journal_file(node: Node, before: str, after: str) -> Path:
    name = sha256(f"{before}\n{after}".encode()).hexdigest()[:16]
    return node.home.state.with_name(f"copy-{name}.jsonl")
