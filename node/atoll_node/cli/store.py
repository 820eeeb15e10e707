"""`store`: prepare the bucket that holds the lake."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from atoll_node.bootstrap.store import Preparation, plan_store, prepare_store, prove_store
from atoll_node.cli.screen import DEFAULT_HOME, HomeOption, JsonOption, node_of, print_json, print_lines
from atoll_node.errors import SettingsError
from atoll_node.store.proof import Proof, refuse_unsafe

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


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(commands, name="store")


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
