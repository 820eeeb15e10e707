"""Go down a list of lines, each ok, a warning or a blocker with its fix, in no more than the time allowed."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from atoll_node.errors import NodeError
from atoll_schemas.problems import ExitCode

State = Literal["ok", "warning", "blocker"]
LINE_SECONDS = 12.0
ALL_SECONDS = 28.0


@dataclass(frozen=True)
class Finding:
    """What one line found. ``fix`` is there whenever something is to be done."""

    state: State
    told: str
    fix: str | None = None
    line: str = ""
    checked: bool = True
    """Whether the line was looked at; else what it needs came first, or time was over."""
    seconds: float = 0.0


def ok(told: str) -> Finding:
    """Nothing to do."""
    return Finding("ok", told)


def warning(told: str, fix: str) -> Finding:
    """The node works, for now or not as it should."""
    return Finding("warning", told, fix)


def blocker(told: str, fix: str | None) -> Finding:
    """The node cannot work, or must not."""
    return Finding("blocker", told, fix or "see docs/how-to/install-a-node.md")


@dataclass(frozen=True)
class Line:
    """One thing to look at, and the lines that must be passable before it can be."""

    name: str
    check: Callable[[], Finding]
    needs: tuple[str, ...] = ()


def examine(
    lines: Iterable[Line],
    *,
    line_seconds: float = LINE_SECONDS,
    all_seconds: float = ALL_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> tuple[Finding, ...]:
    """Look at every line in order. A line whose needs are blocked is a warning that says which."""
    end = monotonic() + all_seconds
    found: dict[str, Finding] = {}
    for line in lines:
        begun = monotonic()
        blocked = next((need for need in line.needs if _stops(found[need])), None)
        if blocked is not None:
            finding = _unchecked(f"not checked: {blocked} comes first", f"mend {blocked}, then run it again")
        elif begun >= end:
            finding = _unchecked("not checked: no time was left", "mend what took so long, then run it again")
        else:
            finding = _within(line.check, min(line_seconds, end - begun))
        found[line.name] = replace(finding, line=line.name, seconds=round(monotonic() - begun, 3))
    return tuple(found.values())


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """Return 8 when something blocks, else 0."""
    return ExitCode.BLOCKER if any(one.state == "blocker" for one in findings) else ExitCode.OK


def _stops(finding: Finding) -> bool:
    return finding.state == "blocker" or not finding.checked


def _unchecked(told: str, fix: str) -> Finding:
    return Finding("warning", told, fix, checked=False)


def _within(check: Callable[[], Finding], seconds: float) -> Finding:
    """Run a check in a thread of its own, so that one that hangs does not hold the others up."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_guarded(check)), daemon=True)
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    return blocker(f"no answer within {seconds:.0f} seconds", "see what hangs: network, store or disk")


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except NodeError as error:
        return blocker(error.message, error.next_step)
    except Exception as error:  # noqa: BLE001 - the doctor goes on after any fault, and shows no value of it
        return blocker(f"the check failed ({type(error).__name__})", "run the command again with --debug")
