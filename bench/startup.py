"""Measure how soon the SDK is there: ``import atoll`` and ``atoll --help``, beside ``python -c pass``.

Usage: ``python -m bench.startup [--json]``. Each figure is the median of several new processes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.figure import Figure

RUNS = 9
WARM_UP = 2
TARGETS = {"import atoll": 350.0, "atoll --help": 400.0}
"""Milliseconds to reach."""
HELP = "import sys; sys.argv = ['atoll', '--help']; from atoll.cli import app; app()"
WORK = {
    "python -c pass": "pass",
    "import atoll": "import atoll",
    "atoll --help": HELP,
    "import atoll; atoll.Hub": "import atoll; atoll.Hub",
}


def milliseconds(statement: str, runs: int = RUNS) -> float:
    """Return the median time of a new Python that runs ``statement``."""
    taken = [_once([sys.executable, "-c", statement]) for _ in range(WARM_UP + runs)]
    return statistics.median(taken[WARM_UP:])


def _once(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1000


def measure(runs: int = RUNS) -> dict[str, dict[str, float]]:
    """Return milliseconds, the ratio to an empty Python, and the target if there is one."""
    found = {name: milliseconds(statement, runs) for name, statement in WORK.items()}
    empty = found["python -c pass"]
    return {
        name: {"milliseconds": round(taken, 1), "ratio": round(taken / empty, 2)}
        | ({"target": TARGETS[name]} if name in TARGETS else {})
        for name, taken in found.items()
    }


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the two figures that have a target."""
    found = measure(3 if quick else RUNS)
    return tuple(
        Figure(
            f"`{name}`",
            f"{found[name]['milliseconds']:.0f} ms ({found[name]['ratio']:.1f} × an empty Python)",
            f"≤ {target:.0f} ms",
            found[name]["milliseconds"] <= target,
        )
        for name, target in TARGETS.items()
    )


def main() -> int:
    """Print the figures; return 1 when a target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    as_json = arguments.parse_args().json
    found = measure()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for name, figure in found.items():
            target = f"  (to reach: {figure['target']:.0f} ms)" if "target" in figure else ""
            sys.stdout.write(f"{name:<26}{figure['milliseconds']:8.1f} ms{figure['ratio']:8.2f} x{target}\n")
    missed = [name for name, figure in found.items() if figure["milliseconds"] > figure.get("target", 1e9)]
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
