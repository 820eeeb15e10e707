"""Start and stop the demo's real parts, one hub and three nodes, by the commands that people use."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.checks import DemoStopped

BIN = Path(sys.executable).parent


class Program:
    """One of Atoll's commands with its home folder."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self._running: subprocess.Popen[bytes] | None = None

    def call(self, *arguments: str) -> Any:
        """Run a subcommand with ``--json`` to its end and return what it printed."""
        done = subprocess.run(
            self._line([*arguments, "--json"]),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
        )
        if done.returncode not in (0, 3):
            raise self._failure(arguments, done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _failure(self, arguments: Sequence[str], code: int, errors: bytes) -> DemoStopped:
        return DemoStopped(
            f"`{self.name} {' '.join(arguments[:2])}` ended with {code}: {_last_line(errors)}",
            f"the full log is in {self.home.name}/logs; remove demo-out and run the demo again",
        )

    def follow(self, told: Callable[[dict[str, Any]], None], *arguments: str) -> Any:
        """Run a subcommand with ``--json --progress``, hand on each progress line, return what it printed."""
        with tempfile.TemporaryFile() as printed:  # a pipe would fill while the progress is read
            with subprocess.Popen(
                self._line([*arguments, "--json", "--progress"]), stdout=printed, stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL, env=self._environment(),
            ) as running:  # fmt: skip
                last = b""
                for line in running.stderr or ():
                    last = line
                    if line.startswith(b'{"dataset"'):
                        told(json.loads(line))
            if running.returncode != 0:
                raise self._failure(arguments, running.returncode, last)
            printed.seek(0)
            return json.load(printed)

    def entries(self) -> list[Any]:
        """Return the audit chain's entries, oldest first."""
        if self.name == "atoll-node":
            return list(self.call("audit", "list"))
        done = subprocess.run(
            self._line(["audit", "export"]), capture_output=True, stdin=subprocess.DEVNULL,
            env=self._environment(), check=True,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def up(self, *arguments: str) -> None:
        """Start ``up`` in the background; its lines go to ``up.log`` in the home folder."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "up.log").open("ab") as log:
            self._running = subprocess.Popen(
                self._line(["up", *arguments]), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=self._environment(), start_new_session=True,
            )  # fmt: skip

    def alive(self) -> bool:
        """Whether the background process still runs."""
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int | None:
        """The background process's id."""
        return self._running.pid if self._running else None

    def stop(self, seconds: float = 8) -> None:
        """Ask the background process to end; end it by its id when it does not."""
        running, self._running = self._running, None
        if running is None or running.poll() is not None:
            return
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(seconds)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()

    def log_tail(self) -> str:
        """Return the last line that the background process wrote."""
        log = self.home / "up.log"
        return _last_line(log.read_bytes()) if log.exists() else ""

    def _line(self, arguments: Sequence[str]) -> list[str]:
        return [str(BIN / self.name), *arguments]

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ATOLL_")}
        variable = "ATOLL_HUB_HOME" if self.name == "atoll-hub" else "ATOLL_NODE_HOME"
        return {**kept, variable: str(self.home), "NO_PROXY": "127.0.0.1,localhost", "COLUMNS": "200"}


@dataclass
class Hospital:
    """One site: its node, and the files that its systems export."""

    site: str
    title: str
    files: Path
    node: Program
    reports: dict[str, Any] = field(default_factory=dict)


@dataclass
class Federation:
    """Everything that runs."""

    hub: Program
    url: str
    hospitals: list[Hospital]

    def programs(self) -> list[tuple[str, Program]]:
        """Name every part."""
        return [("hub", self.hub), *((hospital.site, hospital.node) for hospital in self.hospitals)]

    def stop(self) -> None:
        """Stop every process, nodes first."""
        for hospital in self.hospitals:
            hospital.node.stop()
        self.hub.stop()


def wait_until(true: Any, seconds: float, cause: str, fix: str) -> None:
    """Call ``true()`` until it holds; raise :class:`DemoStopped` when the time is over."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise DemoStopped(cause, fix)
        time.sleep(0.1)


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
