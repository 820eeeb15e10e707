"""`forget`: take persons out of everything, by the hospital's own identifiers."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from atoll_node.bootstrap.erasure import forget_persons
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    node_of,
    print_json,
    print_lines,
    print_table,
)
from atoll_node.erasure.identifiers import read_identifiers
from atoll_node.erasure.proof import ErasureProof
from atoll_node.errors import SettingsError


def forget(
    context: typer.Context,
    persons: Annotated[
        Path,
        typer.Option(
            "--file", help="One identifier of a person a line, as the source writes it; - is standard input."
        ),
    ],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Remove persons from every table and file, old versions too; cut new releases; write a proof.

    For opt-outs and erasures. Identifiers come from a file, because what is typed stays in the shell's
    history. Every later ingest leaves these persons out. Delete the file afterwards.

    Examples:

      atoll-node forget --file erased.txt

      echo 4711 | atoll-node forget --file - --json
    """
    identifiers = read_identifiers(_text(persons))
    proof = forget_persons(node_of(context, home), identifiers)
    if as_json:
        print_json(proof.wire())
        return
    _show(proof)
    print_lines(f"the proof: {proof.id}.json in the folder proofs of the node's home")


def add_to(commands: typer.Typer) -> None:
    """Add the command of this module."""
    commands.command()(forget)


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("forget.unreadable", "the list of persons cannot be read") from error


def _show(proof: ErasureProof) -> None:
    rows = [
        (
            dataset.dataset,
            table.table,
            table.files_searched,
            table.files_rewritten,
            table.files_removed,
            table.files_left,
        )
        for dataset in proof.datasets
        for table in dataset.tables
    ]
    print_table(
        "every file was searched, and those that are left once more: nothing is found",
        ("dataset", "table", "files searched", "rewritten", "removed", "left"),
        rows,
    )
    for dataset in proof.datasets:
        for name in dataset.withdrawn:
            print_lines(f"withdrawn: {name}, its successor: {dataset.successor or 'none yet'}")
    print_lines(
        f"records removed from quarantine: {proof.quarantine_records_removed}",
        "later ingests leave these persons out",
    )
