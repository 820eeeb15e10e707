"""Stand in for identifiers: keyed, site-scoped numbers and date shifts (HMAC-SHA-256, RFC 2104).

A pseudonym is one 64-bit word of ``HMAC(key, site, kind, n div 4)``, the word ``n mod 4``, without its sign
bit: one digest serves four neighbouring numbers, and every number still has its own 63 keyed bits. The
scope is the site, not the dataset: the same person carries one pseudonym in all datasets of a hospital, so
that the ledger recognises a person who stands in two of them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from atoll_node.errors import SettingsError
from atoll_schemas.tables import Field, Table

KEY_BYTES = 32
_BLOCK_BYTES = 64
_WORDS = 4
_POSITIVE = np.uint64(2**63 - 1)


class Kind(StrEnum):
    """What an identifier names. Equal numbers of different kinds have unrelated pseudonyms.

    All rows of events share ``record``, because OMOP's event references (``measurement_event_id``,
    ``cost_event_id``, ``fact_id_1``, …) name a row of whichever table another field says.
    """

    PERSON = "person"
    PROVIDER = "provider"
    CARE_SITE = "care_site"
    LOCATION = "location"
    RECORD = "record"


_PLACES = {kind.value: kind for kind in (Kind.PERSON, Kind.PROVIDER, Kind.CARE_SITE, Kind.LOCATION)}


def kind_of(table: Table, field: Field) -> Kind:
    """Return what the identifier in this field names."""
    if field.person_key:
        return Kind.PERSON
    named = field.foreign_table or (table.name if field.primary_key else None)
    return _PLACES.get(named or "", Kind.RECORD)


class Pseudonyms:
    """The site's key at work. The key is not shown, and cannot be read back."""

    __slots__ = ("_inner", "_outer", "_site")

    def __init__(self, key: bytes, site: str) -> None:
        if len(key) != KEY_BYTES:
            raise SettingsError("keys.pseudonym", f"a pseudonym key is {KEY_BYTES} bytes")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        # RFC 2104: the two padded key blocks are hashed once and copied for every message.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._site = site

    def __repr__(self) -> str:
        return f"Pseudonyms(site={self._site!r})"

    def of(self, kind: Kind, number: int) -> int:
        """Return the pseudonym of one identifier: 0 … 2**63 - 1."""
        block, word = divmod(number, _WORDS)
        digest = self._digests(str(kind), (block,))
        return int.from_bytes(digest[8 * word : 8 * word + 8], "big") & int(_POSITIVE)

    def of_blocks(self, kind: Kind, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the four pseudonyms of each block ``n div 4``, as an array of ``len(blocks)`` × 4."""
        digests = self._digests(str(kind), blocks.tolist())
        words = np.frombuffer(digests, dtype=">u8").reshape(-1, _WORDS).astype(np.uint64)
        return (words & _POSITIVE).astype(np.int64)

    def of_many(self, kind: Kind, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pseudonym of each number, in their order."""
        blocks = numbers >> 2
        begins = np.ones(len(blocks), np.bool_)
        # Keys mostly stand in the order of their making, so that a run of equal blocks is looked at once.
        np.not_equal(blocks[1:], blocks[:-1], out=begins[1:])
        distinct, places = np.unique(blocks[begins], return_inverse=True)
        of_row = places[np.cumsum(begins) - 1]
        found: NDArray[np.int64] = self.of_blocks(kind, distinct)[of_row, numbers & 3]
        return found

    def date_shifts(self, persons: NDArray[np.int64], days: int) -> NDArray[np.int32]:
        """Return the shift of each person (``date_shift``); zeros when dates are not shifted."""
        if not days:
            return np.zeros(len(persons), np.int32)
        digests = np.frombuffer(self._digests("date_shift", persons.tolist()), dtype=">u8").reshape(
            -1, _WORDS
        )
        drawn = (digests[:, 0] % np.uint64(2 * days)).astype(np.int64) - days
        return np.where(drawn < 0, drawn, drawn + 1).astype(np.int32)

    def date_shift(self, person: int, days: int) -> int:
        """Return the person's shift in days: in -days … days, never 0, the same for all of their dates."""
        drawn = int.from_bytes(self._digests("date_shift", (person,))[:8], "big") % (2 * days)
        return drawn - days if drawn < days else drawn - days + 1

    def seals(self, purpose: str, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Return a keyed 63-bit number of each number, of a purpose that no pseudonym has."""
        words = np.frombuffer(self._digests(f"seal|{purpose}", numbers), dtype=">u8")[::_WORDS]
        return (words.astype(np.uint64) & _POSITIVE).astype(np.int64)

    def seal(self, purpose: str, content: str) -> int:
        """Return a keyed 63-bit number that recognises ``content`` and tells nothing of it."""
        digest = self._digest(f"{purpose}|{content}".encode())
        return int.from_bytes(digest[:8], "big") & int(_POSITIVE)

    def _digests(self, purpose: str, numbers: Sequence[int]) -> bytes:
        prefix = self._inner.copy()
        prefix.update(f"atoll|{self._site}|{purpose}|".encode())
        return b"".join(self._chained(prefix, numbers))

    def _chained(self, prefix: "hashlib._Hash", numbers: Sequence[int]) -> Iterable[bytes]:
        for number in numbers:
            inner, outer = prefix.copy(), self._outer.copy()
            inner.update(b"%d" % number)
            outer.update(inner.digest())
            yield outer.digest()

    def _digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"atoll|{self._site}|".encode() + message)
        outer.update(inner.digest())
        return outer.digest()
