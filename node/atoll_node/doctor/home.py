"""Judge the node's own folder: settings that are read as meant, secrets that nobody else can read."""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from atoll_node.doctor.examination import Finding, blocker, ok, warning
from atoll_node.home import Home
from atoll_node.keys import read_node_key, read_pseudonym_key
from atoll_node.moves import Move
from atoll_node.settings import SETTINGS_FILE, NodeSettings, absent_files


def configuration(settings: NodeSettings) -> Finding:
    """See that what the settings name is there. Settings that cannot be read arrive as the node's error."""
    absent = absent_files(settings)
    if absent:
        return warning(
            f"not there: {', '.join(absent)}", f"correct {SETTINGS_FILE}, or put the files where it says"
        )
    if not settings.datasets:
        return warning("no dataset is described", f"add [[datasets]] to {SETTINGS_FILE}")
    return ok(f"{SETTINGS_FILE} is read as meant; {len(settings.datasets)} datasets")


def secret_files(home: Home, store_keys: Iterable[Path]) -> Finding:
    """See that keys are whole, belong to the node's user, and are closed to everybody else."""
    read_node_key(home)
    read_pseudonym_key(home)
    keys = tuple(store_keys)
    for file in (home.root, home.secrets, home.node_key, home.pseudonym_key, *keys):
        finding = _open_to_others(file) or _of_another(file)
        if finding is not None:
            return finding
    return ok(f"{2 + len(keys)} key files, closed to others")


def old_lakes(moves: Sequence[Move], root: str) -> Finding:
    """See that folders where the lake lay before are gone: nobody is forgotten there.

    A bucket where it lay before cannot be looked at: its keys are no longer in the settings.
    """
    before = dict.fromkeys(move.before for move in moves if move.before != root)
    left = [
        place for place in before if not place.startswith("s3://") and any(Path(place).rglob("*.parquet"))
    ]
    if left:
        return warning(
            f"a lake was moved, and its old place still holds tables: {', '.join(left)}",
            "remove it when you are sure: who is forgotten from now on is not forgotten there",
        )
    return ok("no folder holds tables that the lake left behind")


def _open_to_others(file: Path) -> Finding | None:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return blocker(f"{file.name} cannot be read by the node's user", f"run: chown and chmod on {file}")
    if mode & 0o077:
        wanted = "700" if file.is_dir() else "600"
        return blocker(f"{file.name} may be read by others (mode {mode:o})", f"run: chmod {wanted} {file}")
    return None


def _of_another(file: Path) -> Finding | None:
    if file.stat().st_uid in (os.geteuid(), 0):
        return None
    return blocker(f"{file.name} belongs to another user", f"run: chown to the node's user on {file}")
