"""Run a campaign of faults on a real store: ``python -m bench.faults --store minio --commits 300 --seed 1``.

Exit code 1 when a row was lost or doubled, a version is missing, a release changed or a record is lost.
The same seed draws the same faults; what they hit depends on the machine's timing too.
"""

import argparse
import sys
import tempfile
from math import inf
from pathlib import Path

from bench.faults.campaign import Outcome, campaign
from bench.faults.kinds import ALL
from tests.support.minio import running_minio
from tests.support.s3_server import binary_of
from tests.support.versity import running_versity

STORES = {"minio": running_minio, "versitygw": running_versity}


def main() -> int:
    """Print what was done and what did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=sorted(STORES), default="minio")
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=inf, help="stop after so long, and report")
    parser.add_argument("--only", choices=ALL, action="append", help="one kind of fault; may be repeated")
    options = parser.parse_args()
    if binary_of(options.store) is None:
        sys.stderr.write(f"faults: SKIPPED, there is no {options.store} here; run tools/parts\n")
        return 0
    kinds = tuple(options.only or ALL)
    with tempfile.TemporaryDirectory() as folder:
        outcome = campaign(
            STORES[options.store],
            Path(folder),
            commits=options.commits,
            seed=options.seed,
            kinds=kinds,
            seconds=options.minutes * 60,
        )
    sys.stdout.write(told(options.store, outcome))
    return int(bool(outcome.breaches))


def told(store: str, outcome: Outcome) -> str:
    """Return the report of a campaign."""
    lines = [
        f"{store}, seed {outcome.seed}: {outcome.commits} commits under faults, {outcome.releases} releases "
        f"and {outcome.ingests} ingests looked at, {outcome.seconds:.0f} s",
        "",
        "| fault | episodes | requests or processes hit |",
        "| --- | --- | --- |",
        *(
            f"| {kind} | {count} | {outcome.harmed[kind]} |"
            for kind, count in sorted(outcome.episodes.items())
        ),
        "",
        *(f"BREACH: {breach}" for breach in outcome.breaches),
        ""
        if outcome.breaches
        else "every acknowledged row is there once; no version is missing; releases and quarantine are whole",
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
