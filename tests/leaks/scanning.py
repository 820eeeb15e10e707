"""Look for planted tokens in bytes and in columns, in every rendering that software commonly makes."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.leaks.planted import Token, Value


def renderings(value: Value) -> frozenset[bytes]:
    """Return how a value may look in a text or a file."""
    plain = set(_texts(value))
    found = {text.encode() for text in plain}
    for text in plain:
        content = text.encode()
        found |= {_unpadded(content, skip) for skip in range(3)}
        found |= {content.hex().encode(), content.hex().upper().encode()}
        found.add(hashlib.sha256(content).hexdigest().encode())
    if isinstance(value, int):
        found |= {value.to_bytes(8, "little"), value.to_bytes(8, "big")} if value > 2**40 else set()
    return frozenset(found)


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, datetime):
        yield from (value.isoformat(), value.isoformat(" "))
        yield from _texts(value.date())
    elif isinstance(value, date):
        for form in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d-%b-%Y"):
            yield value.strftime(form)
    elif isinstance(value, str):
        yield from (value, value.lower(), value.upper(), value.replace(" ", "_"), value.replace(" ", "%20"))
        yield value[::-1]
        yield from (part for part in value.split() if len(part) >= 8)
    elif isinstance(value, float):
        yield from (repr(value), repr(value).replace(".", ","))
    else:
        yield from (str(value), f"{value:x}", f"{value:,}")


def _unpadded(content: bytes, skip: int) -> bytes:
    """Return the part of a base64 text that is the same wherever the content stands in a longer one."""
    whole = base64.b64encode(b"\0" * skip + content).rstrip(b"=")
    first = -(-skip * 8 // 6)
    return whole[first:] if (len(content) + skip) % 3 == 0 else whole[first:-1]


@dataclass(frozen=True)
class Found:
    """One token where it must not be."""

    channel: str
    place: str


class Scanner:
    """Looks for tokens of one kind of channel."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._needles = [(token, renderings(token.value)) for token in tokens]
        self._values: dict[str, str] = {}
        for token, _ in self._needles:
            for text in _texts(token.value):
                self._values[text] = token.place

    def in_bytes(self, channel: str, content: bytes) -> list[Found]:
        """Return the tokens that the bytes hold, in any rendering."""
        return [
            Found(channel, token.place)
            for token, needles in self._needles
            if any(needle in content for needle in needles)
        ]

    def in_values(self, channel: str, values: Iterable[Any]) -> list[Found]:
        """Return the tokens that are a value of a column, or a part of its text."""
        distinct = {str(value) for value in values if value is not None}
        whole = [Found(channel, self._values[text]) for text in distinct & self._values.keys()]
        words = "\n".join(sorted(distinct)).encode()
        longer = [
            Found(channel, token.place)
            for token, needles in self._needles
            if isinstance(token.value, str) and any(needle in words for needle in needles)
        ]
        return list(dict.fromkeys((*whole, *longer)))


def columns_of(file: Path) -> Iterator[tuple[str, list[Any]]]:
    """Return every column of a Parquet file, and the smallest and largest values of its statistics."""
    parquet = pq.ParquetFile(file)
    table = parquet.read()
    for name in table.column_names:
        column = table.column(name)
        if isinstance(column.type, pa.TimestampType):
            moments = [value for value in column.to_pylist() if value is not None]
            yield name, [*moments, *(moment.date() for moment in moments)]
        else:
            yield name, column.to_pylist()
    for group in range(parquet.metadata.num_row_groups):
        for place in range(parquet.metadata.num_columns):
            chunk = parquet.metadata.row_group(group).column(place)
            if chunk.statistics is not None and chunk.statistics.has_min_max:
                yield chunk.path_in_schema, [chunk.statistics.min, chunk.statistics.max]
