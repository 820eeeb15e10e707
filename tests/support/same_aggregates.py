"""Compare the raw aggregates of two engines: counts exactly, other numbers to the last digits."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from atoll_node.raw import RawAggregate, RawContributions


def plain(value: Any) -> Any:
    """Return a raw aggregate's content as plain values; only tests may look."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, RawContributions):
        return _by_person(value)
    if is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **shown}
    if hasattr(value, "wire"):
        return value.wire()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _by_person(value: RawContributions) -> dict[str, Any]:
    """Return contributions in the order of the persons: an engine may hand them over in any order."""
    arrays = [*value.columns, *(array for array in (value.days, value.died) if array is not None)]
    rows = zip(*[value.persons.tolist(), *[array.tolist() for array in arrays]], strict=True)
    return {
        "type": "RawContributions",
        "rows": [
            ["none" if math.isnan(part) else float(part) for part in row] for row in sorted(rows, key=first)
        ],
        "steps": [sorted(step.tolist()) for step in value.steps],
    }


def _shown(part: float) -> float | str:
    return "none" if math.isnan(part) else float(part)


def first(row: tuple[Any, ...]) -> Any:
    """Return what a row is sorted by."""
    return row[0]


def differences(left: RawAggregate, right: RawAggregate, tolerance: float = 1e-9) -> list[str]:
    """Return where two aggregates differ; the time that they took is no difference."""
    one, two = plain(left), plain(right)
    for side in (one, two):
        del side["engine_milliseconds"]
    return list(_differences("", one, two, tolerance))


def _differences(place: str, left: Any, right: Any, tolerance: float) -> list[str]:
    if isinstance(left, float) and isinstance(right, float):
        same = math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
        return [] if same else [f"{place}: {left!r} is not {right!r}"]
    if type(left) is not type(right):
        return [f"{place}: {left!r} is not {right!r}"]
    if isinstance(left, dict):
        if list(left) != list(right):
            return [f"{place}: other names"]
        return [
            line for key in left for line in _differences(f"{place}.{key}", left[key], right[key], tolerance)
        ]
    if isinstance(left, list):
        if len(left) != len(right):
            return [f"{place}: {left!r} is not {right!r}"]
        pairs = enumerate(zip(left, right, strict=True))
        return [line for n, (a, b) in pairs for line in _differences(f"{place}[{n}]", a, b, tolerance)]
    return [] if left == right else [f"{place}: {left!r} is not {right!r}"]
