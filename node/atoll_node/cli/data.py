"""`ingest` and `release`: a hospital's files become tables, and tables become what questions run on."""

import json
import sys
from collections import Counter
from functools import partial
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from atoll_node.bootstrap import Node, datasets_of
from atoll_node.bootstrap.data import Ingested, ingest_dataset, release_dataset
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
from atoll_node.ingest_report import TableReport, WriteProgress
from atoll_node.settings import DatasetSettings
from atoll_node.sources import SourceProgress

LISTED = 20
"""So many quarantined records are shown; the folder and ``--json`` have them all."""
DatasetArgument = Annotated[str | None, typer.Argument(help="One dataset; else all of the settings.")]


def ingest(
    context: typer.Context,
    dataset: DatasetArgument = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="With --json: one JSON line per step on standard error.")
    ] = False,
) -> None:
    """Read the files, de-identify, write tables. The same files again change nothing.

    Records that cannot be taken go to quarantine with file, record, field and reason; the rest goes on.

    Examples:

      atoll-node ingest

      atoll-node ingest colon --json
    """
    node = node_of(context, home)
    chosen = datasets_of(node, dataset)
    if as_json:
        seen = _told if progress else _unseen
        reports = [_as_json(ingest_dataset(node, one, *(partial(seen, one.name),) * 3)) for one in chosen]
        print_json(reports[0] if dataset else reports)
        return
    for one in chosen:
        _show(node, _with_bars(node, one))


def release(
    context: typer.Context,
    dataset: DatasetArgument = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Freeze the tables as they are, and describe them to the hub. Without a change nothing is made.

    Examples:

      atoll-node release

      atoll-node release colon --json
    """
    node = node_of(context, home)
    frozen = [release_dataset(node, one) for one in datasets_of(node, dataset)]
    if as_json:
        found: list[dict[str, Any]] = [
            {
                "dataset": one.dataset,
                "release": one.name,
                "content_digest": one.content_digest,
                "created_at": one.created_at.isoformat(),
                "quality": [check.wire() for check in one.quality],
            }
            for one in frozen
        ]
        print_json(found[0] if dataset else found)
        return
    for one in frozen:
        failed = [check.check for check in one.quality if not check.passed]
        print_lines(
            f"{one.dataset}: {one.name} ({one.content_digest[:19]}…)",
            f"  checks that did not pass: {', '.join(failed) or 'none'}",
        )
    print_lines("the catalog goes to the hub as soon as the node is up")


def add_to(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(ingest)
    commands.command()(release)


def _unseen(dataset: str, event: SourceProgress | TableReport | WriteProgress) -> None:
    """Show nothing: JSON is printed at the end."""


def _told(dataset: str, event: SourceProgress | TableReport | WriteProgress) -> None:
    """Say how far reading and writing are: a table's name and counts, never a value."""
    line: dict[str, object] = {"dataset": dataset, "table": event.table}
    if isinstance(event, SourceProgress):
        line |= {"step": "reading", "rows": event.rows, "bytes": event.bytes_read, "of": event.bytes_total}
    elif isinstance(event, WriteProgress):
        line |= {"step": "writing", "rows": event.rows, "of": event.rows_total}
    else:
        line |= {"step": "written", "rows": event.written}
    print(json.dumps(line), file=sys.stderr, flush=True)


def _with_bars(node: Node, dataset: DatasetSettings) -> Ingested:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]:>16}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(errors=True), transient=True) as progress:
        bars: dict[tuple[str, str], TaskID] = {}

        def show(step: str, table: str, done: int, total: int | None, rate: float) -> None:
            if (step, table) not in bars:
                name = f"{dataset.name} {table} {step}"
                bars[step, table] = progress.add_task(name, total=total, rate="")
            shown = f"{rate:,.0f} rows/s" if rate else ""
            progress.update(bars[step, table], completed=done, rate=shown)

        def reading(event: SourceProgress) -> None:
            show("reading", event.table, event.bytes_read, event.bytes_total, event.rows_per_second)

        def writing(event: WriteProgress) -> None:
            show("writing", event.table, event.rows, event.rows_total, event.rows_per_second)

        def written(report: TableReport) -> None:
            show("writing", report.table, report.written, report.written, 0)

        return ingest_dataset(node, dataset, reading, written, writing)


def _show(node: Node, done: Ingested) -> None:
    rows = [
        (one.table, one.read, one.written, one.quarantined, one.opted_out, "yes" if one.changed else "no")
        for one in done.report.tables
    ]
    columns = ("table", "read", "written", "quarantined", "opted out", "changed")
    print_table(done.report.dataset, columns, rows)
    for warning in done.warnings:
        print_lines(f"warning: {warning.text}")
    if not done.quarantined:
        return
    counts = Counter(one.reason for one in done.quarantined)
    print_table("why records are in quarantine", ("reason", "records"), counts.most_common())
    shown = [(one.file, one.record, one.field or "", one.reason) for one in done.quarantined[:LISTED]]
    print_table("the first of them", ("file", "record", "field", "reason"), shown)
    print_lines(f"all of them: {node.home.quarantine / done.report.dataset}")


def _as_json(done: Ingested) -> dict[str, Any]:
    """Return the report; a quarantined record is named by its place, never by its values."""
    return done.report.wire() | {
        "changed": done.report.changed,
        "quarantined": [
            {
                "file": one.file,
                "record": one.record,
                "field": one.field,
                "reason": one.reason,
                "code": one.code,
            }
            for one in done.quarantined
        ],
    }
