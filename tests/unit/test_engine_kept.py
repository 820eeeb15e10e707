"""What was read of a release is read once, and never takes more memory than it may."""

from dataclasses import dataclass

import numpy as np

from atoll_node.engine.kept import Kept, bytes_of


@dataclass(frozen=True)
class Column:
    values: np.ndarray
    name: str


def made(log, name, size):
    def make():
        log.append(name)
        return np.zeros(size, dtype=np.int8)

    return make


def test_what_is_kept_is_made_once():
    log = []
    kept = Kept(100)
    for _ in range(3):
        assert len(kept.get("a", made(log, "a", 60))) == 60
    assert log == ["a"]


def test_the_longest_unused_goes_first():
    log = []
    kept = Kept(100)
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(name, made(log, name, 40))
    assert log == ["a", "b", "c", "b"]
    assert kept.size == 80


def test_what_is_larger_than_the_bound_is_made_each_time_and_pushes_nothing_out():
    log = []
    kept = Kept(100)
    kept.get("a", made(log, "a", 40))
    for _ in range(2):
        assert len(kept.get("large", made(log, "large", 101))) == 101
    kept.get("a", made(log, "a", 40))
    assert log == ["a", "large", "large"]


def test_arrays_are_counted_wherever_they_lie():
    column = Column(np.zeros(10, dtype=np.int64), "ten")
    assert bytes_of(column) == 80
    assert bytes_of((column, {"more": column, "none": None})) == 160
