"""`outbound`: every message that left, and exactly what it said."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from atoll_node.bootstrap import Node
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    node_of,
    print_json,
    print_lines,
    print_table,
)
from atoll_node.outbound import Sent


def outbound(
    context: typer.Context,
    message: Annotated[int | None, typer.Argument(help="A message's number: show its content.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 20,
    polls: Annotated[bool, typer.Option(help="Show idle polls too.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what left this node: when, to whom, why, how many bytes, and its content.

    A message is written down before it leaves. Contents are the bytes that were sent; only tokens,
    assertions and enrolment codes stand as their SHA-256.

    Examples:

      atoll-node outbound --last 50

      atoll-node outbound 17

      atoll-node outbound --polls --json
    """
    node = node_of(context, home)
    if message is not None:
        _show(node, message, as_json)
        return
    sent = node.journal.last(last, polls=polls)
    totals = node.journal.totals()
    if as_json:
        summary = [{"why": why, "messages": count, "bytes": size} for why, count, size in totals]
        print_json({"messages": [_as_json(node, one) for one in sent], "totals": summary})
        return
    rows = [
        (one.id, f"{one.at:%Y-%m-%d %H:%M:%S}", one.recipient, one.why, one.bytes, one.status) for one in sent
    ]
    print_table(
        "messages that left, newest first", ("id", "when (UTC)", "to", "why", "bytes", "status"), rows
    )
    print_table("in all", ("why", "messages", "bytes"), totals)


def _show(node: Node, message: int, as_json: bool) -> None:
    found = node.journal.one(message)
    content = node.journal.content(message)
    if as_json:
        print_json(_as_json(node, found))
        return
    print_lines(
        f"message   {found.id}",
        f"when      {found.at.isoformat()}",
        f"to        {found.method} {found.recipient}{found.path}",
        f"why       {found.why}",
        f"bytes     {found.bytes}",
        f"status    {found.status}",
        "content",
    )
    sys.stdout.flush()
    sys.stdout.buffer.write(content + b"\n")


def _as_json(node: Node, sent: Sent) -> dict[str, object]:
    return asdict(sent) | {
        "at": sent.at.isoformat(),
        "content": node.journal.content(sent.id).decode("utf-8", "replace"),
    }


def add_to(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(outbound)
