"""Tell how far the reading of a dataset has come."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceProgress:
    """One event: a table, the rows and bytes so far. No file name, no value."""

    table: str
    rows: int
    """Rows known to be read; grows file by file."""
    rows_per_second: float
    bytes_read: int
    bytes_total: int | None


Listener = Callable[[SourceProgress], None]


class TableProgress:
    """Adds up the files of one table and reports each step."""

    def __init__(self, table: str, bytes_total: int | None, listener: Listener) -> None:
        self._table = table
        self._total = bytes_total
        self._listener = listener
        self._started = time.monotonic()
        self._rows = 0
        self._bytes = 0

    def partly(self, share: float, size: int) -> None:
        """Report that a share (0 to 1) of a file of ``size`` bytes is read."""
        self._report(self._bytes + int(share * size))

    def add(self, rows: int, size: int) -> None:
        """Report that a file is read."""
        self._rows += rows
        self._bytes += size
        self._report(self._bytes)

    def restart(self) -> None:
        """Start again, because the careful reading follows the fast one."""
        self._rows = 0
        self._bytes = 0

    def _report(self, done: int) -> None:
        seconds = max(time.monotonic() - self._started, 1e-6)
        self._listener(SourceProgress(self._table, self._rows, self._rows / seconds, done, self._total))
