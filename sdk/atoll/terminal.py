"""Show tables and progress: with lines and colours on a terminal, as plain text in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from atoll.views import View
from atoll_schemas.protocol import QueryEvent
from atoll_schemas.results import SiteOutcome

_COLOURS = {
    "answered": "green",
    "running": "cyan",
    "waiting": "dim",
    "refused": "red",
    "failed": "red",
    "no permit": "red",
    "late": "yellow",
    "cancelled": "yellow",
}
_STATES = {
    "queued": "waiting",
    "claimed": "running",
    "answered": "answered",
    "refused": "refused",
    "failed": "failed",
    "late": "late",
    "cancelled": "cancelled",
}
_WIDEST = 60


def clean(text: str) -> str:
    """Return text without control characters, so that no label can drive the terminal."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def show(views: Iterable[View]) -> None:
    """Write views to standard output."""
    console = Console()
    for view in views:
        if console.is_terminal:
            _draw(console, view)
        else:
            sys.stdout.write(plain(view))


def _draw(console: Console, view: View) -> None:
    table = Table(title=Text(clean(view.title)), title_justify="left", title_style="bold", header_style="dim")
    for index, name in enumerate(view.header):
        table.add_column(Text(clean(name)), justify="left" if index == 0 else "right", overflow="fold")
    for row in view.rows:
        table.add_row(*(Text(clean(text), style=_COLOURS.get(text, "")) for text in row))
    console.print(table)
    for note in view.notes:
        console.print(Text(clean(note), style="dim"))
    console.print()


def plain(view: View) -> str:
    """Return a view as aligned lines of text."""
    rows = [[clean(text) for text in row] for row in (view.header, *view.rows)]
    widths = [min(_WIDEST, max(len(row[index]) for row in rows)) for index in range(len(view.header))]
    lines = [clean(view.title)]
    lines += ["  " + _aligned(row, widths) for row in rows]
    lines += [f"  {clean(note)}" for note in view.notes]
    return "\n".join(lines) + "\n\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    parts = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
    return "  ".join(parts).rstrip()


@dataclass
class Board:
    """What is known of each site while a query runs."""

    title: str
    states: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, title: str, sites: Iterable[SiteOutcome]) -> "Board":
        """Return the board of a query's sites."""
        return cls(title, {site.site: site.state.replace("_", " ") for site in sites})

    def take(self, event: QueryEvent) -> str | None:
        """Note an event; return the line that tells it, if it is about a site."""
        if event.site is None:
            return None
        state = event.stage if event.kind == "stage" and event.stage else _STATES.get(event.kind, event.kind)
        self.states[event.site] = state
        return f"{clean(event.site)}  {state}" + (f"  {clean(event.detail)}" if event.detail else "")

    def table(self) -> Table:
        """Return one line per site."""
        table = Table(title=Text(clean(self.title)), title_justify="left", show_header=False, box=None)
        table.add_column()
        table.add_column()
        for site, state in self.states.items():
            mark = "✓" if state == "answered" else "·"
            table.add_row(Text(f"{mark} {clean(site)}"), Text(state, style=_COLOURS.get(state, "cyan")))
        return table


def follow(board: Board, events: Iterable[QueryEvent]) -> None:
    """Show progress on standard error until the events end: a live table, or a line an event in a pipe."""
    console = Console(stderr=True)
    if not console.is_terminal:
        for event in events:
            line = board.take(event)
            if line:
                sys.stderr.write(line + "\n")
        return
    with Live(board.table(), console=console, refresh_per_second=8, transient=True) as live:
        for event in events:
            board.take(event)
            live.update(board.table())
