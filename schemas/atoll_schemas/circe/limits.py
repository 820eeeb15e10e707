"""Bound hostile input before anything else looks at it: size, depth and number of values."""

from collections.abc import Mapping

from atoll_schemas.circe.errors import InvalidCohort

MOST_BYTES = 8_000_000
MOST_DEPTH = 64
"""Groups within groups, and criteria within criteria."""
MOST_NESTING = 180
"""JSON values within values; a parser within the node stops at 200 of a whole task. Groups take two levels
each, criteria within criteria five."""
MOST_VALUES = 400_000
"""About 25,000 concepts with everything that ATLAS writes beside their numbers."""
MOST_IN_A_LIST = 25_000
MOST_CRITERIA = 2_000
_LISTS = (list, tuple)
_HOLDERS = (dict, list, tuple, Mapping)
_NESTS = frozenset({"Groups", "groups", "CorrelatedCriteria", "correlatedCriteria"})


def check_size(text: str | bytes) -> None:
    """Refuse a text that is too long to read."""
    if len(text) > MOST_BYTES:
        raise InvalidCohort("$", f"the expression is longer than {MOST_BYTES} bytes")


def check_extent(value: object) -> None:
    """Refuse an expression that is nested too deep or holds too many values. Iterative, so it is safe."""
    stack: list[tuple[object, int, int]] = [(value, 1, 0)]
    seen = 1
    while stack:
        item, nesting, groups = stack.pop()
        seen += len(item) if isinstance(item, _HOLDERS) else 0
        if seen > MOST_VALUES:
            raise InvalidCohort("$", f"the expression holds more than {MOST_VALUES} values")
        if nesting > MOST_NESTING or groups > MOST_DEPTH:
            raise InvalidCohort("$", f"groups and criteria are nested deeper than {MOST_DEPTH}")
        if isinstance(item, Mapping):
            stack += [
                (inner, nesting + 1, groups + (key in _NESTS))
                for key, inner in item.items()
                if isinstance(inner, _HOLDERS)
            ]
        elif isinstance(item, _LISTS):
            if len(item) > MOST_IN_A_LIST:
                raise InvalidCohort("$", f"a list holds more than {MOST_IN_A_LIST} values")
            stack += [(inner, nesting + 1, groups) for inner in item if isinstance(inner, _HOLDERS)]
