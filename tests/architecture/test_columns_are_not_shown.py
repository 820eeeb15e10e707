"""What holds patients' values in arrays has no text form: a log line or an error that shows it shows none."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

import atoll_node.engine
from atoll_node import raw

ARRAYS = ("ndarray", "NDArray")
LEFT_OUT = ("atoll_node.engine.spark",)
"""Needs Spark's client; it holds no columns."""


def holders() -> Iterator[type]:
    """Yield every dataclass of the engine with a field of an array."""
    found = pkgutil.walk_packages(atoll_node.engine.__path__, "atoll_node.engine.")
    for name in (module.name for module in found if not module.name.startswith(LEFT_OUT)):
        for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if kind.__module__ == name and is_dataclass(kind) and _holds_arrays(kind):
                yield kind


def _holds_arrays(kind: type) -> bool:
    types = [str(field.type) for field in fields(kind)]
    return any(array in text for text in types for array in ARRAYS)


HOLDERS = sorted(set(holders()), key=lambda kind: (kind.__module__, kind.__name__))


@pytest.mark.parametrize("kind", HOLDERS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_holder_of_columns_is_not_printed(kind: type) -> None:
    shown = repr(kind.__new__(kind))
    assert shown.startswith("<")
    assert not any(f"{field.name}=" in shown for field in fields(kind))


def test_the_holders_are_found() -> None:
    names = {kind.__name__ for kind in HOLDERS}
    assert {"Frame", "Members", "People", "Picked", "Dated", "Records", "Periods", "Persons"} <= names
    assert issubclass(raw.RawContributions, raw.Unserialisable)
