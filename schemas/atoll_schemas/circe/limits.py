"""Bound hostile input before anything else looks at it: size, depth and number of values."""

from collections.abc import Mapping

from atoll_schemas.circe.errors import InvalidCohort

MOST_BYTES = 8_000_000
MOST_DEPTH = 64
"""Groups within groups."""
MOST_NESTING = 5 * MOST_DEPTH
"""JSON values within values: a group, its list and its criteria take up to four levels."""
MOST_VALUES = 1_000_000
MOST_CRITERIA = 2_000


def check_size(text: str | bytes) -> None:
    """Refuse a text that is too long to read."""
    if len(text) > MOST_BYTES:
        raise InvalidCohort("$", f"the expression is longer than {MOST_BYTES} bytes")


def check_extent(value: object) -> None:
    """Refuse an expression that is nested too deep or holds too many values. Iterative, so it is safe."""
    stack: list[tuple[object, int, int]] = [(value, 1, 0)]
    seen = 0
    while stack:
        item, nesting, groups = stack.pop()
        seen += 1
        if seen + len(stack) > MOST_VALUES:
            raise InvalidCohort("$", f"the expression holds more than {MOST_VALUES} values")
        if nesting > MOST_NESTING or groups > MOST_DEPTH:
            raise InvalidCohort("$", f"groups are nested deeper than {MOST_DEPTH}")
        if isinstance(item, Mapping):
            stack.extend(
                (inner, nesting + 1, groups + (key in ("Groups", "groups"))) for key, inner in item.items()
            )
        elif isinstance(item, (list, tuple)):
            stack.extend((inner, nesting + 1, groups) for inner in item)
