"""`audit`: read the node's chain of decisions, and check it."""

import typer

from atoll_node.audit import Verdict
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    node_of,
    print_json,
    print_lines,
    print_table,
)
from atoll_schemas.audit import Flaw
from atoll_schemas.problems import ExitCode

commands = typer.Typer(help="Read and check the chain of decisions.", no_args_is_help=True)


@commands.command()
def verify(context: typer.Context, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Check every entry, link, seal and the end. Needs no network.

    Examples:

      atoll-node audit verify
    """
    node = node_of(context, home)
    verdict = node.audit.verify()
    if not verdict.entries and node.home.enrolment.exists():
        verdict = Verdict(0, (Flaw(1, "the node is enrolled, and the chain has no entry of it"),))
    if as_json:
        found = [{"sequence": flaw.sequence, "what": flaw.what} for flaw in verdict.flaws]
        print_json({"holds": verdict.holds, "entries": verdict.entries, "flaws": found})
    elif verdict.holds:
        print_lines(f"the chain of {verdict.entries} entries holds")
    else:
        print_lines(*(f"entry {flaw.sequence}: {flaw.what}" for flaw in verdict.flaws))
    if not verdict.holds:
        raise typer.Exit(ExitCode.ERROR)


@commands.command("list")
def list_all(context: typer.Context, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show every decision.

    Examples:

      atoll-node audit list --json
    """
    entries = node_of(context, home).audit.entries()
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    rows = [
        (one.sequence, f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.action, one.subject) for one in entries
    ]
    print_table("decisions", ("entry", "when (UTC)", "who", "what", "about"), rows)


def add_to(above: typer.Typer) -> None:
    """Add the commands of this module."""
    above.add_typer(commands, name="audit")
