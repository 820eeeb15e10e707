"""Take a person's records out of quarantine, where they lie as the hospital wrote them."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_SEPARATORS = re.compile(r'[,;\t|"\r\n]+')


def purge(folder: Path, identifiers: Iterable[str]) -> int:
    """Remove every kept record that holds one of the identifiers; return how many there were.

    A record of sound structure is judged by its fields, a broken one by the parts of its text. When in doubt
    a record goes: its source still has it.
    """
    wanted = frozenset(identifiers)
    return sum(_purged(file, wanted) for file in sorted(folder.rglob("*.jsonl")))


def _purged(file: Path, wanted: frozenset[str]) -> int:
    removed = 0
    draft = file.with_suffix(".draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with file.open(encoding="ascii") as lines, os.fdopen(handle, "w", encoding="ascii") as out:
        for line in lines:
            if _is_about(json.loads(line), wanted):
                removed += 1
            else:
                out.write(line)
        out.flush()
        os.fsync(out.fileno())
    if removed:
        draft.replace(file)
    else:
        draft.unlink()
    return removed


def _is_about(entry: dict[str, Any], wanted: frozenset[str]) -> bool:
    values = entry.get("values")
    if values is None:
        return not wanted.isdisjoint(part.strip() for part in _SEPARATORS.split(str(entry.get("text", ""))))
    person = {str(value).strip() for name, value in values.items() if name.lower() == "person_id"}
    held = person or {str(value).strip() for value in values.values() if value is not None}
    return not wanted.isdisjoint(held)
