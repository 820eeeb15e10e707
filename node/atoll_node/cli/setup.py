"""`init` and `enroll`: from nothing to a node that the hub knows."""

from pathlib import Path
from typing import Annotated

import typer
from rich.prompt import Confirm, Prompt

from atoll_node.bootstrap import make_home
from atoll_node.bootstrap.network import enrol_node
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    node_of,
    print_json,
    print_lines,
    world_of,
)
from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_node.settings import absent_files, anchored
from atoll_node.wizard import answers_from_file, answers_from_person, check


class Person:
    """Puts the wizard's questions on the terminal."""

    def ask(self, question: str, default: str | None = None, choices: tuple[str, ...] = ()) -> str:
        """Ask with rich's prompt."""
        shown = list(choices) or None
        if default is None:
            return str(Prompt.ask(question, choices=shown, console=console())).strip()
        return str(Prompt.ask(question, choices=shown, default=default, console=console())).strip()

    def confirm(self, question: str, default: bool) -> bool:
        """Ask yes or no."""
        return bool(Confirm.ask(question, default=default, console=console()))


def init(
    context: typer.Context,
    answers: Annotated[
        Path | None, typer.Option("--from", help="A file with the keys of atoll-node.toml.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make the node's folder (0700), its settings, and its two secrets.

    Relative paths in the settings start at the node's folder.

    Examples:

      atoll-node init --home /srv/atoll

      atoll-node init --home /srv/atoll --from answers.toml
    """
    text = answers_from_file(answers) if answers else _asked()
    place = Home(home.absolute())
    make_home(place, text, world_of(context))
    missing = absent_files(anchored(check(text), place.root))
    if as_json:
        print_json({"home": str(place.root), "missing": missing})
        return
    print_lines(
        f"made {place.root}",
        "secrets/pseudonym.key keys every pseudonym: back it up, and never hand it out",
        *(f"not there yet: {name}" for name in missing),
        "next: atoll-node enroll CODE",
    )


def enroll(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The one-time code, atoll1-…, from the hub's operator.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Register this node's public key at the hub, and pin the hub's key that the code names.

    Examples:

      atoll-node enroll atoll1-mfrgg…-nbswy…
    """
    enrolled = enrol_node(node_of(context, home), code)
    if as_json:
        print_json({"site": enrolled.site, "node": enrolled.node_id, "hub": enrolled.hub_id})
        return
    print_lines(
        f"enrolled as {enrolled.node_id} of site {enrolled.site} at hub {enrolled.hub_id}",
        "next: atoll-node ingest, atoll-node release, atoll-node up",
    )


def add_to(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(init)
    commands.command()(enroll)


def _asked() -> str:
    try:
        return answers_from_person(Person())
    except EOFError as error:
        raise SettingsError(
            "settings.no_terminal", "there is no terminal to ask on", "give the answers with --from"
        ) from error
