"""Read the hospital's own identifiers of persons, and remember persons who are to stay away.

What is remembered is a keyed number of its own purpose: it recognises a person who comes again, and leads
to no row of any table.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from atoll_node.deidentify.pseudonyms import Pseudonyms
from atoll_node.errors import LakeError, SettingsError
from atoll_node.sources.rules import person_number

PURPOSE = "forgotten"


def read_identifiers(text: str) -> tuple[str, ...]:
    """Return the identifiers of a list, one a line; blank lines and ``#`` lines are skipped."""
    lines = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    found = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not found:
        raise SettingsError(
            "forget.nobody", "the list names nobody", "write one identifier of a person a line"
        )
    return found


def numbers_of(identifiers: Iterable[str]) -> frozenset[int]:
    """Return the numbers that may stand for these persons in a staged batch, whatever its source's form.

    An OMOP source numbers persons itself; of a flat one, the number is a digest of the identifier.
    """
    found = set()
    for identifier in identifiers:
        found.add(person_number(identifier))
        if identifier.removeprefix("-").isdecimal() and -(2**63) <= int(identifier) < 2**63:
            found.add(int(identifier))
    return frozenset(found)


class Forgotten:
    """The seals of persons who were forgotten; every later ingest leaves them out."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def seals(self) -> frozenset[int]:
        """Return them. Raises ``LakeError`` when the file is damaged: then nothing may be ingested."""
        try:
            found = json.loads(self._file.read_text(encoding="ascii"))
            return frozenset(int(seal, 16) for seal in found)
        except FileNotFoundError:
            return frozenset()
        except (ValueError, TypeError, UnicodeDecodeError) as error:
            raise LakeError(
                "forget.list", "the list of forgotten persons is damaged", "restore it from your backup"
            ) from error

    def add(self, numbers: Iterable[int], pseudonyms: Pseudonyms) -> None:
        """Remember persons by the numbers of their staged records."""
        seals = self.seals() | {int(seal) for seal in pseudonyms.seals(PURPOSE, sorted(numbers))}
        draft = self._file.with_name(self._file.name + ".draft")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            json.dump(sorted(f"{seal:016x}" for seal in seals), out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self._file)
