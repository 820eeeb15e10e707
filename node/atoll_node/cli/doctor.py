"""`doctor`: examine the node and all it leans on."""

import time
from typing import Annotated

import typer

from atoll_node.bootstrap.doctor import lines_of
from atoll_node.cli.screen import DEFAULT_HOME, HomeOption, JsonOption, print_json, print_lines, world_of
from atoll_node.doctor.examination import Finding, examine, exit_code
from atoll_node.home import Home

_MARKS = {"ok": "ok     ", "warning": "warning", "blocker": "BLOCKER"}


def doctor(
    context: typer.Context,
    home: HomeOption = DEFAULT_HOME,
    brief: Annotated[bool, typer.Option("--brief", help="Only what is not ok.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine settings, secrets, network, hub, clock, store and machine in 30 s; each fault with its fix.

    Changes nothing but a few objects below the store's prefix, which it removes. Exit code 8: a blocker.

    Examples:

      atoll-node doctor

      atoll-node doctor --brief

      atoll-node doctor --json
    """
    begun = time.monotonic()
    findings = examine(lines_of(Home(home.absolute()), world_of(context)))
    seconds = round(time.monotonic() - begun, 1)
    if as_json:
        print_json(
            {
                "blockers": _count(findings, "blocker"),
                "warnings": _count(findings, "warning"),
                "seconds": seconds,
                "lines": [_as_json(one) for one in findings],
            }
        )
    else:
        for one in findings:
            if not brief or one.state != "ok":
                print_lines(f"{_MARKS[one.state]}  {one.line}: {one.told}")
                if one.fix:
                    print_lines(f"         → {one.fix}")
        print_lines(
            f"{_count(findings, 'blocker')} blockers, {_count(findings, 'warning')} warnings,"
            f" {len(findings)} lines in {seconds} s"
        )
    if code := exit_code(findings):
        raise typer.Exit(code)


def add_to(commands: typer.Typer) -> None:
    """Add the command of this module."""
    commands.command()(doctor)


def _count(findings: tuple[Finding, ...], state: str) -> int:
    return sum(one.state == state for one in findings)


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "line": finding.line,
        "state": finding.state,
        "told": finding.told,
        "fix": finding.fix,
        "checked": finding.checked,
        "seconds": finding.seconds,
    }
