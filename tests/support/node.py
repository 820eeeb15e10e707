"""Run real nodes as processes: make, enrol, start, kill, and type commands as hospital IT does."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 30.0
_PLAIN = (sys.executable, "-m", "atoll_node")
_SHIFTED = (sys.executable, "-m", "tests.support.node_with_another_clock")
_ROOT = Path(__file__).parents[2]


@dataclass
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class NodeProcess:
    """One node's home, and its ``up`` process while it runs."""

    site: str
    home: Path
    clock_shift: float = 0.0
    """Seconds that the node's clock is ahead of the machine's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def cli(self, *arguments: str, check: bool = True) -> Done:
        """Run one command to its end."""
        done = subprocess.run(
            [*self._program(), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            cwd=_ROOT,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{arguments}: {done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)

    def begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Begin one command in the background, for a test that ends it."""
        with (self.home / "begun.log").open("ab") as log:
            return subprocess.Popen(
                [*self._program(), *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                cwd=_ROOT,
            )

    def call(self, *arguments: str) -> Any:
        """Run one command with ``--json`` and return what it printed."""
        return self.cli(*arguments, "--json").json()

    def start(self, *arguments: str) -> None:
        """Start ``up`` and wait until it was in touch with its hub."""
        self.launch(*arguments)
        self.wait_for("connected")

    def launch(self, *arguments: str) -> None:
        """Start ``up`` without waiting."""
        self.home.joinpath("state", "standing.json").unlink(missing_ok=True)
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._program(), "up", *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                cwd=_ROOT,
            )

    def wait_for(self, word: str) -> dict[str, Any]:
        """Wait until the node's word on its hub holds ``word``, in its state or code."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            said = self.standing()
            if word in (said.get("state"), said.get("code")):
                return said
            time.sleep(0.05)
        raise AssertionError(f"{self.site} never said {word}: {self.standing()} {self.log()}")

    def standing(self) -> dict[str, Any]:
        file = self.home / "state" / "standing.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def log(self) -> str:
        file = self.home / "up.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def kill(self) -> None:
        """Kill without a word (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop as a service manager does (SIGTERM); return the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until the process ends by itself and return its exit code."""
        assert self.process is not None
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def approve(self, permit: str, *narrowing: str) -> dict[str, Any]:
        """Approve a permit as this site's steward, once its request has come."""
        end = time.monotonic() + PATIENCE
        while permit not in [held["permit_id"] for held in self.call("permits", "list")]:
            assert time.monotonic() < end, f"{permit} was never requested"
            time.sleep(0.1)
        approved: dict[str, Any] = self.call(
            "permits", "approve", permit, "--yes", "--by", "steward", *narrowing
        )
        return approved

    def _end(self, sign: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(sign)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def _program(self) -> tuple[str, ...]:
        return _SHIFTED if self.clock_shift else _PLAIN

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ATOLL_")}
        kept |= {"ATOLL_NODE_HOME": str(self.home), "NO_PROXY": "127.0.0.1,localhost"}
        if self.clock_shift:
            kept["ATOLL_TEST_CLOCK_SHIFT"] = str(self.clock_shift)
        return kept | dict(self.environment)


def make_node(
    tmp: Path,
    site: str,
    hub_url: str,
    code: str | None,
    datasets: str = "",
    *,
    settings: str = "[agent]\npoll_seconds = 2\n",
    clock_shift: float = 0.0,
    environment: Mapping[str, str] | None = None,
) -> NodeProcess:
    """Make a node below ``tmp`` and, given a code, enrol it. ``datasets`` is TOML."""
    folder = tmp / site
    folder.mkdir(parents=True, exist_ok=True)
    answers = folder / "answers.toml"
    text = f'site = "{site}"\ntitle = "Hospital {site}"\nhub = "{hub_url}"\n{settings}\n{datasets}'
    tomllib.loads(text)
    answers.write_text(text, encoding="utf-8")
    node = NodeProcess(site, folder / "home", clock_shift, environment or {})
    node.cli("init", "--from", str(answers))
    if code is not None:
        node.cli("enroll", code)
    return node
