"""Type commands at a node that has one OMOP dataset, ``lab``, in a folder."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atoll_node.cli import app
from atoll_node.home import Home
from tests.support.hospital import small_export
from tests.support.lake import Rows
from tests.support.node_records import Clock, frozen_world

SETTINGS = """
site = "atoll-a"
title = "A"
hub = "http://127.0.0.1:9"

[[datasets]]
name = "lab"
title = "Lab"
format = "omop"
path = "export"
load = "{load}"
"""


@dataclass
class LakeNode:
    """A node's home, and what its commands say."""

    home: Home
    clock: Clock
    capsys: pytest.CaptureFixture[str]

    def export(self, tables: dict[str, Rows]) -> None:
        """Make the export folder hold exactly these tables, as CSV."""
        folder = self.home.root / "export"
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, rows in tables.items():
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

    def run(self, *arguments: str, home: Path | None = None) -> tuple[int, str, str]:
        """Type a command; return exit code, stdout and stderr."""
        code = app([*arguments, "--home", str(home or self.home.root)], frozen_world(self.clock))
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def call(self, *arguments: str) -> Any:
        """Type a command with ``--json`` that ends well; return what it printed."""
        code, out, error = self.run(*arguments, "--json")
        assert code == 0, error
        return json.loads(out)

    def files(self) -> set[Path]:
        """Return every data file of the lake."""
        return set((self.home.root / "lake").rglob("*.parquet"))


MakeNode = Callable[..., LakeNode]


def make_node(
    root: Path, capsys: pytest.CaptureFixture[str], *, load: str = "full", more: str = ""
) -> LakeNode:
    """Make the home by ``init`` and give it a small export."""
    answers = root / "answers.toml"
    root.mkdir(parents=True, exist_ok=True)
    answers.write_text(SETTINGS.format(load=load) + more)
    node = LakeNode(Home(root / "node"), Clock(), capsys)
    code, _, error = node.run("init", "--from", str(answers))
    assert code == 0, error
    node.export(small_export())
    return node
