"""Measure every work side by side and write ``bench/RESULTS.md`` with the machine that it ran on.

``make bench`` runs all; ``make bench ARGS="--quick --only aggregate"`` takes small data and one work;
with ``--quick`` nothing is written. Every figure is a ratio to a peer in the same run, or stands beside its
limit.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Figure

WORKS = (
    "startup", "node_start", "aggregate", "aggregate_minio", "circe", "federated", "ingest", "feed",
    "small_commits", "hub",
)  # fmt: skip
"""The modules, each with ``figures(quick)``."""
RESULTS = Path(__file__).with_name("RESULTS.md")
_LIBRARIES = ("duckdb", "deltalake", "pyarrow", "fastapi", "pydantic")
_INTRODUCTION = """# What was measured

Written by `make bench`. The machine is named because seconds are its own; ratios are of one run. Data are
synthetic and seeded unless a line says otherwise.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data; nothing is written")
    parser.add_argument("--only", choices=WORKS, action="append", help="one work; may stand several times")
    options = parser.parse_args(arguments)
    works = tuple(options.only or WORKS)
    found = {work: _measured(work, options.quick) for work in works}
    page = page_of(found)
    sys.stdout.write(page)
    if not options.quick:
        RESULTS.write_text(page, encoding="utf-8")
    return int(any(figure.reached is False for figures in found.values() for figure in figures))


def _measured(work: str, quick: bool) -> tuple[Figure, ...]:
    sys.stderr.write(f"bench: {work} …\n")
    command = [sys.executable, "-m", "bench.one", work, *(["--quick"] if quick else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return tuple(Figure(**one) for one in json.loads(done.stdout))


def page_of(found: dict[str, tuple[Figure, ...]]) -> str:
    """Return the page: the machine, and a table of the figures."""
    lines = [_INTRODUCTION, machine(), "", "| work | measured | to reach | |", "| --- | --- | --- | --- |"]
    lines += [_line(figure) for figures in found.values() for figure in figures]
    details = [figure for figures in found.values() for figure in figures if figure.detail]
    lines += ["", *(f"- **{figure.work}**: {figure.detail}" for figure in details)]
    left_out = [work for work in WORKS if work not in found]
    lines += ["", f"Not measured in this run: {', '.join(left_out)}."] if left_out else []
    return "\n".join(lines).rstrip() + "\n"


def _line(figure: Figure) -> str:
    verdict = {True: "reached", False: "**missed**", None: ""}[figure.reached]
    return f"| {figure.work} | {figure.measured} | {figure.to_reach} | {verdict} |"


def machine() -> str:
    """Return a sentence on what the figures were measured with."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d} · {os.cpu_count()} cores ({platform.machine()}), "
        f"{memory:.0f} GB memory · {platform.system()}, Python {platform.python_version()}, {libraries}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
