"""Add up floating-point numbers and their squares exactly, per group: neither order nor site changes a sum.

Each number is cut into pieces of a fixed unit; pieces are whole numbers so small that sums of a block of them
are exact in a double, and blocks are added as Python integers.
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

_BLOCK = 2**15
"""Numbers that are worked on at once, so that they stay in the processor's cache."""
_PIECE = 38
"""Bits of a piece: a block's sum stays below 2 ** 53."""
_PIECES = 4
"""Pieces of a number: what lies 152 binary places below the largest is rounded away, number by number."""
_SPLIT = 2.0**27 + 1
_TWO = Fraction(2)


def exact_sums(values: Numbers, groups: Places | None, count: int) -> tuple[Fraction, ...]:
    """Return the sum of finite numbers per group; ``groups`` are below ``count``, ``None`` is one group."""
    exponent = _exponent(values)
    added = _Pieces(count)
    for start in range(0, len(values), _BLOCK):
        # All numbers are below 1 then; a power of two changes no digit.
        block = np.ldexp(values[start : start + _BLOCK], -exponent)
        added.add(block, None if groups is None else groups[start : start + _BLOCK])
    return added.sums(exponent)


def exact_squares(values: Numbers, groups: Places | None, count: int) -> tuple[Fraction, ...]:
    """Return the sum of squares per group: each square and its rounding error (Dekker 1971) are added."""
    exponent = _exponent(values)
    added = _Pieces(count)
    for start in range(0, len(values), _BLOCK):
        block = np.ldexp(values[start : start + _BLOCK], -exponent)
        places = None if groups is None else groups[start : start + _BLOCK]
        square = block * block
        wide = block * _SPLIT
        high = wide - (wide - block)
        low = block - high
        error = ((high * high - square) + 2 * high * low) + low * low
        added.add(square, places)
        added.add(error, places)
    return added.sums(2 * exponent)


def _exponent(values: Numbers) -> int:
    return math.frexp(max(values.max(initial=0.0), -values.min(initial=0.0)))[1]


class _Pieces:
    """Sums per piece and group."""

    def __init__(self, count: int) -> None:
        self._sums = [[0] * count for _ in range(_PIECES)]

    def add(self, rest: Numbers, places: Places | None) -> None:
        """Add numbers below 1; the array is used up."""
        for sums in self._sums:
            rest *= 2.0**_PIECE
            whole = np.rint(rest)
            rest -= whole
            if places is None:
                sums[0] += int(whole.sum())
            else:
                for group, found in enumerate(np.bincount(places, whole, len(sums)).tolist()):
                    sums[group] += int(found)
            if not rest.any():
                break

    def sums(self, exponent: int) -> tuple[Fraction, ...]:
        """Return what was added, times ``2 ** exponent``."""
        units = [_TWO ** (exponent - _PIECE * place) for place in range(1, _PIECES + 1)]
        return tuple(
            sum((part * unit for part, unit in zip(parts, units, strict=True)), start=Fraction(0))
            for parts in zip(*self._sums, strict=True)
        )
