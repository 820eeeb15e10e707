"""Stand in for identifiers: keyed, site-scoped numbers (AES-256, FIPS 197) and date shifts (HMAC-SHA-256).

A pseudonym is the first 64 bits, without the sign, of one block that AES-256 encrypts: the number, under a
key that HMAC-SHA-256 (RFC 2104) derives from the site's key for this site and kind. A block cipher under a
secret key is a pseudorandom function of single blocks, of which any bits may be taken. The scope is the site,
not the dataset: the same person carries one pseudonym in all datasets of a hospital, so that the ledger
recognises a person who stands in two of them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from atoll_node.errors import SettingsError
from atoll_schemas.tables import Field, Table

KEY_BYTES = 32
_HMAC_BLOCK_BYTES = 64
_WORDS = 4
"""64-bit words of a digest."""
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

    __slots__ = ("_ciphers", "_inner", "_outer", "_site")

    def __init__(self, key: bytes, site: str) -> None:
        if len(key) != KEY_BYTES:
            raise SettingsError("keys.pseudonym", f"a pseudonym key is {KEY_BYTES} bytes")
        block = key.ljust(_HMAC_BLOCK_BYTES, b"\0")
        # RFC 2104: the two padded key blocks are hashed once and copied for every message.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._site = site
        # Each block is a message of its own, of one block: nothing is chained, and nothing is deciphered.
        self._ciphers = {
            kind: Cipher(AES(self._digest(f"pseudonym|{kind}".encode())), ECB()) for kind in Kind
        }

    def __repr__(self) -> str:
        return f"Pseudonyms(site={self._site!r})"

    def of(self, kind: Kind, number: int) -> int:
        """Return the pseudonym of one identifier: 0 … 2**63 - 1."""
        return int(self.of_many(kind, np.array([number], np.int64))[0])

    def of_many(self, kind: Kind, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pseudonym of each number, in their order."""
        blocks = np.zeros((len(numbers), 2), dtype=">i8")
        blocks[:, 1] = numbers
        made = self._ciphers[kind].encryptor().update(blocks.tobytes())
        words = np.frombuffer(made, dtype=">u8")[::2].astype(np.uint64)
        return (words & _POSITIVE).astype(np.int64)

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
