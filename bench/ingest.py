"""Measure the way in: OMOP CSV to released Delta, beside DuckDB's own ``COPY csv TO parquet``.

The measurements are synthetic: drawn from a seed, of no person. Usage: ``python -m bench.ingest --rows N``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from atoll_node.home import Home
from atoll_node.ingest import ingest, release
from atoll_node.keys import make_secrets
from atoll_node.settings import DatasetSettings, NodeSettings
from bench.figure import Figure

SEED = 20261123
ROWS, QUICK_ROWS = 10_000_000, 500_000
ROWS_PER_PERSON = 200
TARGET_RATIO, TARGET_MEMORY = 0.3, 2.0

PERSONS = """
SELECT i AS person_id, 8507 + 25 * (i % 2) AS gender_concept_id, 1930 + (i % 80)::INTEGER AS year_of_birth,
  0 AS race_concept_id, 0 AS ethnicity_concept_id, 'P' || i AS person_source_value
FROM range(1, {persons} + 1) t(i)
"""
PERIODS = """
SELECT i AS observation_period_id, i AS person_id, DATE '2010-01-01' AS observation_period_start_date,
  DATE '2019-12-31' AS observation_period_end_date, 32817 AS period_type_concept_id
FROM range(1, {persons} + 1) t(i)
"""
MEASUREMENTS = """
WITH drawn AS (
  SELECT i, 1 + (hash(i + {seed}) % {persons})::BIGINT AS person, hash(i + {seed} + 1) AS a,
    hash(i + {seed} + 2) AS b FROM range(1, {rows} + 1) t(i)
)
SELECT i AS measurement_id, person AS person_id, 3000000 + (a % 2000)::BIGINT AS measurement_concept_id,
  DATE '2010-01-01' + (b % 3650)::INTEGER AS measurement_date,
  (DATE '2010-01-01' + (b % 3650)::INTEGER)::TIMESTAMP + to_seconds((a % 86400)::INTEGER)
    AS measurement_datetime,
  32817 AS measurement_type_concept_id, round((b % 10000)::DOUBLE / 37, 2) AS value_as_number,
  8840 AS unit_concept_id, 1.0 AS range_low, 99.5 AS range_high,
  person * 10 + (b % 10)::BIGINT AS visit_occurrence_id, 'LAB' || (a % 2000) AS measurement_source_value,
  'mg/dL' AS unit_source_value
FROM drawn
"""


def generate(folder: Path, rows: int) -> None:
    """Write the synthetic CSV files."""
    persons = max(rows // ROWS_PER_PERSON, 1)
    folder.mkdir()
    with duckdb.connect() as connection:
        for name, query in (
            ("person", PERSONS), ("observation_period", PERIODS), ("measurement", MEASUREMENTS)
        ):  # fmt: skip
            text = query.format(rows=rows, persons=persons, seed=SEED)
            connection.execute(f"COPY ({text}) TO '{folder / name}.csv' (HEADER)")


def processor_seconds() -> float:
    """Return what this process has taken of the processors so far, in all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def copy_seconds(folder: Path, target: Path) -> tuple[float, float]:
    """Return the seconds, and those of processors, of DuckDB's own COPY of the same files."""
    used = processor_seconds()
    with duckdb.connect(config={"threads": 2}) as connection:
        begun = time.perf_counter()
        for file in sorted(folder.glob("*.csv")):
            connection.execute(
                f"COPY (FROM read_csv('{file}')) TO '{target / file.stem}.parquet' (FORMAT parquet)"
            )
        return time.perf_counter() - begun, processor_seconds() - used


def ingest_once(root: Path, folder: Path) -> dict[str, float]:
    """Ingest and release in this process; return seconds and peak memory in GB."""
    home = Home(root)
    make_secrets(home, bytes(range(32)))
    dataset = DatasetSettings(
        name="bench", title="Synthetic measurements", format="omop", path=folder, synthetic=True
    )
    node = NodeSettings(site="bench", title="Bench", hub="http://127.0.0.1", datasets=(dataset,))
    marks = [time.perf_counter()]
    staged: list[float] = []
    used = processor_seconds()
    ingest(
        dataset,
        node=node,
        home=home,
        clock=lambda: datetime.now(UTC),
        reading=lambda _: staged.append(time.perf_counter()),
    )
    marks.append(time.perf_counter())
    release(dataset, node=node, home=home, clock=lambda: datetime.now(UTC))
    marks.append(time.perf_counter())
    return {
        "sources_seconds": staged[-1] - marks[0],
        "ingest_seconds": marks[1] - marks[0],
        "release_seconds": marks[2] - marks[1],
        "processor_seconds": processor_seconds() - used,
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }


def measured(rows: int, scratch: Path) -> dict[str, float]:
    """Generate, copy, ingest in a process of its own, and compare."""
    folder = scratch / "omop"
    generate(folder, rows)
    first = copy_seconds(folder, scratch)
    child = subprocess.run(
        [sys.executable, "-m", "bench.ingest", "--child", str(scratch / "home"), str(folder)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    taken: dict[str, float] = json.loads(child.stdout)
    # Before and after, so that other work on the machine weighs on both sides alike.
    copy, used = mean_of(first, copy_seconds(folder, scratch))
    ours = taken["ingest_seconds"] + taken["release_seconds"]
    return {
        "rows": rows,
        "copy_seconds": copy,
        "copy_processor_seconds": used,
        **taken,
        "ratio": copy / ours,
        "processor_ratio": used / taken["processor_seconds"],
    }


def mean_of(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the mean of two measurements."""
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the rate beside DuckDB's own, and the memory."""
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(QUICK_ROWS if quick else ROWS, Path(scratch))
    ours = found["ingest_seconds"] + found["release_seconds"]
    return (
        Figure(
            f"OMOP CSV → released Delta, {found['rows']:,} measurements",
            f"{found['ratio']:.2f} × ({ours:.1f} s beside {found['copy_seconds']:.1f} s)",
            f"≥ {TARGET_RATIO} × the rows/s of DuckDB's `COPY csv TO parquet`",
            found["ratio"] >= TARGET_RATIO,
            f"reading and checking {found['sources_seconds']:.1f} s, all of ingest "
            f"{found['ingest_seconds']:.1f} s, release {found['release_seconds']:.1f} s; of processors "
            f"{found['processor_seconds']:.1f} s beside {found['copy_processor_seconds']:.1f} s, "
            f"{found['processor_ratio']:.2f} ×",
        ),
        Figure(
            "its memory",
            f"{found['memory_gb']:.2f} GB",
            f"≤ {TARGET_MEMORY:.0f} GB",
            found["memory_gb"] <= TARGET_MEMORY,
        ),
    )


def main() -> None:
    """Print the figures as JSON; the exit code tells whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(ingest_once(*arguments.child)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(arguments.rows, Path(scratch))
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2))
    reached = found["ratio"] >= TARGET_RATIO and found["memory_gb"] <= TARGET_MEMORY
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
