"""Treat a folder of this machine as a bucket, so that it can be raced, listed and copied like one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll_node.errors import LakeError
from atoll_node.store.s3_adapter import Stored
from atoll_node.store.verdict import Reply

_STREAM_BYTES = 1024 * 1024


class FolderBucket:
    """The files below a folder; a key is a relative path with slashes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        self._write(key, iter([content]))

    def put_file(self, key: str, file: Path) -> None:
        """Write a file from another."""
        with _explained():
            source = file.open("rb")
        with source:
            self._write(key, iter(lambda: source.read(_STREAM_BYTES), b""))

    def put_new(self, key: str, content: bytes) -> Reply:
        """Write a file only when there is none, as deltalake does: a link never takes another's place."""
        target = self.root / key
        draft = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(6).hex()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(content)
            os.link(draft, target)
        except FileExistsError:
            return Reply.LOST
        except OSError:
            return Reply.FAILED
        finally:
            draft.unlink(missing_ok=True)
        return Reply.WON

    def get(self, key: str) -> bytes | None:
        """Read a file; ``None`` when there is none."""
        with _explained():
            try:
                return (self.root / key).read_bytes()
            except FileNotFoundError:
                return None

    def stream(self, key: str) -> Iterator[bytes]:
        """Read a file piece by piece."""
        with _explained():
            try:
                source = (self.root / key).open("rb")
            except FileNotFoundError:
                raise LakeError("store.no_object", "there is no such object") from None
            with source:
                while piece := source.read(_STREAM_BYTES):
                    yield piece

    def stat(self, key: str) -> Stored | None:
        """Return one file; ``None`` when there is none."""
        with _explained():
            try:
                return _stored(key, self.root / key)
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[Stored]:
        """List the files below a prefix, in the order of their keys."""
        with _explained():
            # Only the folder that the prefix names is walked: a lake may have very many files.
            folder = self.root / prefix.rpartition("/")[0]
            files = sorted(
                (file.relative_to(self.root).as_posix(), file) for file in folder.rglob("*") if file.is_file()
            )
            for key, file in files:
                if key.startswith(prefix):
                    yield _stored(key, file)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files, and the folders that are empty then."""
        with _explained():
            for key in keys:
                (self.root / key).unlink(missing_ok=True)
                self._tidy((self.root / key).parent)

    def _tidy(self, folder: Path) -> None:
        while folder != self.root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _write(self, key: str, pieces: Iterator[bytes]) -> None:
        target = self.root / key
        draft = target.with_name(f".{target.name}.draft")
        with _explained():
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as out:
                for piece in pieces:
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            draft.replace(target)


def _stored(key: str, file: Path) -> Stored:
    found = file.stat()
    return Stored(key, found.st_size, f"{found.st_mtime_ns}-{found.st_ino}")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a failure of the disk into one of the node's errors, without a file's name."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            "store.disk",
            "a file of the folder could not be read or written",
            "see that the disk is mounted, has room, and belongs to the node's user",
        ) from error
