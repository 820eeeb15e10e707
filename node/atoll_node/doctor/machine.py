"""Judge the machine: memory, disk, inodes, open files, and ports that the world could reach."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from atoll_node.doctor.examination import Finding, blocker, ok, warning
from atoll_node.settings import AgentSettings, EngineSettings, size_of

GB = 1_000_000_000
BASE_MEMORY = GB
"""What the node needs beside the engine: Python, Delta logs, buffers of ingest."""
LEAST_FREE = 2 * GB
LEAST_INODES, FEW_INODES = 10_000, 100_000
LEAST_OPEN_FILES, FEW_OPEN_FILES = 512, 4_096


@dataclass(frozen=True)
class Volume:
    """The disk below a folder. A file system that makes inodes as it needs them has ``inodes`` 0."""

    free: int
    inodes: int
    free_inodes: int


@dataclass(frozen=True)
class Listener:
    """An address on which a process of the node takes connections."""

    address: str
    port: int


def memory(engine: EngineSettings, agent: AgentSettings, total: int) -> Finding:
    """Weigh what the settings let the engine take against what this machine, or its container, has."""
    wanted = size_of(engine.memory) * agent.tasks_at_once + size_of(engine.columns) + BASE_MEMORY
    told = f"{_shown(wanted)} may be used, {_shown(total)} are there"
    if wanted > total:
        return blocker(
            told,
            "lower engine.memory, engine.columns or agent.tasks_at_once, or give the machine more memory",
        )
    if wanted > 0.8 * total:
        return warning(told, "lower engine.memory: the system and the disk cache need some too")
    return ok(told)


def disk(engine: EngineSettings, volume: Volume) -> Finding:
    """Weigh free room below the node's home against what a query may spill."""
    spill = size_of(engine.spill)
    told = f"{_shown(volume.free)} are free, a query may spill {_shown(spill)}"
    if volume.free < LEAST_FREE:
        return blocker(told, f"free at least {_shown(LEAST_FREE)} on the disk of the node's home")
    if volume.free < spill:
        return warning(told, "free some room, or lower engine.spill")
    return ok(told)


def inodes(volume: Volume) -> Finding:
    """See that the disk can still take new files."""
    if volume.inodes == 0:
        return ok("this file system makes inodes as it needs them")
    told = f"{volume.free_inodes} of {volume.inodes} inodes are free"
    if volume.free_inodes < LEAST_INODES:
        return blocker(told, "remove small files from the disk of the node's home, or use another disk")
    if volume.free_inodes < FEW_INODES:
        return warning(told, "see what fills the disk with small files")
    return ok(told)


def open_files(limit: int) -> Finding:
    """See that a query may open all the files of a large release."""
    told = f"this process may open {limit} files"
    fix = "set LimitNOFILE=65536 in the service, or run: ulimit -n 65536"
    if limit < LEAST_OPEN_FILES:
        return blocker(told, fix)
    return warning(told, fix) if limit < FEW_OPEN_FILES else ok(told)


def listening(listeners: Sequence[Listener], *, running: bool) -> Finding:
    """See that no process of the node takes connections from other machines."""
    public = [one for one in listeners if not ipaddress.ip_address(one.address).is_loopback]
    if public:
        shown = ", ".join(f"{one.address} port {one.port}" for one in public)
        return blocker(
            f"the node takes connections on {shown}",
            "the node itself never does: see what was added to its process, and stop it",
        )
    if not running:
        return ok("the node is not up; nothing of it listens")
    return ok("the node takes no connection from other machines")


def _shown(size: int) -> str:
    return f"{size / GB:.1f} GB"
