"""`backup` and `restore`: what of a node is not in its store."""

from pathlib import Path
from typing import Annotated

import typer

from atoll_node.bootstrap.backup import Checked, back_up, drill
from atoll_node.bootstrap.backup import restore as bring_back
from atoll_node.cli.screen import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    node_of,
    print_json,
    print_lines,
    print_table,
    world_of,
)
from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_schemas.problems import ExitCode

PassphraseOption = Annotated[
    Path, typer.Option("--passphrase-file", help="A file with the passphrase, which only you may read.")
]


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where the backup goes; never over a file that is there.")],
    passphrase_file: PassphraseOption,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write keys, settings, permits, ledger, audit and releases into one sealed file, while the node runs.

    Tables are in the store and have its own backup. Keep the passphrase apart from the file.

    Examples:

      atoll-node backup /mnt/backup/node-monday.atoll --passphrase-file /root/backup.pass
    """
    node = node_of(context, home)
    manifest = back_up(node, file, _passphrase(passphrase_file))
    if as_json:
        print_json(manifest.wire())
        return
    print_lines(
        f"{len(manifest.files)} files of site {manifest.site}, sealed", "try it: atoll-node restore … --drill"
    )


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The backup.")],
    passphrase_file: PassphraseOption,
    home: HomeOption = DEFAULT_HOME,
    only_drill: Annotated[
        bool, typer.Option("--drill", help="Restore into a folder that is thrown away, and check everything.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup into an empty home. Every active permit is suspended until a steward approves again.

    The ledger is as old as the backup, so answers given since are unknown to it. Forget again whoever was
    forgotten since.

    Examples:

      atoll-node restore node-monday.atoll --passphrase-file /root/backup.pass --drill

      atoll-node restore node-monday.atoll --passphrase-file /root/backup.pass --home /srv/atoll-node
    """
    place, world, passphrase = Home(home.absolute()), world_of(context), _passphrase(passphrase_file)
    if only_drill:
        _show_drill(drill(file, passphrase, world), as_json)
        return
    manifest, suspended = bring_back(file, place, passphrase, world)
    if as_json:
        print_json(manifest.wire() | {"suspended": list(suspended)})
        return
    print_lines(
        f"{len(manifest.files)} files of site {manifest.site}, as of {manifest.at:%Y-%m-%d %H:%M} UTC",
        f"permits suspended: {', '.join(suspended) or 'none was active'}",
        "next: atoll-node permits list, then atoll-node up",
    )


def add_to(commands: typer.Typer) -> None:
    """Add the commands of this module."""
    commands.command()(backup)
    commands.command()(restore)


def _show_drill(found: tuple[Checked, ...], as_json: bool) -> None:
    if as_json:
        print_json([{"what": one.what, "holds": one.holds, "detail": one.detail} for one in found])
    else:
        rows = [("ok" if one.holds else "BAD", one.what, one.detail) for one in found]
        print_table("restore drill", ("", "what", "detail"), rows)
    if not all(one.holds for one in found):
        raise typer.Exit(ExitCode.ERROR)


def _passphrase(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        content = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError("backup.passphrase", "the passphrase file cannot be read") from error
    if mode & 0o077:
        raise SettingsError(
            "backup.passphrase", "the passphrase file may be read by others", "run: chmod 600 on it"
        )
    return content
