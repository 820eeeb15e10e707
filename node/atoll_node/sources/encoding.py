"""Find out how a CSV file's bytes spell text, and rewrite it as UTF-8 where they do it otherwise."""

import codecs
import gzip
import io
from pathlib import Path
from typing import BinaryIO, cast

from atoll_node.sources.files import SourceFile

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-1", "iso-8859-15")
"""The names that a mapping may declare."""
_SAMPLE = 1 << 16
_CHUNK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDEFINED_IN_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


def opened(file: SourceFile) -> BinaryIO:
    """Open a CSV file's bytes, unpacked."""
    if file.form == "csv.gz":
        return cast(BinaryIO, gzip.open(file.path, "rb"))
    return file.path.open("rb")


def first_guess(file: SourceFile) -> str:
    """Return the encoding that the first bytes announce; UTF-8 unless they speak against it."""
    with opened(file) as stream:
        sample = stream.read(_SAMPLE)
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding
    if sample[1::2].count(0) > len(sample) // 4:
        return "utf-16-le"
    if sample[0::2].count(0) > len(sample) // 4:
        return "utf-16-be"
    return "utf-8"


def detected(file: SourceFile) -> str:
    """Read the whole file to decide between UTF-8 and the one-byte encodings.

    A file that is UTF-8 but for some damaged bytes stays UTF-8: its damaged records go to quarantine.
    """
    guess = first_guess(file)
    if guess != "utf-8":
        return guess
    valid, invalid, undefined = _counted(file)
    if invalid == 0 or valid > invalid:
        return "utf-8"
    return "iso-8859-1" if undefined else "windows-1252"


def _counted(file: SourceFile) -> tuple[int, int, bool]:
    """Count the characters beyond ASCII that decode as UTF-8, and the bytes that do not."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    valid = invalid = 0
    undefined = False
    with opened(file) as stream:
        while chunk := stream.read(_CHUNK):
            undefined = undefined or not _UNDEFINED_IN_1252.isdisjoint(chunk)
            text = decoder.decode(chunk)
            if text.isascii():
                continue
            beyond = [character for character in text if character > "\x7f"]
            broken = sum("\udc80" <= character <= "\udcff" for character in beyond)
            invalid += broken
            valid += len(beyond) - broken
    return valid, invalid, undefined


def header_text(file: SourceFile, encoding: str) -> str:
    """Return the beginning of the file as text, for its header and separator."""
    with opened(file) as stream:
        raw = stream.read(_SAMPLE)
    decoder = codecs.getincrementaldecoder(_name(encoding))(errors="replace")
    return decoder.decode(raw).lstrip("\ufeff")


def is_utf8(encoding: str) -> bool:
    """Whether DuckDB can read the file as it is."""
    return _name(encoding) in {"utf-8", "utf-8-sig"}


def as_utf8(file: SourceFile, encoding: str, target: Path) -> Path:
    """Write the file's text as UTF-8 into ``target``. Raises ``UnicodeError`` at bytes that are no text."""
    known = _name(encoding)
    with (
        io.TextIOWrapper(opened(file), encoding=known, newline="", errors="strict") as source,
        target.open("w", encoding="utf-8", newline="") as out,
    ):
        while chunk := source.read(_CHUNK):
            out.write(chunk)
    return target


def reader(file: SourceFile, encoding: str) -> io.TextIOWrapper:
    """Open the file as text; line ends stay as they are, broken bytes become lone surrogates."""
    known = _name(encoding)
    errors = "surrogateescape" if known.startswith("utf-8") else "replace"
    return io.TextIOWrapper(opened(file), encoding=known, newline="", errors=errors)


def _name(encoding: str) -> str:
    return "utf-8-sig" if encoding == "utf-8" else encoding
