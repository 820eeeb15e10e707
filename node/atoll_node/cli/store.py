"""`store`: prepare the bucket that holds the lake, and move the lake to another place."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from atoll_node.bootstrap.migration import migrate as migrate_lake
from atoll_node.bootstrap.store import Preparation, plan_store, prepare_store, prove_store
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    node_of,
    print_json,
    print_lines,
)
from atoll_node.errors import SettingsError
from atoll_node.store.kept_proof import Proof
from atoll_node.store.migration import Step
from atoll_node.store.proof import refuse_unsafe

commands = typer.Typer(help="Prepare the store that holds the lake.", no_args_is_help=True)
_MARKS = {"there": "there  ", "to do": "to do  ", "by hand": "by hand"}


@commands.command()
def init(
    context: typer.Context,
    home: HomeOption = DEFAULT_HOME,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it. Without, nothing is changed: a dry run.")
    ] = False,
    keep_deleted: Annotated[
        int | None,
        typer.Option(min=1, max=3650, help="Keep what is deleted for so many days (bucket versioning)."),
    ] = None,
    admin_access_key_file: Annotated[
        Path | None, typer.Option(help="An administrator's access key: makes bucket, policy and node's user.")
    ] = None,
    admin_secret_key_file: Annotated[
        Path | None, typer.Option(help="The administrator's secret key. Neither is kept.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the bucket, its rule for older versions, and the node's key with the least policy. Dry run first.

    Without an administrator's key files the node's own key is used, and the policy is printed for whoever
    runs the store. With --apply the store is raced at the end, and refused if it would lose saved rows.

    Examples:

      atoll-node store init

      atoll-node store init --apply

      atoll-node store init --apply --admin-access-key-file root.access --admin-secret-key-file root.secret
    """
    node = node_of(context, home)
    administrator = _both(admin_access_key_file, admin_secret_key_file)
    preparation = plan_store(node, keep_deleted=keep_deleted, administrator=administrator)
    proof = None
    if apply:
        prepare_store(preparation)
        proof = prove_store(node, again=True)
    if as_json:
        print_json(_as_json(preparation, proof))
    else:
        _show(preparation, proof)
    if proof is not None:
        refuse_unsafe(proof)


@commands.command()
def migrate(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="current, a folder, or a .toml with [store].")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="A folder, or a .toml file with [store].")],
    home: HomeOption = DEFAULT_HOME,
    switch: Annotated[
        bool, typer.Option("--switch", help="When all is there, let the node live at TO. Stop `up` before.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a lake between stores, or between a folder and S3; each object is read back and compared by hash.

    Cut off, it goes on where it was when it is run again; run again later, it brings what changed. FROM
    stays as it is. Without --switch the node goes on using FROM, and may work meanwhile. Releases and their
    digests stay the same.

    Examples:

      atoll-node store migrate current new-store.toml

      atoll-node store migrate current new-store.toml --switch

      atoll-node store migrate current /srv/lake --switch
    """
    node = node_of(context, home)
    if as_json:
        done = migrate_lake(node, source, target, switch=switch, progress=_unseen)
        print_json(asdict(done))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console(errors=True), transient=True) as bars:
        bar = bars.add_task("copying", total=None)

        def seen(step: Step) -> None:
            bars.update(bar, total=step.of_bytes, completed=step.bytes)

        done = migrate_lake(node, source, target, switch=switch, progress=seen)
    report = done.report
    print_lines(
        f"{report.objects} objects, {report.bytes} bytes are at {done.target}: {report.copied} copied and "
        f"read back, {report.kept} there already, {report.removed} removed that FROM has no more",
        f"{done.releases} releases have all their files there",
    )
    if done.switched:
        print_lines(
            "the node lives there now; the settings before: atoll-node.toml.before-move",
            f"{done.source} is as it was: remove it when you are sure",
            "next: atoll-node doctor, then atoll-node up",
        )
    else:
        print_lines("the node still uses FROM; to change over, stop `up` and run it again with --switch")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(commands, name="store")


def _unseen(step: Step) -> None:
    """Show nothing: JSON is printed at the end."""


def _both(access: Path | None, secret: Path | None) -> tuple[Path, Path] | None:
    if access is None and secret is None:
        return None
    if access is None or secret is None:
        raise SettingsError(
            "store.admin_keys", "an administrator's key is two files", "give both --admin-…-key-file options"
        )
    return access, secret


def _show(preparation: Preparation, proof: Proof | None) -> None:
    store = preparation.store
    print_lines(f"store {store.endpoint}, bucket {store.bucket}, below {store.prefix or '/'}")
    for step in preparation.steps:
        mark = "done   " if proof is not None and step.state == "to do" else _MARKS[step.state]
        print_lines(f"  {mark}  {step.name}: {step.told}")
    print_lines("the least policy for the node's key:", json.dumps(preparation.policy, indent=2))
    if proof is None:
        print_lines("nothing was changed; to do it: atoll-node store init --apply")
        return
    for verdict in proof.verdicts:
        print_lines(f"  {'ok     ' if verdict.safe else 'refused'}  {verdict.told}")


def _as_json(preparation: Preparation, proof: Proof | None) -> dict[str, Any]:
    return {
        "bucket": preparation.store.bucket,
        "applied": proof is not None,
        "steps": [{"name": step.name, "state": step.state, "told": step.told} for step in preparation.steps],
        "policy": preparation.policy,
        "proof": None if proof is None else proof.model_dump(mode="json"),
    }
