"""Find a dataset's files and digest their content."""

import hashlib
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
    """Digest a file's bytes and look for NUL bytes on the way (only plain CSV can show them)."""
    digest = hashlib.sha256()
    has_nul = False
    watch = file.form == "csv"
    with file.path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            has_nul = has_nul or (watch and b"\0" in chunk)
    return Digested(digest.hexdigest(), has_nul)


def batch_of(parts: Iterable[str]) -> str:
    """Return the batch: a digest over the digests of content, mapping and settings."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\n")
    return "sha256:" + digest.hexdigest()
