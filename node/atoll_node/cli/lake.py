"""`lake`: what the tables look like, and keeping them quick and small."""

from typing import Annotated, Any

import typer

from atoll_node.bootstrap import datasets_of
from atoll_node.bootstrap.lake import lake_state, maintain_dataset
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    node_of,
    print_json,
    print_lines,
    print_table,
)
from atoll_node.maintenance.rules import TableState, due
from atoll_node.maintenance.work import DatasetState, Maintenance

commands = typer.Typer(help="Look at the tables, and keep them quick and small.", no_args_is_help=True)
DatasetArgument = Annotated[str | None, typer.Argument(help="One dataset; else all of the settings.")]


@commands.command()
def status(
    context: typer.Context,
    dataset: DatasetArgument = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show tables, versions, releases, sizes, small files, and what maintenance will do.

    Examples:

      atoll-node lake status

      atoll-node lake status colon --json
    """
    node = node_of(context, home)
    states = [lake_state(node, one) for one in datasets_of(node, dataset)]
    if as_json:
        found = [_state_as_json(state) for state in states]
        print_json(found[0] if dataset else found)
        return
    for state in states:
        _show_state(state)


@commands.command()
def maintain(
    context: typer.Context,
    dataset: DatasetArgument = None,
    home: HomeOption = DEFAULT_HOME,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Sort and compact tables, write checkpoints, retire old releases, remove files that nobody needs.

    Every ingest does it too when something is due. No file of a release that answers is taken.

    Examples:

      atoll-node lake maintain --dry-run

      atoll-node lake maintain
    """
    if dry_run:
        status(context, dataset, home, as_json)
        return
    node = node_of(context, home)
    done = [maintain_dataset(node, one) for one in datasets_of(node, dataset)]
    if as_json:
        found = [one.wire() for one in done]
        print_json(found[0] if dataset else found)
        return
    for one in done:
        _show_done(one)


def add_to(above: typer.Typer) -> None:
    """Add the commands of this module."""
    above.add_typer(commands, name="lake")


def _show_state(state: DatasetState) -> None:
    rows = [
        (
            table.name,
            table.version,
            f"{table.rows:,}",
            len(table.live),
            len(table.small),
            _size(table.bytes),
            _size(sum(file.bytes for file in table.stored)),
            ", ".join(due(table)) or "nothing",
        )
        for table in state.tables
    ]
    columns = ("table", "version", "rows", "files", "small", "size", "on the store", "maintenance will")
    print_table(state.dataset, columns, rows)
    print_lines(f"releases that answer: {', '.join(one.name for one in state.releases) or 'none'}")
    for gone in state.withdrawn:
        print_lines(f"withdrawn: {gone.release} ({gone.reason}), its successor: {gone.successor or 'none'}")
    if state.to_retire:
        print_lines(f"maintenance will retire: {', '.join(one.name for one in state.to_retire)}")


def _show_done(done: Maintenance) -> None:
    rows = [
        (table.table, ", ".join(table.work), f"{table.files_before} → {table.files_after}", table.removed,
         _size(table.bytes_freed))
        for table in done.tables
        if table.work
    ]  # fmt: skip
    if rows:
        print_table(done.dataset, ("table", "done", "files", "removed", "freed"), rows)
    else:
        print_lines(f"{done.dataset}: nothing was due")
    if done.retired:
        print_lines(f"retired: {', '.join(done.retired)}")


def _state_as_json(state: DatasetState) -> dict[str, Any]:
    return {
        "dataset": state.dataset,
        "tables": [_table_as_json(table) for table in state.tables],
        "releases": [
            {"release": one.name, "created_at": one.created_at.isoformat(), "digest": one.content_digest}
            for one in state.releases
        ],
        "withdrawn": [one.wire() for one in state.withdrawn],
        "to_retire": [one.name for one in state.to_retire],
    }


def _table_as_json(table: TableState) -> dict[str, Any]:
    return {
        "table": table.name,
        "version": table.version,
        "rows": table.rows,
        "files": len(table.live),
        "small_files": len(table.small),
        "unsorted_files": len(table.unsorted),
        "bytes": table.bytes,
        "bytes_on_store": sum(file.bytes for file in table.stored),
        "unneeded_files": len(table.unneeded),
        "due": [str(work) for work in due(table)],
    }


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
