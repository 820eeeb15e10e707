"""Keep every record that was not taken, whole, where only the hospital can read it."""

import json
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from atoll_node.sources.defects import REASONS
from atoll_node.staging import Quarantined

LISTED = 50_000
"""So many quarantined records of one table are listed in memory; the folder has all of them."""


class QuarantineLog:
    """Writes ``<table>.jsonl`` below the batch's folder (0700; files 0600)."""

    def __init__(self, folder: Path, table: str) -> None:
        self.table = table
        self.count = 0
        self.listed: list[Quarantined] = []
        self._file = folder / f"{table}.jsonl"
        self._open: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.close()

    def restart(self) -> None:
        """Forget what was written: the careful reading follows the fast one."""
        self.count = 0
        self.listed.clear()
        if self._open is not None:
            self._open.close()
            self._open = None
        self._file.unlink(missing_ok=True)

    def add(
        self, file: str, record: int, field: str | None, code: str, content: str | Mapping[str, str | None]
    ) -> None:
        """Keep one record: its text, or its columns with their values."""
        found = Quarantined(file, record, field, REASONS[code], code)
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append(found)
        line = {"file": file, "record": record, "field": field, "code": code, "reason": found.reason}
        kind = "text" if isinstance(content, str) else "values"
        self._stream().write(json.dumps({**line, kind: content}, ensure_ascii=True) + "\n")

    def _stream(self) -> TextIO:
        if self._open is None:
            make_private(self._file.parent)
            handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.fchmod(handle, 0o600)
            self._open = os.fdopen(handle, "w", encoding="ascii")
        return self._open


def kept_in(folder: Path) -> tuple[Quarantined, ...]:
    """Return what an earlier reading put into a batch's folder, at most ``LISTED`` records of a table."""
    found: list[Quarantined] = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="ascii") as lines:
            for line in islice(lines, LISTED):
                entry = json.loads(line)
                found.append(
                    Quarantined(
                        entry["file"], entry["record"], entry["field"], entry["reason"], entry["code"]
                    )
                )
    return tuple(found)


def make_private(folder: Path) -> None:
    """Make a folder and its two parents below the quarantine readable by the owner alone."""
    for place in (folder.parent.parent, folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
