"""Every definition of the shared conformance set gives the published rows, inclusion results and summary."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.batch import CohortBatch, Stays, Tally
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from tests.support.lake import release_of_files
from tests.support.shared_data import shared

pytestmark = pytest.mark.shared
Rows = Counter[tuple[int, date, date]]
LEFT_TO_CHANCE = 1071
"""Its entry events (eleven dates of one observation period) tie in all by which OHDSI's SQL numbers them, and
it numbers them twice; which of a person's years it keeps is then left to the database."""


@pytest.fixture(scope="module")
def definitions() -> dict[int, CohortExpression]:
    return {
        int(file.stem): CohortExpression.from_json(file.read_text(encoding="utf-8"))
        for file in sorted(shared("circe/definitions").glob("*.json"))
    }


@pytest.fixture(scope="module")
def release() -> Release:
    return release_of_files({file.stem: [file] for file in shared("circe/cdm").glob("*.parquet")})


def columns(name: str) -> list[tuple[int, ...]]:
    table = pq.read_table(shared(f"circe/{name}.parquet"))
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.fixture(scope="module")
def expected() -> dict[int, Rows]:
    rows: dict[int, Rows] = defaultdict(Counter)
    for cohort, *row in columns("expected_cohorts"):
        rows[cohort][(row[0], row[1], row[2])] += 1
    return rows


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbEngine]:
    engine = DuckDbEngine(EngineSettings(), tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.close()


class Answers:
    """What one batch of all definitions found."""

    def __init__(self, tallies: Mapping[int, Tally], parts: list[Stays]) -> None:
        self.tallies = tallies
        self.rows: dict[int, Rows] = defaultdict(Counter)
        for part in parts:
            lists = (part.cohort.tolist(), part.person.tolist(), part.start.tolist(), part.end.tolist())
            for cohort, person, start, end in zip(*lists, strict=True):
                self.rows[cohort][(person, day(start), day(end))] += 1


def day(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=number)


@pytest.fixture(scope="module")
def answers(
    definitions: dict[int, CohortExpression], release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    batch = CohortBatch(release, EngineSettings(), tmp_path_factory.mktemp("scratch"))
    planned = batch.plan(definitions)
    assert planned.failed == {}
    parts: list[Stays] = []
    tallies = batch.run(planned.cohorts, parts.append)
    batch.close()
    return Answers(tallies, parts)


def test_all_definitions_are_read(definitions: dict[int, CohortExpression]) -> None:
    assert len(definitions) == 300


def test_every_definition_survives_the_wire(definitions: dict[int, CohortExpression]) -> None:
    for expression in list(definitions.values())[::10]:
        again = CohortExpression.from_wire(expression.wire())
        assert again == expression
        assert again.digest() == expression.digest()


def test_every_definition_gives_the_published_rows(answers: Answers, expected: dict[int, Rows]) -> None:
    different = {number for number in range(3000) if answers.rows[number] != expected[number]}
    assert different <= {LEFT_TO_CHANCE}


def test_the_definition_left_to_chance_keeps_as_many_years_of_each_person(
    answers: Answers, expected: dict[int, Rows]
) -> None:
    assert persons(answers.rows[LEFT_TO_CHANCE]) == persons(expected[LEFT_TO_CHANCE])


def persons(rows: Rows) -> Counter[int]:
    return Counter(person for person, _, _ in rows.elements())


def test_every_definition_gives_the_published_inclusion_results(answers: Answers) -> None:
    found = {
        (number, mask, count, mode)
        for number, tally in answers.tallies.items()
        for mode in (0, 1)
        for mask, count in tally.masks[mode].items()
    }
    assert found == set(columns("expected_inclusion"))


def test_every_definition_gives_the_published_summary(answers: Answers) -> None:
    found = {
        (number, tally.base(mode), tally.final(mode), mode)
        for number, tally in answers.tallies.items()
        for mode in (0, 1)
        if tally.rules
    }
    assert found == set(columns("expected_summary"))


def test_the_statements_give_the_same_rows_as_the_arrays(
    definitions: dict[int, CohortExpression], release: Release, answers: Answers, engine: DuckDbEngine
) -> None:
    """The other emission of the same plans, on every fifth definition."""
    for number in sorted(definitions)[::5]:
        assert Counter(engine.cohort_rows(definitions[number], release)) == answers.rows[number], number


def test_attrition_ends_with_the_persons_of_the_cohort(
    definitions: dict[int, CohortExpression], release: Release, answers: Answers, engine: DuckDbEngine
) -> None:
    for number in sorted(definitions)[::15]:
        query = Query.model_validate(
            {
                "project": "P-1",
                "dataset": "test",
                "cohort": definitions[number],
                "analysis": {"method": "count"},
            }
        )
        raw = engine.run(query, release, clock=time.monotonic)
        members = sorted({person for person, _, _ in answers.rows[number]})
        steps = [step.persons for step in raw.analysis.attrition]
        assert raw.members.tolist() == members
        assert raw.analysis.persons == steps[-1] == len(members)
        assert steps == sorted(steps, reverse=True)


def test_answers_do_not_change_with_threads_and_blocks(
    definitions: dict[int, CohortExpression], release: Release, answers: Answers, tmp_path: Path
) -> None:
    one = CohortBatch(release, EngineSettings(threads=1), tmp_path, persons_at_once=700)
    parts: list[Stays] = []
    tallies = one.run(one.plan(definitions).cohorts, parts.append)
    one.close()
    found = Answers(tallies, parts).rows
    assert all(found[number] == answers.rows[number] for number in definitions)
    assert all(tallies[number].masks == tally.masks for number, tally in answers.tallies.items())
