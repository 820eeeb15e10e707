"""Write the reference pages that are made from the code.

Usage: ``python tools/make_docs.py [--check]``. With ``--check`` nothing is written; pages that differ are
named and the exit code is 1.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from atoll.cli import app as sdk_app
from atoll_hub.cli import app as hub_app
from atoll_node.cli.main import declared as node_commands
from atoll_node.deidentify.page import page as deidentification_page
from atoll_node.deidentify.policy import Policy

REFERENCE = Path("docs/reference")
_NODE_OPENING = """\
# Node commands

Every command takes `--home FOLDER` (or `ATOLL_NODE_HOME`), `--json` (all but `up`), `--debug` (shows a
traceback, which may hold file names: for the hospital's eyes) and `--help`. `atoll-node --version` tells the
version.

Exit codes: 0 ok · 1 error, or a chain that does not hold · 2 usage or settings · 5 refused by policy ·
6 not found · 7 the hub cannot be reached · 8 the doctor found a blocker. An error is one line on stderr:
`code: cause. Next: what to do`; with `--json` it is a problem (RFC 9457).
"""
_HUB_OPENING = """\
# Hub commands

`--home FOLDER` (or `ATOLL_HUB_HOME`) stands before the command. `atoll-hub --version` tells the version;
every command takes `--help`, and `--json` where it stands below.
"""
_SDK_OPENING = """\
# Researcher's commands

Every command takes `--json` and `--help`. Figures go to standard output, progress and errors to standard
error. Settings, exit codes and the same questions in Python: [sdk.md](sdk.md).
"""


@dataclass(frozen=True)
class Program:
    """One command of the shell: how its page opens, and the options that the opening speaks of for all."""

    name: str
    opening: str
    commands: typer.Typer
    spoken_of: frozenset[str]


NODE = Program("atoll-node", _NODE_OPENING, node_commands(()), frozenset({"--home", "--json", "--help"}))
HUB = Program("atoll-hub", _HUB_OPENING, hub_app, frozenset({"--help"}))
SDK = Program("atoll", _SDK_OPENING, sdk_app, frozenset({"--json", "--help"}))


def commands_page(program: Program) -> str:
    """Return the page of a program: one heading per command, its help, its arguments, its examples."""
    found = _leaves(typer.main.get_command(program.commands))
    sections = (_section(program, words, command) for words, command in found)
    return program.opening + "".join(sections)


def _leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that are typed for it."""
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield words, command
    for name, one in inner.items():
        yield from _leaves(one, (*words, name))


def _section(program: Program, words: tuple[str, ...], command: Any) -> str:
    text, examples = _told(command.help)
    rows = [row for parameter in command.params if (row := _row(program, parameter))]
    parts = [f"\n## {program.name} {' '.join(words)}\n{text}\n"]
    if rows:
        parts.append("\n| argument | meaning |\n|---|---|\n" + "".join(rows))
    if examples:
        parts.append("\n```\n" + "".join(f"{line}\n" for line in examples) + "```\n")
    return "".join(parts)


def _told(help_text: str | None) -> tuple[str, list[str]]:
    """Part a help text into what it says and its examples."""
    said, _, examples = (help_text or "").replace("Examples:", "Example:").partition("Example:")
    lines = (line.strip() for line in examples.splitlines())
    return said.strip(), [line for line in lines if line]


def _row(program: Program, parameter: Any) -> str:
    """Return the line of one argument or option; none for what the opening speaks of."""
    option = parameter.param_type_name == "option"
    name = parameter.opts[0] if option else (parameter.metavar or parameter.name.upper())
    if name in program.spoken_of:
        return ""
    meaning = (parameter.help or "needed").replace("|", "\\|")
    return f"| `{name}` | {meaning} |\n"


PAGES: Mapping[Path, Callable[[], str]] = {
    REFERENCE / "deidentification.md": lambda: deidentification_page(Policy()),
    REFERENCE / "node-commands.md": lambda: commands_page(NODE),
    REFERENCE / "hub-commands.md": lambda: commands_page(HUB),
    REFERENCE / "atoll-commands.md": lambda: commands_page(SDK),
}


def differing(root: Path) -> list[Path]:
    """Return the pages below ``root`` that are absent or differ from what the code says."""
    return [page for page, written in PAGES.items() if _text(root / page) != written()]


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def main(arguments: list[str] | None = None, root: Path = Path(__file__).resolve().parents[1]) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference pages that are made from the code.")
    parser.add_argument("--check", action="store_true", help="compare only")
    checking = parser.parse_args(arguments).check
    stale = differing(root)
    for page in stale:
        if not checking:
            (root / page).parent.mkdir(parents=True, exist_ok=True)
            (root / page).write_text(PAGES[page](), encoding="utf-8")
        print(f"{'differs from the code' if checking else 'written'}: {page}")
    if checking and stale:
        print("to mend it: make docs", file=sys.stderr)
    return 1 if checking and stale else 0


if __name__ == "__main__":
    sys.exit(main())
