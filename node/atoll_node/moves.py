"""Remember where a lake lay before it was moved, so that older releases are read where they lie now."""

import os
from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from pydantic import TypeAdapter, ValidationError

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.release import Release
from atoll_schemas.contract import Contract


class Move(Contract):
    """A lake that lay below ``before`` lies below ``after`` since then."""

    before: str
    after: str
    at: datetime


_MOVES = TypeAdapter(tuple[Move, ...])


class Moves:
    """The moves of a node's lake, oldest first, in one file beside the releases."""

    def __init__(self, home: Home) -> None:
        self._file = home.moves

    def all(self) -> tuple[Move, ...]:
        """Return every move. Raises ``LakeError`` when the file was damaged."""
        try:
            return _MOVES.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return ()
        except ValidationError as error:
            raise LakeError(
                "store.moves",
                "the record of where the lake lay before is damaged",
                "restore releases/moves.json from your backup",
            ) from error

    def add(self, move: Move) -> None:
        """Keep a move; the same one again changes nothing."""
        moves = self.all()
        if moves and (moves[-1].before, moves[-1].after) == (move.before, move.after):
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(".moves.draft")
        with new.open("wb") as out:
            out.write(_MOVES.dump_json((*moves, move), indent=2))
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._file)


def followed(release: Release, moves: Sequence[Move]) -> Release:
    """Return the release with its tables where they lie now. Its digest does not cover places."""
    tables = tuple(
        table.model_copy(update={"uri": reduce(_moved, moves, table.uri)}) for table in release.tables
    )
    return release.model_copy(update={"tables": tables}) if moves else release


def _moved(uri: str, move: Move) -> str:
    inside = uri.removeprefix(f"{move.before}/")
    return uri if inside == uri else f"{move.after}/{inside}"
