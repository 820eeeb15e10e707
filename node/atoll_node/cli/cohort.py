"""`cohort run`: cohort definitions on this machine's data, for the hospital's own eyes."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from atoll_node.bootstrap.releases import named_release
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
from atoll_node.cohort_run import Ran, read_definitions, run_definitions
from atoll_node.engine import S3Access
from atoll_node.engine.cohort_files import release_of_folder
from atoll_node.errors import SettingsError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.problems import ExitCode

commands = typer.Typer(
    help="Run cohort definitions locally; nothing leaves this machine.", no_args_is_help=True
)


@commands.callback()
def _cohort() -> None:
    """Keep the word between `atoll-node` and `run`."""


@commands.command()
def run(
    context: typer.Context,
    definitions: Annotated[
        list[Path], typer.Argument(help="Circe JSON files, or folders of them; NUMBER.json each.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder for the results.")],
    cdm: Annotated[
        Path | None, typer.Option("--cdm", help="A folder of CDM Parquet files, one a table.")
    ] = None,
    release: Annotated[str | None, typer.Option("--release", help="A release of this node instead.")] = None,
    memory: Annotated[str, typer.Option("--memory", help="What DuckDB may take before it spills.")] = "3GB",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Else one a processor.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Evaluate cohort definitions on a folder of CDM files or on a release, and write the rows.

    Writes cohort.parquet, inclusion.parquet, summary.parquet and seconds.json into --out. A definition that
    cannot run is named with its reason, and the others go on: exit code 3.

    Examples:

      atoll-node cohort run definitions/ --cdm cdm/ --out results/

      atoll-node cohort run 10.json 12.json --release colon-0001 --out results/
    """
    if (cdm is None) == (release is None):
        raise SettingsError(
            "cohort.data", "name either --cdm or --release", "see: atoll-node cohort run --help"
        )
    settings = EngineSettings(memory=memory, threads=threads or _processors())
    if cdm is not None:
        source: tuple[Release, S3Access | None] = (release_of_folder(cdm), None)
    else:
        source = named_release(node_of(context, home), release or "")
    done = _with_bars(definitions, out, source, settings)
    if as_json:
        print_json(_as_json(done))
    else:
        _show(done, out)
    if done.failed:
        raise typer.Exit(ExitCode.PARTIAL if done.cohorts else ExitCode.ERROR)


def add_to(above: typer.Typer) -> None:
    """Add the commands of this module."""
    above.add_typer(commands, name="cohort")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_bars(
    places: list[Path], out: Path, source: tuple[Release, S3Access | None], settings: EngineSettings
) -> Ran:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console(errors=True), transient=True) as progress:
        bars: dict[str, TaskID] = {}

        def shows(stage: str, share: float) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=1.0)
            progress.update(bars[stage], completed=share)

        read = read_definitions(places, shows)
        with tempfile.TemporaryDirectory(prefix="atoll-cohort-") as scratch:
            return run_definitions(read, *source, out, settings=settings, scratch=Path(scratch), shows=shows)


def _as_json(done: Ran) -> dict[str, Any]:
    return {
        "cohorts": done.cohorts,
        "rows": done.rows,
        "failed": [
            {"file": one.file, "reason": one.reason, "next_step": one.next_step} for one in done.failed
        ],
    }


def _show(done: Ran, out: Path) -> None:
    print_lines(f"{done.cohorts} cohorts, {done.rows} rows in {out}")
    if done.failed:
        print_table(
            f"{len(done.failed)} did not run",
            ("file", "reason", "next"),
            [(one.file, one.reason, one.next_step or "") for one in done.failed],
        )
