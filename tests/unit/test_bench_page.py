"""The page of measurements says what was reached, what was missed, and on which machine."""

import importlib
import inspect

import pytest

from bench.__main__ import WORKS, machine, page_of
from bench.figure import Figure

REACHED = Figure("a count", "1.02 ×", "≤ 1.15 ×", True)
MISSED = Figure("an ingest", "0.2 ×", "≥ 0.3 ×", False, "reading takes most of it")
REPORTED = Figure("after 1,000 commits", "0.4 s", "reported", None)


def test_a_missed_target_stands_out() -> None:
    page = page_of({"x": (REACHED, MISSED), "y": (REPORTED,)})
    rows = [line for line in page.splitlines() if line.startswith("| a")]
    assert rows == [
        "| a count | 1.02 × | ≤ 1.15 × | reached |",
        "| an ingest | 0.2 × | ≥ 0.3 × | **missed** |",
        "| after 1,000 commits | 0.4 s | reported |  |",
    ]


def test_where_the_time_goes_is_told_below_the_table() -> None:
    page = page_of({"x": (REACHED, MISSED)})
    assert "\n- **an ingest**: reading takes most of it\n" in page
    assert "**a count**" not in page


def test_the_machine_is_named_by_its_cores_and_libraries_and_not_by_its_name() -> None:
    import platform

    said = machine()
    assert "cores" in said
    assert "duckdb" in said
    assert platform.node() not in said


def test_works_that_were_left_out_are_named() -> None:
    some = page_of(dict.fromkeys(WORKS[1:], (REACHED,)))
    assert some.endswith(f"Not measured in this run: {WORKS[0]}.\n")
    assert "Not measured" not in page_of(dict.fromkeys(WORKS, (REACHED,)))


@pytest.mark.parametrize("work", WORKS)
def test_every_work_can_be_measured_with_small_data(work: str) -> None:
    figures = importlib.import_module(f"bench.{work}").figures
    assert list(inspect.signature(figures).parameters) == ["quick"]
