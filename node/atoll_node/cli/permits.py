"""`permits`: the steward reads what a project asks, and says yes, less, not now, or no."""

import getpass
import sys
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import typer
from rich.prompt import Confirm

from atoll_node.audit import Decision
from atoll_node.bootstrap import Node
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    node_of,
    print_json,
    print_lines,
    print_table,
)
from atoll_node.errors import Refused, SettingsError
from atoll_node.permits import HeldPermit, narrowed
from atoll_schemas.permits import Permit, PermitState, Scope
from atoll_schemas.query import METHODS, Method

commands = typer.Typer(help="See and decide what projects may ask of this site.", no_args_is_help=True)
Verb = Literal["permit.approved", "permit.suspended", "permit.rejected"]

PermitArgument = Annotated[str, typer.Argument(metavar="PERMIT", help="Such as P-001.north.")]
ByOption = Annotated[
    str | None, typer.Option("--by", envvar="ATOLL_STEWARD", help="Who decides; else the user's name.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Decide without a question.")]


@commands.command("list")
def list_all(context: typer.Context, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show every request and how it stands.

    Examples:

      atoll-node permits list

      atoll-node permits list --json
    """
    held = node_of(context, home).permits.all()
    if as_json:
        print_json([_as_json(permit) for permit in held])
        return
    rows = [
        (
            permit.request.permit_id,
            permit.state,
            permit.request.title,
            " ".join(_scope(permit).datasets),
            " ".join(_scope(permit).methods),
            _scope(permit).valid_until.date(),
        )
        for permit in held
    ]
    print_table("permits", ("permit", "state", "project", "datasets", "methods", "until"), rows)


@commands.command()
def approve(
    context: typer.Context,
    permit: PermitArgument,
    methods: Annotated[
        str | None, typer.Option(help="Only these, such as count,table1.", show_default=False)
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these.", show_default=False)] = None,
    until: Annotated[
        datetime | None, typer.Option(help="An earlier end (excluded, UTC).", formats=["%Y-%m-%d"])
    ] = None,
    by: ByOption = None,
    yes: YesOption = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Permit a project's questions, as asked or narrower.

    Examples:

      atoll-node permits approve P-001.north

      atoll-node permits approve P-001.north --methods count,table1 --until 2027-06-30
    """
    node = node_of(context, home)
    held = node.permits.held(permit)
    scope = narrowed(
        held.request,
        datasets=_words(datasets),
        methods=_methods(methods),
        valid_until=until.replace(tzinfo=UTC) if until else None,
    )
    _ask(held, scope, "Approve?", yes)
    _decide(node, held, "active", scope, "permit.approved", by, as_json)


@commands.command()
def suspend(
    context: typer.Context,
    permit: PermitArgument,
    by: ByOption = None,
    yes: YesOption = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Stop a permit at once, until it is approved again.

    Examples:

      atoll-node permits suspend P-001.north --yes
    """
    node = node_of(context, home)
    held = node.permits.held(permit)
    if held.state != "active":
        raise Refused("permit.not_active", "only an active permit can be suspended", "see: permits list")
    _ask(held, _scope(held), "Suspend?", yes)
    _decide(node, held, "suspended", _scope(held), "permit.suspended", by, as_json)


@commands.command()
def reject(
    context: typer.Context,
    permit: PermitArgument,
    by: ByOption = None,
    yes: YesOption = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say no to a request, or end a permit.

    Examples:

      atoll-node permits reject P-002.north
    """
    node = node_of(context, home)
    held = node.permits.held(permit)
    _ask(held, _scope(held), "Reject?", yes)
    _decide(node, held, "rejected", _scope(held), "permit.rejected", by, as_json)


def _decide(
    node: Node,
    held: HeldPermit,
    state: PermitState,
    scope: Scope,
    action: Verb,
    by: str | None,
    as_json: bool,
) -> None:
    steward = by or getpass.getuser()
    permit = Permit(
        permit_id=held.request.permit_id,
        project=held.request.project,
        site=node.settings.site,
        state=state,
        scope=scope,
        purpose=held.request.purpose,
        decided_by=steward,
        decided_at=node.world.clock(),
        revision=held.permit.revision + 1 if held.permit else 1,
    )
    facts = {"revision": permit.revision, "permit": permit.digest(), "project": permit.project}
    node.permits.decide(permit, Decision(action, steward, permit.permit_id, facts))
    if as_json:
        print_json(permit.wire())
        return
    print_lines(f"{permit.permit_id}: {permit.state}; the hub is told as soon as the node is up")


def _ask(held: HeldPermit, scope: Scope, question: str, yes: bool) -> None:
    """Show what is decided, and ask; without a terminal, ``--yes`` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError("permits.confirm", "there is no terminal to ask on", "add --yes")
    request = held.request
    print_lines(
        f"project   {request.project}: {request.title}",
        f"purpose   {request.purpose}",
        f"people    {', '.join(request.people)}",
        f"datasets  {', '.join(scope.datasets)}",
        f"methods   {', '.join(scope.methods)}",
        f"period    {_day(scope.valid_from)} to {_day(scope.valid_until)} (excluded)",
        f"now       {held.state}",
    )
    if not Confirm.ask(question, default=False, console=console()):
        raise typer.Exit(1)


def _scope(held: HeldPermit) -> Scope:
    return held.permit.scope if held.permit else held.request.scope


def _as_json(held: HeldPermit) -> dict[str, object]:
    return {
        "permit_id": held.request.permit_id,
        "state": held.state,
        "request": held.request.wire(),
        "permit": held.permit.wire() if held.permit else None,
    }


def _words(text: str | None) -> tuple[str, ...] | None:
    return tuple(word for word in text.replace(",", " ").split()) if text is not None else None


def _methods(text: str | None) -> tuple[Method, ...] | None:
    words = _words(text)
    if words is None:
        return None
    if unknown := [word for word in words if word not in METHODS]:
        raise SettingsError("permits.method", f"no such method: {unknown[0]}", f"one of {', '.join(METHODS)}")
    return tuple(method for method in METHODS if method in words)


def _day(moment: datetime) -> date:
    return moment.date()


def add_to(above: typer.Typer) -> None:
    """Add the commands of this module."""
    above.add_typer(commands, name="permits")
