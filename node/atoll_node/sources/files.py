"""Find a dataset's files and digest their content."""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atoll_node.errors import SourceError

Form = Literal["csv", "csv.gz", "parquet"]
_FORMS: tuple[tuple[str, Form], ...] = (
    (".csv.gz", "csv.gz"),
    (".tsv.gz", "csv.gz"),
    (".txt.gz", "csv.gz"),
    (".csv", "csv"),
    (".tsv", "csv"),
    (".txt", "csv"),
    (".parquet", "parquet"),
)
_CHUNK = 1 << 20
_PACKED_CHUNK = 1 << 16
"""Small, because a packed byte may hold a thousand."""
_GZIP = 31
"""zlib's window size for gzip members."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a table. ``label`` is its path below the dataset, for the quarantine report alone."""

    path: Path
    label: str
    form: Form
    ordinal: int
    """1-based place among the table's files: what an exception may say."""
    size: int

    def __repr__(self) -> str:
        return f"<SourceFile {self.ordinal}: {self.form}>"


@dataclass(frozen=True)
class Digested:
    """What one streaming pass over a file's bytes found."""

    digest: str
    has_nul: bool
    """Whether the text holds NUL; every UTF-16 text does."""


def form_of(path: Path) -> tuple[str, Form] | None:
    """Return the file's stem in lower case and its form, or ``None`` when it is no source file."""
    lower = path.name.lower()
    for ending, form in _FORMS:
        if lower.endswith(ending):
            return lower[: -len(ending)], form
    return None


def source_file(path: Path, root: Path, ordinal: int) -> SourceFile:
    """Describe one file. Raises ``SourceError`` when its form is unknown."""
    found = form_of(path)
    if found is None:
        raise SourceError(
            "source.form", f"file {ordinal} is neither CSV, gzipped CSV nor Parquet", "rename or convert it"
        )
    return SourceFile(path, str(path.relative_to(root)), found[1], ordinal, path.stat().st_size)


def digested(file: SourceFile) -> Digested:
    """Digest a file's bytes, look for NUL bytes in text on the way, and see that an archive is whole.

    DuckDB reads a gzip file that was cut off without a word. Raises ``SourceError`` for such a one.
    """
    digest = hashlib.sha256()
    unpacked = _Unpacked() if file.form == "csv.gz" else None
    has_nul = False
    with file.path.open("rb") as stream:
        while chunk := stream.read(_CHUNK if unpacked is None else _PACKED_CHUNK):
            digest.update(chunk)
            if unpacked is not None:
                unpacked.take(chunk, file)
            elif file.form == "csv":
                has_nul = has_nul or b"\0" in chunk
    if unpacked is not None:
        if not unpacked.whole:
            raise unreadable(file)
        has_nul = unpacked.has_nul
    return Digested(digest.hexdigest(), has_nul)


class _Unpacked:
    """Unpacks gzip members as they stream by, and keeps nothing of them."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.has_nul = False

    @property
    def whole(self) -> bool:
        """Whether the last member ended with its checksum."""
        return self._member.eof

    def take(self, chunk: bytes, file: SourceFile) -> None:
        """Unpack some bytes. Raises ``SourceError`` when they are damaged."""
        try:
            while chunk:
                if self._member.eof:
                    chunk = chunk.lstrip(b"\0")
                    self._member = zlib.decompressobj(_GZIP) if chunk else self._member
                    if not chunk:
                        return
                text = self._member.decompress(chunk)
                self.has_nul = self.has_nul or b"\0" in text
                chunk = self._member.unused_data
        except zlib.error:
            raise unreadable(file) from None


def unreadable(file: SourceFile) -> SourceError:
    """Return the error for a file that cannot be unpacked or decoded at all."""
    return SourceError(
        "source.unreadable", f"file {file.ordinal} ({file.form}) cannot be read", "export the file again"
    )


def batch_of(parts: Iterable[str]) -> str:
    """Return the batch: a digest over the digests of content, mapping and settings."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\n")
    return "sha256:" + digest.hexdigest()
