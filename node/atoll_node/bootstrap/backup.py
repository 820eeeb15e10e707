"""Wire backup, restore and the drill that shows a backup to be good before it is needed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from atoll_node.audit import Decision
from atoll_node.backup.bundle import Manifest, pack, unpack
from atoll_node.backup.sealed import seal, unseal
from atoll_node.bootstrap import Node, World, open_node, software
from atoll_node.errors import LakeError, NodeError, SettingsError
from atoll_node.home import Home
from atoll_node.keys import read_pseudonym_key
from atoll_node.releases import Releases
from atoll_node.settings import SETTINGS_FILE
from atoll_node.tables.places import places_of
from atoll_node.tables.stored_files import StoredFiles
from atoll_schemas.permits import Permit


@dataclass(frozen=True)
class Checked:
    """One thing that a drill looked at."""

    what: str
    holds: bool
    detail: str


def back_up(node: Node, target: Path, passphrase: bytes) -> Manifest:
    """Write the sealed backup; never over a file that is there. Raises ``SettingsError``."""
    if target.exists():
        raise SettingsError("backup.exists", "there is a file of this name already", "choose another name")
    draft = target.with_name(target.name + ".draft")
    with _private_folder(node.home) as work:
        packed = work / "packed.tar"
        with node.audit.held(), packed.open("wb") as out:
            manifest = pack(
                node.home, out, site=node.settings.site, software=software(), at=node.world.clock(), work=work
            )
        try:
            with packed.open("rb") as source, _private(draft) as out:
                seal(source, out, passphrase, node.world.random_bytes)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return manifest


def restore(source: Path, home: Home, passphrase: bytes, world: World) -> tuple[Manifest, tuple[str, ...]]:
    """Bring a backup into a home that is none yet; return its list and the permits that were suspended.

    The ledger is as old as the backup: answers given since are not in it. So every active permit is
    suspended, and nothing is answered until a steward approves again.
    """
    if (home.root / SETTINGS_FILE).exists():
        raise SettingsError("restore.home", "there is a node in this home already", "choose an empty --home")
    manifest = _unpacked(source, home, passphrase)
    for folder in (home.quarantine, home.scratch, home.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    node = open_node(home, world)
    if not node.audit.verify().holds:
        raise LakeError("restore.audit", "the backup's audit chain does not hold", "use an older backup")
    suspended = tuple(_suspended(node))
    facts = {"backup_of": manifest.at.isoformat(), "suspended": list(suspended)}
    node.audit.record(Decision("node.restored", "operator", node.settings.site, facts))
    return manifest, suspended


def drill(source: Path, passphrase: bytes, world: World) -> tuple[Checked, ...]:
    """Restore into a folder that is thrown away, and look whether a node could live from it."""
    with tempfile.TemporaryDirectory() as work:
        trial = Home(Path(work) / "home")
        manifest, _ = restore(source, trial, passphrase, world)
        node = open_node(trial, world)
        entries = len(node.audit.entries())
        return (
            Checked("files", True, f"{len(manifest.files)} files, each with its digest"),
            Checked("settings and keys", len(read_pseudonym_key(trial)) > 0, f"site {node.settings.site}"),
            Checked("audit chain", node.audit.verify().holds, f"{entries} entries"),
            Checked("permits", True, f"{len(node.permits.all())} on record"),
            *_releases_checked(node),
        )


def _releases_checked(node: Node) -> Iterator[Checked]:
    releases = Releases(node.home)
    for dataset in releases.datasets():
        for release in releases.list(dataset):
            try:
                absent = sum(_absent(node, release.name))
            except NodeError as error:
                yield Checked(f"release {release.name}", False, f"the store does not answer ({error.code})")
                continue
            detail = "every file is on the store" if not absent else f"{absent} files are not on the store"
            yield Checked(f"release {release.name}", not absent, detail)


def _absent(node: Node, name: str) -> Iterator[int]:
    """Yield for each table how many of the release's files the store does not have, at their size."""
    places = places_of(node.home, node.settings.store)
    for table in Releases(node.home).load(name).tables:
        stored = StoredFiles(places, table.uri).list()
        there = {(file.path, file.bytes) for file in stored}
        yield sum((file.path, file.bytes) not in there for file in table.files)


def _suspended(node: Node) -> Iterator[str]:
    for held in node.permits.all():
        if held.permit is None or held.state != "active":
            continue
        changes = {
            "state": "suspended",
            "decided_by": "restore",
            "decided_at": node.world.clock(),
            "revision": held.permit.revision + 1,
        }
        permit = Permit.model_validate(held.permit.model_dump() | changes)
        facts = {"revision": permit.revision, "permit": permit.digest(), "project": permit.project}
        node.permits.decide(permit, Decision("permit.suspended", "restore", permit.permit_id, facts))
        yield permit.permit_id


def _unpacked(source: Path, home: Home, passphrase: bytes) -> Manifest:
    """Unseal beside the home, check every file, and let the home appear as a whole."""
    home.root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.root.parent, prefix=".restore-") as folder:
        packed, unpacked = Path(folder) / "packed.tar", Path(folder) / "home"
        unpacked.mkdir(mode=0o700)
        try:
            with source.open("rb") as sealed, _private(packed) as out:
                unseal(sealed, out, passphrase)
        except OSError as error:
            raise SettingsError("restore.unreadable", "the backup cannot be read") from error
        with packed.open("rb") as archive:
            manifest = unpack(archive, unpacked)
        try:
            unpacked.rename(home.root)
        except OSError as error:
            raise SettingsError("restore.home", "the home is not empty", "choose an empty --home") from error
    return manifest


@contextmanager
def _private_folder(home: Home) -> Iterator[Path]:
    home.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.scratch) as folder:
        yield Path(folder)


@contextmanager
def _private(file: Path) -> Iterator[BinaryIO]:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
