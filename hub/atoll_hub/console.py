"""Print for people or for programs, and end with the exit code that a problem asks for."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from atoll_hub.errors import HubError, Unavailable
from atoll_schemas.contract import Contract
from atoll_schemas.problems import ExitCode

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def reported(as_json: bool = False) -> Iterator[None]:
    """Turn a problem into words (or JSON) on stderr and its exit code."""
    try:
        yield
    except HubError as problem:
        _report(problem, as_json)
        raise typer.Exit(problem.exit_code) from problem
    except SQLAlchemyError as fault:
        unavailable = Unavailable(
            "database.fault",
            f"the database does not answer as it should ({type(fault).__name__})",
            "check [database] in atoll-hub.toml, then run: atoll-hub init",
        )
        _report(unavailable, as_json)
        raise typer.Exit(ExitCode.UNREACHABLE) from fault


def print_json(value: object) -> None:
    """Print JSON on stdout, contracts in their wire form."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on a terminal, tab-separated lines in a pipe."""
    if not out.is_terminal:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    out.print(table)


def _report(problem: HubError, as_json: bool) -> None:
    if as_json:
        sys.stderr.write(json.dumps(problem.problem().wire(), ensure_ascii=False) + "\n")
        return
    err.print(f"{problem.title}: {problem.detail}", style="red", markup=False)
    if problem.next_step:
        err.print(f"→ {problem.next_step}", markup=False)


def _plain(value: object) -> object:
    if isinstance(value, Contract):
        return value.wire()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
