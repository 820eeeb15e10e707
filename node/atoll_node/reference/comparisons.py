"""Compare a value with what criteria ask of it, as circe-be's ``BuilderUtils`` writes the comparison in SQL.

In SQL a comparison with an unknown value is neither true nor false, and a filter keeps what is true. So
``None`` never fits, not even a negated comparison.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from atoll_schemas.circe.parts import DateRange, NumericRange, TextFilter

T = TypeVar("T", date, float)
_TEN_THOUSANDTHS = Decimal("0.0001")


def compared(value: T, op: str, low: T, high: T | None) -> bool:
    """Return what an operator says; both bounds of ``bt`` are included and ``!bt`` is its opposite."""
    top = low if high is None else high
    return {
        "lt": value < low,
        "lte": value <= low,
        "eq": value == low,
        "!eq": value != low,
        "gt": value > low,
        "gte": value >= low,
        "bt": low <= value <= top,
        "!bt": not low <= value <= top,
    }[op]


def date_fits(wanted: DateRange, value: date | None) -> bool:
    """Whether a day lies where it is wanted (``buildDateRangeClause``)."""
    return value is not None and compared(value, wanted.op, wanted.value, wanted.extent)


def whole_fits(wanted: NumericRange, value: float | None) -> bool:
    """Whether a whole number fits; the bounds lose their decimals (``buildNumericRangeClause``, ``%d``)."""
    return value is not None and compared(value, wanted.op, *_bounds(wanted, lambda bound: float(int(bound))))


def decimal_fits(wanted: NumericRange, value: float | None) -> bool:
    """Whether a number fits; the bounds keep four decimals (``buildNumericRangeClause``, ``.4f``)."""
    return value is not None and compared(value, wanted.op, *_bounds(wanted, _rounded))


def _bounds(wanted: NumericRange, written: Callable[[float], float]) -> tuple[float, float | None]:
    return written(wanted.value), None if wanted.extent is None else written(wanted.extent)


def _rounded(bound: float) -> float:
    return float(Decimal(repr(float(bound))).quantize(_TEN_THOUSANDTHS, ROUND_HALF_UP))


def text_fits(wanted: TextFilter, value: str | None) -> bool:
    """Whether a text fits SQL's ``LIKE``: case counts, ``%`` stands for any text and ``_`` for one letter.

    ``startsWith``, ``endsWith`` and ``contains`` leave an end or both ends open; ``!`` is the opposite
    (``buildTextFilterClause``).
    """
    if value is None:
        return False
    kind = wanted.op.removeprefix("!")
    before = "%" if kind in {"endsWith", "contains"} else ""
    after = "%" if kind in {"startsWith", "contains"} else ""
    found = _like(f"{before}{wanted.text}{after}", value)
    return found != wanted.op.startswith("!")


def _like(pattern: str, value: str) -> bool:
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None
