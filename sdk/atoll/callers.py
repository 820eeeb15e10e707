"""Name the line of the researcher's own code that made a value, so that an error can point at it."""

import sys
from pathlib import Path

from atoll.errors import Invalid


def made_at() -> str:
    """Return ``study.py:12``: the innermost line on the way here that is not the SDK's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OURS:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


_OURS = ("atoll", "atoll_schemas", "pydantic")


def invalid(code: str, message: str, next_step: str | None = None, place: str | None = None) -> Invalid:
    """Return an error that names the line of the researcher's code."""
    return Invalid(code, f"{message} (at {place or made_at()})", next_step)
