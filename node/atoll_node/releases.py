"""Freeze a dataset: give exact Delta versions a name that never changes its meaning."""

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.moves import Moves, followed
from atoll_node.release import PinnedTable, Release
from atoll_schemas.canonical import canonical_json, digest_of
from atoll_schemas.contract import Contract
from atoll_schemas.problems import ExitCode

_NAME = re.compile(r"(?P<dataset>[a-z][a-z0-9_]{0,62})-(?P<number>[0-9]{4,9})")
_NOT_DIGESTED = frozenset({"name", "created_at", "quality", "content_digest"})


def content_digest(release: Release) -> str:
    """Return the digest over all that decides an answer: versions, files, settings.

    A file's size is left out: equal rows are packed a few bytes larger or smaller when threads write them in
    another order. Its path carries the keyed number of its content.
    """
    content = {key: value for key, value in release.wire().items() if key not in _NOT_DIGESTED}
    content["tables"] = [_placeless(table) for table in release.tables]
    return digest_of(canonical_json(content))


def _placeless(table: PinnedTable) -> dict[str, object]:
    files = [{"path": file.path, "rows": file.rows} for file in table.files]
    return {"name": table.name, "version": table.version, "rows": table.rows, "files": files}


class Withdrawal(Contract):
    """Why a release answers no more, and which one does in its place."""

    release: str
    reason: Literal["erasure", "retired"]
    successor: str | None
    at: datetime


class ReleaseWithdrawn(LakeError):
    """The release answers no more; ``successor`` does."""

    exit_code = ExitCode.REFUSED

    def __init__(self, withdrawal: Withdrawal) -> None:
        successor = withdrawal.successor
        super().__init__(
            "release.withdrawn",
            "the release was withdrawn",
            "ask the hub for the dataset's newest release" if successor is None else f"use {successor}",
        )
        self.successor = successor


class Releases:
    """The releases of a node: one JSON file each, written once; beside it, whether it is withdrawn."""

    def __init__(self, home: Home) -> None:
        self._root = home.releases
        self._moves = Moves(home)

    def freeze(self, draft: Release) -> Release:
        """Keep a draft under its dataset's next name; return the newest release when nothing changed.

        The draft's ``name`` and ``content_digest`` are set here.
        """
        digest = content_digest(draft)
        newest = self.latest(draft.dataset)
        if newest is not None and newest.content_digest == digest:
            return newest
        names = self.names(draft.dataset)
        number = _number(names[-1]) + 1 if names else 1
        release = draft.model_copy(update={"name": f"{draft.dataset}-{number:04d}", "content_digest": digest})
        self._write(self._root / release.dataset / f"{release.name}.json", release.canonical())
        return release

    def load(self, name: str) -> Release:
        """Return a release that answers.

        Raises ``ReleaseWithdrawn``, or ``LakeError`` when it is unknown or was changed after it was written.
        """
        withdrawal = self.withdrawal(name)
        if withdrawal is not None:
            raise ReleaseWithdrawn(withdrawal)
        return self.read(name)

    def read(self, name: str) -> Release:
        """Return a release, be it withdrawn. Raises ``LakeError`` when it is unknown or was changed."""
        named = _NAME.fullmatch(name)
        file = None if named is None else self._root / named["dataset"] / f"{name}.json"
        if file is None or not file.is_file():
            raise LakeError("release.unknown", "there is no release of this name", "run: atoll-node status")
        try:
            release = Release.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise _changed() from error
        if release.name != name or content_digest(release) != release.content_digest:
            raise _changed()
        return followed(release, self._moves.all())

    def names(self, dataset: str) -> tuple[str, ...]:
        """Return the names of a dataset's releases, oldest first."""
        files = (self._root / dataset).glob("*.json")
        found = (named for file in files if (named := _NAME.fullmatch(file.stem)) is not None)
        return tuple(named.string for named in sorted(found, key=lambda named: int(named["number"])))

    def answering(self, dataset: str) -> tuple[str, ...]:
        """Return the names of the releases that are not withdrawn, oldest first."""
        return tuple(name for name in self.names(dataset) if self.withdrawal(name) is None)

    def list(self, dataset: str) -> tuple[Release, ...]:
        """Return a dataset's releases that answer, oldest first."""
        return tuple(self.load(name) for name in self.answering(dataset))

    def latest(self, dataset: str) -> Release | None:
        """Return a dataset's newest release that answers, or ``None``."""
        names = self.answering(dataset)
        return self.load(names[-1]) if names else None

    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Let a release answer no more, for ever. The first reason stays."""
        release = self.read(withdrawal.release)
        file = self._withdrawn(release.name)
        if not file.exists():
            self._write(file, withdrawal.canonical())

    def withdrawal(self, name: str) -> Withdrawal | None:
        """Return why a release answers no more, or ``None``."""
        if _NAME.fullmatch(name) is None:
            return None
        try:
            return Withdrawal.model_validate_json(self._withdrawn(name).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise _changed() from error

    def _withdrawn(self, name: str) -> Path:
        return self._root / name.rpartition("-")[0] / f"{name}.withdrawn.json"

    def datasets(self) -> tuple[str, ...]:
        """Return the datasets that have a release."""
        folders: Iterable[Path] = self._root.iterdir() if self._root.is_dir() else ()
        return tuple(sorted(folder.name for folder in folders if self.names(folder.name)))

    def _write(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.stem}.draft")
        draft.unlink(missing_ok=True)
        with draft.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(0o444)
        try:
            # A link, unlike a rename, never takes the place of a file that is there.
            os.link(draft, file)
        except FileExistsError as error:
            raise LakeError(
                "release.exists", "a release of this name exists and is never replaced"
            ) from error
        finally:
            draft.unlink()
        _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def _changed() -> LakeError:
    return LakeError(
        "release.changed",
        "a release was changed after it was written",
        "restore the file from your backup, then run: atoll-node release",
    )
