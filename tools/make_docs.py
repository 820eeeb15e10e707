"""Write the reference pages that are made from the code.

Usage: ``python tools/make_docs.py [--check]``. With ``--check`` nothing is written; pages that differ are
named and the exit code is 1.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel

from atoll.cli import app as sdk_app
from atoll.words import ATTRIBUTES, DOMAINS
from atoll_hub.cli import app as hub_app
from atoll_node.cli.main import declared as node_commands
from atoll_node.deidentify.page import page as deidentification_page
from atoll_node.deidentify.policy import Policy
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.expression import codeset_fields
from atoll_schemas.circe.spelling import form_of

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
_LANGUAGE_OPENING = """\
# The cohort language

Every kind of criteria and every attribute, under Circe's names; those marked (Atoll) are Atoll's
additions in the same shape. How they are read, written and digested: [cohorts.md](cohorts.md). In
Python an attribute is written in snake_case (`gender_cs`; or `gender=` with a concept set):
[sdk.md](sdk.md).

Around the criteria stand `ConceptSets`, `PrimaryCriteria` (`CriteriaList`, `ObservationWindow`,
`PrimaryCriteriaLimit`), `AdditionalCriteria`, `QualifiedLimit`, `InclusionRules`, `ExpressionLimit`,
`EndStrategy` (`DateOffset` or `CustomEra`), `CensoringCriteria`, `CollapseSettings`, `CensorWindow`;
groups hold `CriteriaList`, `DemographicCriteriaList` and `Groups` of `Type` ALL, ANY, AT_LEAST or
AT_MOST. Correlated criteria have `StartWindow`, `EndWindow`, `Occurrence` (`Type` 0 exactly, 1 at most,
2 at least; `IsDistinct` by `CountColumn`), `RestrictVisit`, `IgnoreObservationPeriod`.
"""
_STRUCTURE = {
    "codeset_id": "which concepts",
    "first": "the person's first record of the concepts",
    "correlated_criteria": "what must hold around the event",
    "date_adjustment": "other dates for the event",
}
_TAKES = {
    "NumericRange": "a range of numbers",
    "DateRange": "a range of dates",
    "TextFilter": "a text",
    "ConceptSetSelection": "a concept set, or its opposite",
    "Concept": "a list of concepts",
    "CriteriaGroup": "a group",
    "DateAdjustment": "days",
    "Period": "two dates",
    "Literal": "a list of words",
    "bool": "true or false",
}


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


def language_page() -> str:
    """Return the page of the cohort language: each kind of criteria with its attributes and what they ask."""
    kinds = [(kind, domain) for domain, kind in _kinds().items()]
    return _LANGUAGE_OPENING + "".join(_kind_section(kind, domain) for kind, domain in kinds)


def _kinds() -> dict[str, type[BaseModel]]:
    return {name: get_args(field.annotation)[0] for name, field in Criteria.model_fields.items()}


def _kind_section(kind: type[BaseModel], domain: str) -> str:
    told = (kind.__doc__ or "").split("\n\n")[0].replace("\n    ", " ").replace("``", "`")
    rows = "".join(_attribute_row(kind, field.name, field.key) for field in form_of(kind).fields)
    noun = DOMAINS[domain][0]
    table = f"| attribute | asks | takes |\n|---|---|---|\n{rows}"
    return f"\n## {kind.__name__}\n{told} In words: {noun}.\n\n{table}"


def _attribute_row(kind: type[BaseModel], name: str, key: str) -> str:
    base = name.removesuffix("_cs").removesuffix("_exclude")
    asked = _STRUCTURE[name] if name in _STRUCTURE else ATTRIBUTES[base][0]
    return f"| `{key}` | {asked} | {_takes(kind, name)} |\n"


def _takes(kind: type[BaseModel], name: str) -> str:
    text = str(kind.model_fields[name].annotation)
    if name in codeset_fields(kind):
        return "a concept set's number"
    return next((said for sign, said in _TAKES.items() if sign in text), "a list of codes")


PAGES: Mapping[Path, Callable[[], str]] = {
    REFERENCE / "deidentification.md": lambda: deidentification_page(Policy()),
    REFERENCE / "node-commands.md": lambda: commands_page(NODE),
    REFERENCE / "hub-commands.md": lambda: commands_page(HUB),
    REFERENCE / "atoll-commands.md": lambda: commands_page(SDK),
    REFERENCE / "cohort-language.md": language_page,
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
