"""Read CSV text record by record, so that one broken record does not take its neighbours with it."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from atoll_node.sources.defects import ENCODING, NUL, QUOTES, RAGGED

_UNDECODABLE = re.compile("[\udc80-\udcff\ufffd]")
DELIMITERS = (",", ";", "\t", "|")
LONGEST = 200
"""A quoted field may run over so many lines; a quote open for longer counts as never closed."""


@dataclass(frozen=True)
class Record:
    """One record: its fields, or the defect of its structure and its text."""

    number: int
    fields: tuple[str, ...] | None
    defect: str | None = None
    text: str = ""


def header_of(beginning: str, delimiter: str) -> tuple[str, ...]:
    """Return the column names of the first line that is not blank, trimmed; empty when there is none."""
    for fields in csv.reader(_lines(beginning), delimiter=delimiter):
        if fields:
            return tuple(field.strip() for field in fields)
    return ()


def sniffed(beginning: str, known: Iterable[str]) -> str:
    """Return the separator whose header names the most known columns; then the one that splits most."""
    names = {name.lower() for name in known}

    def fitness(delimiter: str) -> tuple[int, int]:
        header = [field.lower() for field in header_of(beginning, delimiter)]
        return sum(field in names for field in header), len(header)

    return max(DELIMITERS, key=fitness)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").splitlines(keepends=True)


def records(lines: Iterable[str], delimiter: str, width: int) -> Iterator[Record]:
    """Yield the records after the header line. Blank lines are no records.

    A record that is broken is yielded with its defect, and reading resumes at the next line.
    """
    source = _Lines(lines)
    _skip_header(source, delimiter)
    number = 0
    while (line := source.take()) is not None:
        if not line.strip("\r\n"):
            continue
        number += 1
        yield _record(number, line, source, delimiter, width)


class _Lines:
    """Lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._source = iter(lines)
        self._ahead: list[str] = []

    def take(self) -> str | None:
        if self._ahead:
            return self._ahead.pop(0)
        return next(self._source, None)

    def peek(self, count: int) -> list[str]:
        self._ahead.extend(islice(self._source, max(0, count - len(self._ahead))))
        return self._ahead[:count]

    def drop(self, count: int) -> None:
        del self._ahead[:count]


def _skip_header(source: _Lines, delimiter: str) -> None:
    while (line := source.take()) is not None:
        if line.strip("\r\n"):
            _completed(line, source, delimiter)
            return


def _record(number: int, line: str, source: _Lines, delimiter: str, width: int) -> Record:
    if '"' not in line:
        fields: list[str] | None = line.rstrip("\r\n").split(delimiter)
        text = line
    else:
        text, fields = _completed(line, source, delimiter)
    defect = _defect(text, fields, width)
    if defect is not None or fields is None:
        return Record(number, None, defect, text.rstrip("\r\n"))
    return Record(number, tuple(fields[:width]))


def _defect(text: str, fields: list[str] | None, width: int) -> str | None:
    if "\0" in text:
        return NUL
    if not text.isascii() and _UNDECODABLE.search(text):
        return ENCODING
    if fields is None:
        return QUOTES
    # A separator at the end of each line is a habit of some exports, not a further field.
    ragged = len(fields) != width and not (len(fields) == width + 1 and fields[-1] == "")
    return RAGGED if ragged else None


def _completed(line: str, source: _Lines, delimiter: str) -> tuple[str, list[str] | None]:
    """Parse a line, with as many of the following as an open quote needs; fields are ``None`` if broken."""
    fields = _parsed([line], delimiter)
    if fields is not None:
        return line, fields
    following: list[str] = []
    for count in range(1, LONGEST):
        following = source.peek(count)
        if len(following) < count:
            break
        if '"' not in following[-1]:
            continue
        fields = _parsed([line, *following], delimiter)
        if fields is not None:
            source.drop(count)
            return line + "".join(following), fields
    return line, None


def _parsed(lines: list[str], delimiter: str) -> list[str] | None:
    try:
        parsed = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return parsed[0] if len(parsed) == 1 else None
