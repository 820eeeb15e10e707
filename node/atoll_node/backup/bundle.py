"""Pack the files of a node's home with a list of their digests, and unpack only what the list names."""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_node.settings import SETTINGS_FILE
from atoll_schemas.contract import Contract

MANIFEST = "manifest.json"
LEFT_OUT = ("lake", "quarantine", "scratch", "logs", "demo")
"""Folders that a backup leaves to others: tables to the store's own backup, records of patients to nobody."""
_STATE_ENDINGS = (".json",)


class BackedUp(Contract):
    """One file of a backup."""

    path: str
    """Below the home."""
    bytes: int
    sha256: str


class Manifest(Contract):
    """What a backup holds."""

    form: int = 1
    site: str
    software: str
    at: datetime
    files: tuple[BackedUp, ...]


def pack(home: Home, target: BinaryIO, *, site: str, software: str, at: datetime, work: Path) -> Manifest:
    """Write the home's files and their list into ``target``, as tar. ``work`` is an empty private folder."""
    database = work / "node.sqlite"
    _copy_database(home.state, database)
    files = {str(path.relative_to(home.root)): path for path in sorted(_files(home))}
    files[str(home.state.relative_to(home.root))] = database
    listed = tuple(BackedUp(path=name, **_facts(path)) for name, path in sorted(files.items()))
    manifest = Manifest(site=site, software=software, at=at, files=listed)
    with tarfile.open(fileobj=target, mode="w|") as archive:
        _add(archive, MANIFEST, manifest.canonical())
        for name, path in sorted(files.items()):
            with path.open("rb") as content:
                entry = _entry(name, path.stat().st_size)
                archive.addfile(entry, content)
    return manifest


def unpack(source: BinaryIO, root: Path) -> Manifest:
    """Write a backup's files below ``root``. Raises ``SettingsError`` when they are not what it lists."""
    with tarfile.open(fileobj=source, mode="r|") as archive:
        manifest: Manifest | None = None
        expected: dict[str, BackedUp] = {}
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is None:
                raise _damaged()
            if manifest is None:
                manifest = _read_manifest(entry.name, content.read())
                expected = {file.path: file for file in manifest.files}
                continue
            _write(root, expected.pop(entry.name, None), content)
    if manifest is None or expected:
        raise _damaged()
    return manifest


def _files(home: Home) -> Iterator[Path]:
    """Yield what only this home has; the database is copied apart."""
    yield home.root / SETTINGS_FILE
    if home.enrolment.exists():
        yield home.enrolment
    for folder in (home.secrets, home.releases, home.proofs):
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    yield from (path for path in home.state.parent.iterdir() if path.suffix in _STATE_ENDINGS)
    yield from (path for path in home.root.glob("*.toml") if path.name != SETTINGS_FILE)


def _copy_database(source: Path, target: Path) -> None:
    """Copy the database as one moment saw it, while others go on writing."""
    with sqlite3.connect(source) as there, sqlite3.connect(target) as here:
        there.backup(here)
    here.close()
    there.close()


def _facts(path: Path) -> dict[str, str | int]:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content)), io.BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o600
    return entry


def _read_manifest(name: str, content: bytes) -> Manifest:
    try:
        form = json.loads(content).get("form") if name == MANIFEST else None
        if form != 1:
            raise _damaged()
        return Manifest.model_validate_json(content)
    except (ValueError, AttributeError, ValidationError) as error:
        raise _damaged() from error


def _write(root: Path, expected: BackedUp | None, content: object) -> None:
    if expected is None or not hasattr(content, "read"):
        raise _damaged()
    target = (root / expected.path).resolve()
    if not target.is_relative_to(root.resolve()):
        raise _damaged()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    digest = hashlib.sha256()
    with os.fdopen(handle, "wb") as out:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != expected.sha256:
        raise _damaged()


def _damaged() -> SettingsError:
    return SettingsError(
        "backup.damaged", "the backup is not what its list of files says", "use an older backup"
    )
