"""Measure one of the works in a process of its own, so that none warms or burdens the next."""

import argparse
import dataclasses
import importlib
import json
import sys


def main() -> None:
    """Print the figures of a module as JSON; everything else it says goes to the error stream."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    figures = importlib.import_module(f"bench.{options.module}").figures(options.quick)
    sys.stdout.write(json.dumps([dataclasses.asdict(figure) for figure in figures]) + "\n")


if __name__ == "__main__":
    main()
