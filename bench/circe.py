"""Measure 300 published cohort definitions: compile and run, on 2,400 persons and on a million.

Without the shared conformance set beside the project the same is measured on synthetic data, and says so.
Run: ``python -m bench.circe`` prints the slowest definitions with their plans too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.batch import CohortBatch
from atoll_node.engine.cohort_files import FOLDER_DATASET, release_of_folder
from atoll_node.engine.plan import Cohort, Condition, Counted
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Count, Demographic, Query, Variable
from bench.circe_data import write_cdm, write_definitions
from bench.figure import Figure
from tests.support.copied_cdm import copy_cdm
from tests.support.shared_data import SHARED

SMALL_SECONDS, LARGE_SECONDS, COMPILE_SECONDS, COUNT_SECONDS = 2.0, 6.0, 0.005, 0.5
MOST_GB = 6.0
COPIES, QUICK_COPIES = 417, 20
SYNTHETIC_PERSONS, SYNTHETIC_DEFINITIONS = 2_400, 300
_REFERENCE = {"small": 28.9, "large": 57.0}
"""Seconds of OHDSI's reference SQL on two cores, as the conformance set tells them."""
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Data:
    """Definitions and a small CDM, published or synthetic."""

    definitions: Path
    cdm: Path
    label: str
    published: bool


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, then the slowest ten definitions at a million persons and what each plan does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few copies")
    parser.add_argument("--synthetic", action="store_true", help="leave the shared conformance set alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        data = data_in(Path(folder), synthetic=options.synthetic)
        measured, slowest = measure(data, Path(folder), QUICK_COPIES if options.quick else COPIES)
    for figure in measured:
        print(f"{figure.work}: {figure.measured} ({figure.to_reach})")
    print("\nthe slowest ten, and what bounds them")
    print("\n".join(slowest))


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return the figures of the table of cohorts."""
    with tempfile.TemporaryDirectory() as folder:
        measured, _ = measure(
            data_in(Path(folder), synthetic=False), Path(folder), QUICK_COPIES if quick else COPIES
        )
    return measured


def data_in(folder: Path, *, synthetic: bool) -> Data:
    """Return the shared conformance set, or synthetic data where it is absent."""
    shared = SHARED / "circe"
    if shared.exists() and not synthetic:
        return Data(shared / "definitions", shared / "cdm", "published definitions", published=True)
    return Data(
        write_definitions(folder / "definitions", SYNTHETIC_DEFINITIONS),
        write_cdm(folder / "synthetic", SYNTHETIC_PERSONS),
        "SYNTHETIC definitions on SYNTHETIC data",
        published=False,
    )


def measure(data: Data, folder: Path, copies: int) -> tuple[tuple[Figure, ...], list[str]]:
    """Return the figures, and a line on each of the slowest definitions."""
    many = copy_cdm(data.cdm, folder / "copied", copies)
    small = _run(data, data.cdm, folder / "small")
    large = _run(data, many, folder / "large")
    if large["rows"] != copies * small["rows"] or small["failed"] or large["failed"]:
        raise SystemExit("bench: the copies do not give the rows so many times")
    expressions = _expressions(data)
    compiled = statistics.median(one["compile"] for one in small["each"].values())
    counted = _first_count_seconds(many, folder)
    persons = f"{2_400 * copies:,}"
    measured = (
        _in_all(f"{small['cohorts']} {data.label}, 2,400 persons", small, SMALL_SECONDS, data, "small"),
        _in_all(f"the same on {persons} persons", large, LARGE_SECONDS, data, "large"),
        Figure(
            "memory of that run", f"{large['memory_gb']:.1f} GB", f"≤ {MOST_GB:.0f} GB",
            large["memory_gb"] <= MOST_GB,
        ),
        Figure(
            "compile one definition, median", f"{compiled * 1000:.1f} ms",
            f"≤ {COMPILE_SECONDS * 1000:.0f} ms", compiled <= COMPILE_SECONDS,
        ),
        Figure(
            f"first count by sex over {persons} persons", f"{counted:.2f} s", f"≤ {COUNT_SECONDS} s",
            counted <= COUNT_SECONDS,
        ),
    )  # fmt: skip
    return measured, _slowest(data, large["each"], expressions, folder)


def _in_all(work: str, found: Found, limit: float, data: Data, size: str) -> Figure:
    compiling = sum(one["compile"] for one in found["each"].values())
    beside = f"; OHDSI's reference SQL took {_REFERENCE[size]} s on two cores" if data.published else ""
    return Figure(
        work,
        f"{found['seconds']:.1f} s ({found['processor_seconds']:.1f} s of processors)",
        f"≤ {limit} s in all, compile and run, 2 threads",
        found["seconds"] <= limit,
        f"reading and planning {compiling:.1f} s; {found['rows']:,} rows written{beside}",
    )


def _run(data: Data, cdm: Path, out: Path) -> Found:
    command = [sys.executable, "-m", "bench.circe_run", str(data.definitions), str(cdm), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(done.stdout)
    return found


def _expressions(data: Data) -> dict[int, CohortExpression]:
    return {
        int(file.stem): CohortExpression.from_json(file.read_bytes())
        for file in data.definitions.glob("*.json")
    }


def _first_count_seconds(cdm: Path, folder: Path) -> float:
    """Seconds of the first count on a release whose database was just opened: everybody, by sex."""
    primary = {"CriteriaList": [{"ObservationPeriod": {}}], "PrimaryCriteriaLimit": {"Type": "First"}}
    query = Query(
        project="B-1",
        dataset=FOLDER_DATASET,
        cohort=CohortExpression.from_json({"PrimaryCriteria": primary}),
        analysis=Count(by=(Variable(name="sex", definition=Demographic(field="sex")),)),
    )
    release = release_of_folder(cdm)
    engine = DuckDbEngine(EngineSettings(memory="3GB", threads=2), folder / "scratch")
    started = time.perf_counter()
    engine.run(query, release, clock=time.perf_counter)
    seconds = time.perf_counter() - started
    engine.close()
    return seconds


def _slowest(
    data: Data,
    each: Mapping[str, Mapping[str, float]],
    expressions: Mapping[int, CohortExpression],
    folder: Path,
) -> list[str]:
    batch = CohortBatch(release_of_folder(data.cdm), EngineSettings(), folder / "scratch")
    numbers = sorted((int(number) for number in each), key=lambda number: -each[str(number)]["run"])[:10]
    planned = batch.plan({number: expressions[number] for number in numbers}).cohorts
    batch.close()
    return [f"{number}: {each[str(number)]['run']:.2f} s · {outline(planned[number])}" for number in numbers]


def outline(cohort: Cohort) -> str:
    """Say in one line what a plan does."""
    entry = ", ".join(sorted({events.domain for events in cohort.entry}))
    counted = sum(_counts(rule.condition) for rule in cohort.rules)
    counted += 0 if cohort.additional is None else _counts(cohort.additional)
    end = "end of observation" if cohort.end is None else type(cohort.end).__name__
    return (
        f"{len(cohort.entry)} entry criteria ({entry}), {cohort.entry_order}; {len(cohort.rules)} rules; "
        f"{counted} counted criteria; ends by {end}, {len(cohort.censoring)} censoring; pad {cohort.era_pad}"
    )


def _counts(condition: Condition) -> int:
    total = 0
    for member in condition.members:
        if isinstance(member, Condition):
            total += _counts(member)
        elif isinstance(member, Counted):
            total += 1 + (0 if member.events.condition is None else _counts(member.events.condition))
    return total


if __name__ == "__main__":
    main()
