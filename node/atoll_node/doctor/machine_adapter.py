"""Read this machine's facts from the system: memory, disk, limits, and what a process listens on."""

import ipaddress
import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

from atoll_node.doctor.machine import Listener, Volume

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_LISTEN = "0A"


def memory_total(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory that this machine has, or that its container may use."""
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    limits = (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes")
    return min([machine, *(found for file in limits if (found := _number(file)) is not None)])


def volume_of(folder: Path) -> Volume:
    """Return the disk below a folder."""
    found = os.statvfs(folder)
    return Volume(found.f_bavail * found.f_frsize, found.f_files, found.f_favail)


def open_files_limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def listeners_of(process: int, proc: Path = PROC) -> tuple[Listener, ...]:
    """Return where a process and its children take connections."""
    sockets = {inode for one in _family(process, proc) for inode in _sockets(proc / str(one))}
    tables = [proc / str(process) / "net" / name for name in ("tcp", "tcp6")]
    return tuple(listener for table in tables for listener in _listening(table, sockets))


def _family(process: int, proc: Path) -> set[int]:
    """Return the process and all below it."""
    parents = {int(folder.name): _parent(folder) for folder in proc.iterdir() if folder.name.isdecimal()}
    found, before = {process}, set[int]()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in before}
    return found


def _parent(folder: Path) -> int | None:
    try:
        # The name in brackets may hold anything, so what follows its last bracket counts.
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _sockets(folder: Path) -> Iterator[str]:
    try:
        handles = list((folder / "fd").iterdir())
    except OSError:
        return
    for handle in handles:
        try:
            target = str(handle.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _listening(table: Path, sockets: Iterable[str]) -> Iterator[Listener]:
    """Read lines of ``/proc/net/tcp``: local address, port and inode of sockets that listen."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    wanted = set(sockets)
    for line in lines:
        parts = line.split()
        if parts[3] == _LISTEN and parts[9] in wanted:
            address, _, port = parts[1].partition(":")
            yield Listener(_address(address), int(port, 16))


def _address(text: str) -> str:
    """Return the address of groups of four bytes, each in the machine's (little-endian) order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
