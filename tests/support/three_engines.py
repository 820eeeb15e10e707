"""Ask the reference engine and both emissions of the node's engine the same, and tell how they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from atoll_node.engine.batch import CohortBatch, Stays
from atoll_node.engine.engine import DuckDbEngine
from atoll_node.reference.cohort import select
from atoll_node.reference.events import question
from atoll_node.reference.rows import Cdm
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from tests.support.dense_sites import Tables
from tests.support.lake import release_of

Rows = Counter[tuple[int, date, date]]
Masks = tuple[Mapping[int, int], Mapping[int, int]]
_EPOCH = date(1970, 1, 1)
SETTINGS = EngineSettings(memory="500MB", threads=1)


@dataclass(frozen=True)
class Answer:
    """Cohort rows, and how many events have each mask: of all events, and of each person's best."""

    rows: Rows
    masks: Masks


def reference_answers(tables: Tables, asked: Sequence[CohortExpression]) -> list[Answer]:
    """Return what the reference engine answers."""
    cdm = Cdm(tables)
    found = [select(question(cdm, expression)) for expression in asked]
    return [
        Answer(
            Counter((stay.person_id, stay.start, stay.end) for stay in each.stays),
            (each.masks(0), each.masks(1)) if each.rules else ({}, {}),
        )
        for each in found
    ]


class NodeEngines:
    """The two emissions of the node's engine: statements, and arrays for many cohorts at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._statements = DuckDbEngine(SETTINGS, folder / "scratch")

    def by_statements(self, tables: Tables, asked: Sequence[CohortExpression]) -> list[Rows]:
        """Return the cohort rows that the statements find."""
        release = release_of(tables, self._folder)
        return [Counter(self._statements.cohort_rows(expression, release)) for expression in asked]

    def by_arrays(self, tables: Tables, asked: Sequence[CohortExpression]) -> list[Answer]:
        """Return what one batch over arrays finds. Raises the error of a cohort that cannot run."""
        batch = CohortBatch(release_of(tables, self._folder), SETTINGS, self._folder / "scratch")
        try:
            planned = batch.plan(dict(enumerate(asked)))
            for error in planned.failed.values():
                raise error
            parts: list[Stays] = []
            tallies = batch.run(planned.cohorts, parts.append)
        finally:
            batch.close()
        rows = [Rows() for _ in asked]
        for part in parts:
            lists = (part.cohort.tolist(), part.person.tolist(), part.start.tolist(), part.end.tolist())
            for cohort, person, start, end in zip(*lists, strict=True):
                rows[cohort][person, _day(start), _day(end)] += 1
        return [Answer(found, tallies[number].masks) for number, found in enumerate(rows)]


def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)
