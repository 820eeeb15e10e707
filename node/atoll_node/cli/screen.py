"""Show results: tables on a terminal, plain text in a pipe, JSON where asked."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from atoll_node.bootstrap import Node, World, open_node
from atoll_node.home import Home

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="ATOLL_NODE_HOME", help="The node's folder.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_HOME = Path("atoll-node-home")
PIPE_WIDTH = 200


def console(*, errors: bool = False) -> Console:
    """Return a console that is wide in a pipe, so that no line is cut."""
    stream = sys.stderr if errors else sys.stdout
    return Console(stderr=errors, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def world_of(context: typer.Context) -> World:
    """Return the world that the command runs in."""
    found = context.find_object(World)
    if found is None:
        raise RuntimeError("commands run by app() only")
    return found


def node_of(context: typer.Context, home: Path) -> Node:
    """Open the node of ``--home``."""
    return open_node(Home(home.absolute()), world_of(context))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table with a title."""
    table = Table(title=title, title_justify="left", show_edge=False, box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row))
    console().print(table)


def print_lines(*lines: str) -> None:
    """Print plain lines."""
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
