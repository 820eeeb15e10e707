"""Run a campaign of faults on a real store: ``python -m bench.faults --store minio --commits 300 --seed 1``.

Exit code 1 when a row was lost or doubled, a version is missing, a release changed or a record is lost.
The same seed draws the same faults; what they hit depends on the machine's timing too.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from bench.faults.campaign import WHOLE, Outcome, Plan, campaign
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
    parser.add_argument("--batches", type=int, default=WHOLE.batches, help="of each writer of an episode")
    parser.add_argument("--writers", type=int, default=WHOLE.writers, help="at most so many race")
    parser.add_argument("--chapter", type=int, default=WHOLE.chapter, help="batches until a new table")
    parser.add_argument("--folder", type=Path, help="where store and tables lie; kept for looking at")
    options = parser.parse_args()
    if binary_of(options.store) is None:
        sys.stderr.write(f"faults: SKIPPED, there is no {options.store} here; run tools/parts\n")
        return 0
    plan = Plan(
        kinds=tuple(options.only or ALL),
        batches=options.batches,
        writers=options.writers,
        chapter=options.chapter,
    )
    with _folder(options.folder) as folder:
        outcome = campaign(
            STORES[options.store],
            folder,
            commits=options.commits,
            seed=options.seed,
            plan=plan,
            seconds=options.minutes * 60,
            told=_so_far,
        )
    sys.stdout.write(told(options.store, outcome))
    return int(bool(outcome.breaches))


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _so_far(outcome: Outcome) -> None:
    sys.stderr.write(
        f"faults: {outcome.commits} commits, {outcome.tables - 1} tables finished, {outcome.seconds:.0f} s, "
        f"{len(outcome.breaches)} breaches\n"
    )


def told(store: str, outcome: Outcome) -> str:
    """Return the report of a campaign."""
    lines = [
        f"{store}, seed {outcome.seed}: {outcome.commits} commits under faults, {outcome.releases} releases "
        f"and {outcome.episodes['ingest killed']} ingests looked at, {outcome.tables} tables, "
        f"{outcome.seconds:.0f} s",
        "",
        "| fault | episodes | requests or processes hit | commits acknowledged |",
        "| --- | --- | --- | --- |",
        *(
            f"| {kind} | {count} | {outcome.harmed[kind]} | {outcome.acknowledged[kind]} |"
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
