"""Run cohort definitions on local data, for the hospital's own eyes: the way that does not lead to the hub.

Rows of persons are written to a folder of this machine. Nothing here can be reached from the agent.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from atoll_node.engine.batch import CohortBatch
from atoll_node.engine.cohort_files import CohortFiles
from atoll_node.engine.connection import S3Access
from atoll_node.errors import EngineError, NodeError, SourceError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortError, CohortExpression

LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Failure:
    """A definition that did not run."""

    file: str
    reason: str
    next_step: str | None = None


@dataclass(frozen=True)
class Definitions:
    """What was read: expressions by the number in their file's name, and what could not be read."""

    expressions: Mapping[int, CohortExpression]
    files: Mapping[int, str]
    seconds: Mapping[int, float]
    failed: tuple[Failure, ...]


@dataclass(frozen=True)
class Ran:
    """How a run went. ``seconds``: compile and run of each, with its share of reading and writing."""

    cohorts: int
    rows: int
    seconds: Mapping[int, Mapping[str, float]]
    failed: tuple[Failure, ...]


Shows = Callable[[str, float], None]
"""Is told a stage and the share of it that is done."""


def read_definitions(places: Iterable[Path], shows: Shows) -> Definitions:
    """Read files, and every ``*.json`` of folders. Raises ``SourceError`` when there is none."""
    files = [file for place in places for file in _files(place)]
    if not files:
        raise SourceError(
            "cohort.none", "there is no cohort definition", "name JSON files or a folder of them"
        )
    expressions: dict[int, CohortExpression] = {}
    names: dict[int, str] = {}
    seconds: dict[int, float] = {}
    failed: list[Failure] = []
    for place, file in enumerate(files, start=1):
        started = time.perf_counter()
        try:
            number = _number(file, expressions)
            expressions[number] = CohortExpression.from_json(file.read_bytes())
        except (CohortError, SourceError, OSError) as error:
            failed.append(Failure(file.name, str(error)))
        else:
            names[number] = file.name
            seconds[number] = time.perf_counter() - started
        shows("reading", place / len(files))
    return Definitions(expressions, names, seconds, tuple(failed))


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(place.glob("*.json"), key=lambda file: (len(file.stem), file.stem))
    if not place.exists():
        raise SourceError("cohort.file", f"{place} does not exist", "name JSON files or a folder of them")
    return [place]


def _number(file: Path, known: Mapping[int, CohortExpression]) -> int:
    text = file.stem
    if not (
        text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID)) and int(text) <= LARGEST_ID
    ):
        raise SourceError(
            "cohort.name", "the file's name is no number, so its rows could have no number either"
        )
    if int(text) in known:
        raise SourceError("cohort.name", "another file has the same number")
    return int(text)


def run_definitions(
    definitions: Definitions,
    release: Release,
    s3: S3Access | None,
    out: Path,
    *,
    settings: EngineSettings,
    scratch: Path,
    shows: Shows,
) -> Ran:
    """Evaluate the definitions on a release and write four files into ``out``. Raises ``NodeError``.

    ``s3`` is needed when the release's tables lie in a bucket.
    """
    with closing(CohortBatch(release, settings, scratch, s3)) as batch, closing(CohortFiles(out)) as files:
        planned = batch.plan(definitions.expressions)
        tallies = batch.run(planned.cohorts, files.add, lambda share: shows("evaluating", share))
        started = time.perf_counter()
        files.write(tallies)
        writing = (time.perf_counter() - started) / max(1, len(tallies))
    faults = dict(planned.failed)
    faults |= {number: tally.failed for number, tally in tallies.items() if tally.failed is not None}
    failed = [_failure(definitions, number, error) for number, error in sorted(faults.items())]
    seconds = {
        number: {
            "compile": round(definitions.seconds[number] + planned.seconds[number], 6),
            "run": round(tally.seconds + writing, 6),
        }
        for number, tally in sorted(tallies.items())
        if tally.failed is None
    }
    _write_seconds(seconds, out)
    return Ran(len(seconds), files.rows, seconds, (*definitions.failed, *failed))


def _failure(definitions: Definitions, number: int, error: NodeError) -> Failure:
    return Failure(definitions.files[number], f"{error.code}: {error.message}", error.next_step)


def _write_seconds(seconds: Mapping[int, Mapping[str, float]], out: Path) -> None:
    try:
        (out / "seconds.json").write_text(json.dumps(seconds, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise EngineError(
            "cohort.write", f"seconds.json cannot be written ({error.strerror})", "check the folder"
        ) from None
