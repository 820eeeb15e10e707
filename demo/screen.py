"""Tell the story: on a terminal with live tables, in a pipe as plain text, or as one JSON document."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

Row = Sequence[str]


class Board(Protocol):
    """A table that changes while something runs."""

    def show(self, rows: Iterable[Row]) -> None:
        """Replace the rows."""


class Screen(Protocol):
    """Where the story is told. ``facts`` carry the same figures for machines."""

    def chapter(self, title: str) -> None:
        """Open a chapter."""

    def say(self, text: str) -> None:
        """Say one line."""

    def table(self, title: str, columns: Row, rows: Iterable[Row]) -> None:
        """Show a table."""

    def board(self, title: str, columns: Row) -> AbstractContextManager[Board]:
        """Show a table that changes until the block ends."""

    def facts(self, key: str, value: Any) -> None:
        """Keep a figure for the JSON form."""

    def failed(self, cause: str, fix: str) -> None:
        """Say why the demo stops."""

    def close(self) -> None:
        """End the story."""


class Terminal:
    """Tell it to a person."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0

    def chapter(self, title: str) -> None:
        """Print a numbered heading."""
        self._number += 1
        self._console.print()
        self._console.print(f"[bold cyan]{self._number}. {title}[/]")

    def say(self, text: str) -> None:
        """Print a line; rich markup is understood."""
        self._console.print(f"   {text}")

    def table(self, title: str, columns: Row, rows: Iterable[Row]) -> None:
        """Print a table."""
        self._console.print(_table(title, columns, rows))

    def board(self, title: str, columns: Row) -> AbstractContextManager[Board]:
        """Live on a terminal; in a pipe only the last state is printed."""
        return _LiveBoard(self._console, title, columns)

    def facts(self, key: str, value: Any) -> None:
        """People have read it already."""

    def failed(self, cause: str, fix: str) -> None:
        """Print cause and fix."""
        self._console.print(
            Panel(f"{cause}\n[bold]to mend it:[/] {fix}", title="the demo stops", border_style="red")
        )

    def close(self) -> None:
        """Nothing is left to print."""


class _LiveBoard:
    def __init__(self, console: Console, title: str, columns: Row) -> None:
        self._console = console
        self._title = title
        self._columns = columns
        self._rows: list[Row] = []
        self._live: Live | None = None

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live = Live(
                _table(self._title, self._columns, []), console=self._console, refresh_per_second=12
            )
            self._live.__enter__()
        return self

    def show(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)
        if self._live is not None:
            self._live.update(_table(self._title, self._columns, self._rows))

    def __exit__(self, *exception: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*exception)
        else:
            self._console.print(_table(self._title, self._columns, self._rows))


def _table(title: str, columns: Row, rows: Iterable[Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="italic", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    return table


class Document:
    """Tell it to a program: one JSON object on standard output when the story ends."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}

    def chapter(self, title: str) -> None:
        """Chapters are for people."""

    def say(self, text: str) -> None:
        """Lines are for people."""

    def table(self, title: str, columns: Row, rows: Iterable[Row]) -> None:
        """Tables are for people; their figures come as facts."""

    def board(self, title: str, columns: Row) -> AbstractContextManager[Board]:
        """Boards are for people."""
        del title, columns
        return nullcontext(_Silent())

    def facts(self, key: str, value: Any) -> None:
        """Keep the figure."""
        self._facts[key] = value

    def failed(self, cause: str, fix: str) -> None:
        """Keep cause and fix."""
        self._facts["failed"] = {"cause": cause, "fix": fix}

    def close(self) -> None:
        """Print everything."""
        json.dump(self._facts, sys.stdout, indent=2, sort_keys=False, default=_plain)
        sys.stdout.write("\n")


class _Silent:
    def show(self, rows: Iterable[Row]) -> None:
        """Show nothing."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
