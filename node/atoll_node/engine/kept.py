"""Keep what was read of a release between questions: it never changes. The longest unused goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

Made = TypeVar("Made")


class Kept:
    """Values by what they were made from, at most so many bytes of arrays in all."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Return the bytes that are held."""
        return self._size

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what is held under the key, or make it; what is larger than the bound is not held."""
        if key in self._held:
            self._held.move_to_end(key)
            found: Made = self._held[key][0]
            return found
        made = make()
        size = bytes_of(made)
        if size <= self._most:
            self._held[key] = (made, size)
            self._size += size
            while self._size > self._most:
                self._size -= self._held.popitem(last=False)[1][1]
        return made


def bytes_of(value: Any) -> int:
    """Return the bytes of all arrays in a value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(bytes_of, value.values()))
    if isinstance(value, tuple):
        return sum(map(bytes_of, value))
    if is_dataclass(value):
        return sum(bytes_of(getattr(value, part.name)) for part in fields(value))
    return 0
