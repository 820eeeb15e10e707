"""Remember which objects of a lake were copied and found equal, so that a copy that was cut off goes on."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atoll_node.errors import LakeError


@dataclass(frozen=True)
class Copied:
    """One object that stands at its new place: what it was made of, and what it is there."""

    name: str
    bytes: int
    sha256: str
    source_mark: str
    target_mark: str


class CopyJournal:
    """One file: a first line with the copy's identity, then a line an object. A half line is no line."""

    def __init__(self, file: Path, new_id: str) -> None:
        self._file = file
        lines = _lines(file)
        self.is_new = not lines
        self.id = new_id if self.is_new else str(lines[0]["copy"])
        self._copied = {line["name"]: Copied(**line) for line in lines[1:]}
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._rewrite()

    def get(self, name: str) -> Copied | None:
        """Return what was noted of an object, if anything."""
        return self._copied.get(name)

    def add(self, copied: Copied) -> None:
        """Note an object; the note outlives the process."""
        self._copied[copied.name] = copied
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(copied)) + "\n")

    def drop(self, name: str) -> None:
        """Forget an object that is gone from both places."""
        if self._copied.pop(name, None) is not None:
            self._rewrite()

    def all(self) -> tuple[Copied, ...]:
        """Return every object, by name."""
        return tuple(self._copied[name] for name in sorted(self._copied))

    def _rewrite(self) -> None:
        new = self._file.with_name(self._file.name + ".new")
        with new.open("w", encoding="utf-8") as out:
            out.write(json.dumps({"copy": self.id}) + "\n")
            out.writelines(json.dumps(asdict(one)) + "\n" for one in self._copied.values())
            out.flush()
            os.fsync(out.fileno())
        new.chmod(0o600)
        new.replace(self._file)


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    whole, _, _ = file.read_text(encoding="utf-8").rpartition("\n")
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise LakeError(
            "store.journal",
            "the record of a copy that was begun is damaged",
            "remove it from state/, and what was copied from the new place, then begin anew",
        ) from error
