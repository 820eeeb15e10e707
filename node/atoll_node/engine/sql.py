"""Build SQL from checked pieces: quoted identifiers and bound parameters, no text from outside."""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Statement:
    """One statement with its parameters; the parameters never become text."""

    text: str
    parameters: dict[str, Any] = field(default_factory=dict, repr=False)


class Binder:
    """Collects the parameters of one statement and names what is nested in it."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self._names = 0

    def bind(self, value: Any) -> str:
        """Return a placeholder, cast to the type of the value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}{_cast(value)}"

    def members(self, values: tuple[Any, ...]) -> str:
        """Return ``($p0, $p1)`` for ``IN``; a long list becomes one parameter."""
        if len(values) <= _MOST_PLACEHOLDERS:
            return "(" + ", ".join(self.bind(value) for value in values) + ")"
        name = f"p{len(self.parameters)}"
        self.parameters[name] = list(values)
        return f"(SELECT unnest(${name}{_cast(values[0])}[]))"

    def name(self, stem: str) -> str:
        """Return a new name for a nested table."""
        self._names += 1
        return quoted(f"{stem}_{self._names}")

    def statement(self, text: str) -> Statement:
        """Close the statement."""
        return Statement(text, dict(self.parameters))


_MOST_PLACEHOLDERS = 64


def _cast(value: Any) -> str:
    if isinstance(value, bool):
        return "::BOOLEAN"
    if isinstance(value, int):
        return "::BIGINT"
    if isinstance(value, float):
        return "::DOUBLE"
    return "::DATE" if isinstance(value, date) else "::VARCHAR"


def quoted(name: str) -> str:
    """Return a quoted identifier. Raises ``ValueError`` for a name that no table or field can have."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError("not an identifier")
    return f'"{name}"'


def days_between(start: str, end: str) -> str:
    """Return the days from one date to another; the cast tells other dialects that days are meant."""
    return f"({end} - {start})::BIGINT"


def path_literal(path: str) -> str:
    """Return a path of the release as a string literal (view definitions take no parameters)."""
    if "\x00" in path:
        raise ValueError("not a path")
    return "'" + path.replace("'", "''") + "'"
