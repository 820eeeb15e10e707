"""Say what was measured, what is to be reached, and whether it is: one line of ``bench/RESULTS.md``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``reached`` is ``None`` where a figure is reported and nothing is asked."""

    work: str
    measured: str
    to_reach: str
    reached: bool | None
    detail: str = ""
    """Where the time goes, or what the figure was measured against."""
