"""Run all definitions of a folder on a folder of CDM files, once, and print what it took as one line of JSON.

``bench.circe`` starts this in a process of its own, so that its memory is that of the run alone.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from atoll_node.cohort_run import read_definitions, run_definitions
from atoll_node.engine.cohort_files import release_of_folder
from atoll_node.settings import EngineSettings


def main() -> None:
    """Time from the first definition read to the last file written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("definitions", type=Path)
    parser.add_argument("cdm", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    settings = EngineSettings(memory="3GB", threads=options.threads)
    started, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        read = read_definitions([options.definitions], _unseen)
        ran = run_definitions(
            read,
            release_of_folder(options.cdm),
            None,
            options.out,
            settings=settings,
            scratch=Path(scratch),
            shows=_unseen,
        )
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "processor_seconds": time.process_time() - worked,
                "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
                "cohorts": ran.cohorts,
                "rows": ran.rows,
                "failed": len(ran.failed),
                "each": ran.seconds,
            }
        )
    )


def _unseen(stage: str, share: float) -> None:
    """Show nothing: one line is printed at the end."""


if __name__ == "__main__":
    main()
