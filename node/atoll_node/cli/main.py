"""Gather the commands and hold the process boundary: one line an error, exit codes, never a traceback."""

import json
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import typer

from atoll_node.bootstrap import World, real_world, software
from atoll_node.errors import NodeError
from atoll_schemas.problems import ExitCode, Problem

# Typer carries its own copy of click; this is the class of all its complaints about what was typed.
_Complaint = cast(type[Exception], typer.BadParameter.__mro__[2])
_HELP = """Run a hospital's node of Atoll.

A first day:

  atoll-node init                      answer a few questions

  atoll-node enroll atoll1-…           the code from the hub's operator

  atoll-node ingest && atoll-node release

  atoll-node up                        keep running (systemd does this)

Every command takes --home (or ATOLL_NODE_HOME), --json, and --help with examples.
"""
_ROOMS = {
    "init": "setup",
    "enroll": "setup",
    "ingest": "data",
    "release": "data",
    "up": "service",
    "status": "service",
    "doctor": "doctor",
    "outbound": "outbound",
    "permits": "permits",
    "audit": "audit",
    "cohort": "cohort",
    "explain": "explain",
    "store": "store",
    "lake": "lake",
    "forget": "forget",
    "backup": "backup",
    "restore": "backup",
}
"""Which module declares a command. Only that one loads, so that a steward does not wait for the engine."""


def declared(given: Sequence[str]) -> typer.Typer:
    """Declare the command that was typed, or all of them when none is known (for help and did-you-mean)."""
    known = _ROOMS.get(given[0]) if given else None
    made = typer.Typer(
        name="atoll-node",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    made.callback()(_node)
    for room in [known] if known else dict.fromkeys(_ROOMS.values()):
        import_module(f"atoll_node.cli.{room}").add_to(made)
    return made


def _node() -> None:
    """Stand for the command itself: with a callback a lone subcommand keeps its name."""


def app(arguments: Sequence[str] | None = None, world: World | None = None) -> int:
    """Run one command and return its exit code. ``world`` is this machine's unless a test gives another."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = _command_first([argument for argument in given if argument != "--debug"])
    if given == ["--version"]:
        print(software())
        return ExitCode.OK
    try:
        ended = declared(given)(
            given, standalone_mode=False, obj=world or real_world(), prog_name="atoll-node"
        )
    except NodeError as error:
        return _failed(given, error.code, error.message, error.next_step, error.exit_code, debug)
    except _Complaint as error:
        return _failed(given, "usage", str(error), "see: atoll-node --help", ExitCode.USAGE, False)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return ExitCode.ERROR
    except Exception as error:  # noqa: BLE001 - the process boundary: name the fault, show no values
        return _failed(given, "node.failed", _place(error), "run again with --debug", ExitCode.ERROR, debug)
    return ended if isinstance(ended, int) else ExitCode.OK


def _command_first(given: list[str]) -> list[str]:
    """Let ``--home`` stand before the command too."""
    return given[2:] + given[:2] if given[:1] == ["--home"] else given


def _failed(
    given: list[str], code: str, message: str, next_step: str | None, exit_code: ExitCode, debug: bool
) -> int:
    if debug:
        traceback.print_exc()
    if "--json" in given:
        problem = Problem(title=message, status=500, code=code, next_step=next_step)
        print(json.dumps(problem.wire()), file=sys.stderr)
    else:
        line = " ".join(f"{code}: {message}".split())
        print(line + (f". Next: {next_step}" if next_step else ""), file=sys.stderr)
    return exit_code


def _place(error: Exception) -> str:
    """Say where a fault arose, without its message: that could hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "atoll_node" in frame.filename] or list(frames)
    where = f"{Path(inside[-1].filename).stem}:{inside[-1].lineno}" if inside else "unknown"
    return f"the node failed ({type(error).__name__} at {where})"
