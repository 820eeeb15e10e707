"""Look at the machine before the demo starts, and name what is wrong with its fix."""

import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

DISK_MEGABYTES = 500
MEMORY_MEGABYTES = 2_000


class DemoStopped(Exception):
    """The demo cannot go on; ``fix`` says what to do."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    found: str


def checked(out: Path, port: int | None) -> tuple[Check, ...]:
    """Run every check; raise :class:`DemoStopped` at the first that fails."""
    return (_python(), _disk(out), _memory(), _port(port))


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("Python", version)


def _disk(out: Path) -> Check:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_bytes(b"x" * 65_536)
        probe.unlink()
    except OSError as error:
        raise DemoStopped(
            f"the folder {out.name} cannot be written: {error.strerror}",
            "free some space or name another folder: make demo ARGS='--out /path/with/space'",
        ) from error
    free = shutil.disk_usage(out).free // 1_000_000
    if free < DISK_MEGABYTES:
        raise DemoStopped(
            f"only {free} MB are free on the disk of {out.name}; the demo needs {DISK_MEGABYTES} MB",
            "free some space or name another folder: make demo ARGS='--out /path/with/space'",
        )
    return Check("disk", f"{free / 1000:,.0f} GB free")


def _memory() -> Check:
    try:
        megabytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    except (ValueError, OSError, AttributeError):
        return Check("memory", "not known on this system")
    if megabytes < MEMORY_MEGABYTES:
        raise DemoStopped(
            f"only {megabytes} MB of memory are free; the demo needs {MEMORY_MEGABYTES} MB",
            "close other programs and run it again",
        )
    return Check("memory", f"{megabytes / 1000:,.1f} GB free")


def _port(port: int | None) -> Check:
    if port is None:
        return Check("port", "a free one on loopback")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoStopped(
                f"port {port} of this machine is in use: {error.strerror}",
                "name another one (make demo ARGS='--port 8471') or none, and a free one is taken",
            ) from error
    return Check("port", f"{port} is free")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
