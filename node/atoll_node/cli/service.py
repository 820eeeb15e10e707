"""`up` and `status`: keep the node in touch with its hub, and see how it stands."""

import signal
from typing import Annotated

import typer

from atoll_node.bootstrap import empty_spill, running_alone, state_of
from atoll_node.bootstrap.answering import open_stages
from atoll_node.bootstrap.network import open_agent
from atoll_node.bootstrap.store import warn_of_store
from atoll_node.cli.screen import DEFAULT_HOME, HomeOption, JsonOption, node_of, print_json, print_lines
from atoll_node.errors import SettingsError
from atoll_node.logs import set_up_logs


def up(
    context: typer.Context,
    home: HomeOption = DEFAULT_HOME,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error; else as in the settings.")
    ] = None,
) -> None:
    """Keep running: ask the hub for work, answer what is permitted, send permits and the catalog.

    Only outgoing connections. Ctrl-C or SIGTERM ends it; a task that runs then is asked again later.

    Examples:

      atoll-node up

      atoll-node up --log-level debug
    """
    node = node_of(context, home)
    level = log_level or node.settings.log_level
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError("settings.log_level", "no such log level", "debug, info, warning or error")
    with running_alone(node.home):
        set_up_logs(node.home.logs, level)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        empty_spill(node.home)
        warn_of_store(node)
        agent = open_agent(node, open_stages(node))
        try:
            agent.run()
        except KeyboardInterrupt:
            agent.stop()


def status(context: typer.Context, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show how the node stands: hub, datasets, permits, mail that waits.

    Examples:

      atoll-node status

      atoll-node status --json
    """
    found = state_of(node_of(context, home))
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if isinstance(value, list):
            print_lines(f"{key}:", *(f"  {_line(item)}" for item in value))
        elif isinstance(value, dict):
            print_lines(f"{key}: {_line(value)}")
        else:
            print_lines(f"{key}: {value}")


def add_to(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(up)
    commands.command()(status)


def _line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown}" for key, shown in value.items() if shown is not None)
    return str(value)
