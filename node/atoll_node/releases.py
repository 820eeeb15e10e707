"""Freeze a dataset: give exact Delta versions a name that never changes its meaning."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.moves import Moves, followed
from atoll_node.release import PinnedTable, Release
from atoll_schemas.canonical import canonical_json, digest_of

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


class Releases:
    """The releases of a node: one JSON file each, written once."""

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
        number = 1 if newest is None else _number(newest.name) + 1
        release = draft.model_copy(update={"name": f"{draft.dataset}-{number:04d}", "content_digest": digest})
        self._write(release)
        return release

    def load(self, name: str) -> Release:
        """Return a release. Raises ``LakeError`` when it is unknown or was changed after it was written."""
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

    def list(self, dataset: str) -> tuple[Release, ...]:
        """Return a dataset's releases, oldest first."""
        return tuple(self.load(name) for name in self.names(dataset))

    def latest(self, dataset: str) -> Release | None:
        """Return a dataset's newest release, or ``None``."""
        names = self.names(dataset)
        return self.load(names[-1]) if names else None

    def datasets(self) -> tuple[str, ...]:
        """Return the datasets that have a release."""
        folders: Iterable[Path] = self._root.iterdir() if self._root.is_dir() else ()
        return tuple(sorted(folder.name for folder in folders if self.names(folder.name)))

    def _write(self, release: Release) -> None:
        folder = self._root / release.dataset
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{release.name}.draft"
        draft.unlink(missing_ok=True)
        with draft.open("wb") as out:
            out.write(release.canonical())
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(0o444)
        try:
            # A link, unlike a rename, never takes the place of a file that is there.
            os.link(draft, folder / f"{release.name}.json")
        except FileExistsError as error:
            raise LakeError(
                "release.exists", "a release of this name exists and is never replaced"
            ) from error
        finally:
            draft.unlink()
        _sync(folder)


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
