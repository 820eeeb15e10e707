"""Write plans and statements as text that a reader can compare line by line."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

_BREAKS = re.compile(
    r" (?=(?:FROM|WHERE|LEFT JOIN|JOIN|UNION ALL|GROUP BY|HAVING|QUALIFY|AND|OR) )(?!AND \$)(?!AND o\.obs)"
)


def plan_lines(value: Any, indent: int = 0, name: str = "") -> Iterator[str]:
    """Yield a plan as an outline: one line per field that is not at its default."""
    start = "  " * indent + (f"{name}: " if name else "")
    if is_dataclass(value) and not isinstance(value, type):
        if _is_leaf(value):
            yield start + _leaf(value)
            return
        yield start + type(value).__name__
        for part in fields(value):
            inner = getattr(value, part.name)
            if not _is_default(part, inner):
                yield from plan_lines(inner, indent + 1, part.name)
    elif isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        yield start.rstrip()
        for item in value:
            yield from plan_lines(item, indent + 1, "-")
    else:
        yield start + _plain(value)


def _is_leaf(value: Any) -> bool:
    return not any(
        is_dataclass(item) for part in fields(value) for item in _members(getattr(value, part.name))
    )


def _members(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _leaf(value: Any) -> str:
    shown = ((part, getattr(value, part.name)) for part in fields(value))
    stated = [f"{part.name}={_plain(inner)}" for part, inner in shown if not _is_default(part, inner)]
    return f"{type(value).__name__}({', '.join(stated)})"


def _is_default(part: Field[Any], value: Any) -> bool:
    return part.default is not MISSING and part.default == value


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_plain(item) for item in value) + ")"
    return "none" if value is None else str(value)


def sql_lines(text: str) -> str:
    """Break statements before the words that begin a clause."""
    broken = _BREAKS.sub("\n    ", text)
    return "\n".join(line.rstrip() for line in broken.split("\n"))
