"""Write the node's log: one line an event, to stderr and ``home/logs``, and never a value of a patient.

First line of defence: code logs constant texts, with facts as named fields. Second: the formatter writes
only fields of a closed list whose values look like what they should be, never the arguments of a text,
never the message of an exception, and of other people's libraries only that something was said.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

OURS = "atoll_node"
WITHHELD = "withheld"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,79}")
_HUB = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,200}")
_TEXT = re.compile(r"[A-Za-z0-9 .,;:'()=_-]{1,200}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")
FIELDS: Mapping[str, re.Pattern[str] | type] = {
    "task": _NAME,
    "query": _NAME,
    "permit": _NAME,
    "project": _NAME,
    "dataset": _NAME,
    "release": _NAME,
    "site": _NAME,
    "table": _NAME,
    "stage": _NAME,
    "code": _NAME,
    "error": _NAME,
    "mail": _NAME,
    "hub": _HUB,
    "fence": int,
    "attempt": int,
    "status": int,
    "seconds": float,
    "milliseconds": int,
    "replayed": bool,
}
"""Every field that a line may carry, and what its value must look like."""
_MAX_BYTES = 5_000_000
_KEPT_FILES = 5


class OneLine(logging.Formatter):
    """Make one JSON line of a record: time, level, logger, text, listed fields, and where an error arose."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": _text(record),
        }
        line |= {name: _checked(name, record.__dict__[name]) for name in FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["where"] = _where(record)
        return json.dumps(line, ensure_ascii=True)


def set_up_logs(folder: Path | None, level: str) -> None:
    """Send the node's records to stderr and, given a folder, to its rotating ``node.log``."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(
                folder / "node.log", maxBytes=_MAX_BYTES, backupCount=_KEPT_FILES, encoding="utf-8"
            )
        )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(OneLine())
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())


def _text(record: logging.LogRecord) -> str:
    """Return the constant text without its arguments; texts of other libraries are not repeated."""
    ours = record.name == OURS or record.name.startswith(OURS + ".")
    if not ours or not isinstance(record.msg, str):
        return WITHHELD
    return record.msg if _TEXT.fullmatch(record.msg) or "%" in record.msg else WITHHELD


def _checked(name: str, value: object) -> object:
    rule = FIELDS[name]
    if isinstance(rule, type):
        fits = isinstance(value, rule) or (rule is float and isinstance(value, int))
        return value if fits else WITHHELD
    text = str(value)
    return text if rule.fullmatch(text) and not _TOKEN.search(text) else WITHHELD


def _where(record: logging.LogRecord) -> str:
    frames = traceback.extract_tb(record.exc_info[2]) if record.exc_info else []
    return " < ".join(f"{Path(frame.filename).stem}:{frame.lineno}" for frame in reversed(frames[-5:]))
