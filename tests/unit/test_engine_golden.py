"""What each pass of the compiler makes of a small question: the resolved plan, and the SQL that it becomes.

The files in ``golden`` are written by ``ATOLL_WRITE_GOLDEN=1 pytest tests/unit/test_engine_golden.py``.
Read their difference before it is committed: it is the difference in meaning.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.arrays.scans import PersonRange, needs_of, scan_statement
from atoll_node.engine.by_statements import statements_of
from atoll_node.engine.planning import plan
from atoll_node.engine.sources import SOURCES
from atoll_node.engine.spark.dialect import translated
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.query import Query
from tests.support.golden_questions import QUESTIONS
from tests.support.lake import release_of
from tests.support.plan_text import plan_lines, sql_lines
from tests.support.text_tables import rows_of

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("ATOLL_WRITE_GOLDEN") == "1"
SOME = PersonRange(0, 1)
BELOW = {10: (10, 11, 12)}
questions = pytest.mark.parametrize("name", list(QUESTIONS))


class SmallHierarchy:
    """Concept 10 is above 11 and 12."""

    def descendants(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        return frozenset(found for concept in concept_ids for found in BELOW.get(concept, ()))


def question(name: str) -> Query:
    expression, analysis = QUESTIONS[name]
    content = {"project": "P-1", "dataset": "test", "cohort": expression, "analysis": analysis}
    return Query.from_wire(content)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    rows = "ancestor_concept_id | descendant_concept_id\n" + "\n".join(f"10 | {one}" for one in BELOW[10])
    empty = {name: [] for name in ("observation_period", "condition_occurrence", "death")}
    tables = {**empty, "concept_ancestor": rows_of("concept_ancestor", rows)}
    return release_of(tables, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbEngine]:
    engine = DuckDbEngine(EngineSettings(memory="200MB", threads=1), tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.close()


def compare(file: Path, found: str) -> None:
    if WRITE:
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8")


@questions
def test_a_question_becomes_its_plan(name: str) -> None:
    planned = "\n".join(plan_lines(plan(question(name), SmallHierarchy()))) + "\n"
    compare(GOLDEN / f"{name}.plan.txt", planned)


@questions
def test_a_plan_becomes_its_statements(name: str, engine: DuckDbEngine, release: Release) -> None:
    compare(GOLDEN / f"{name}.sql.txt", sql_lines(engine.explain(question(name), release)))


@questions
def test_a_plan_becomes_its_statements_in_spark_sql(name: str) -> None:
    statements = statements_of(plan(question(name), SmallHierarchy()))
    texts = [f"-- {told.makes}{' (kept)' * told.kept}\n{told.text}" for told in map(translated, statements)]
    compare(GOLDEN / f"{name}.spark.txt", sql_lines(";\n\n".join(texts) + ";\n"))


@questions
def test_a_plan_becomes_its_scans(name: str) -> None:
    """The arrays' emission reads each kind of records once."""
    needs = needs_of((plan(question(name), SmallHierarchy()).cohort,))
    scans = [scan_statement(SOURCES[kind], needs.domains[kind], SOME).text for kind in needs.domains]
    compare(GOLDEN / f"{name}.scan.txt", sql_lines(";\n\n".join(sorted(scans)) + ";\n"))


def test_every_golden_file_belongs_to_a_question() -> None:
    expected = {f"{name}.{kind}.txt" for name in QUESTIONS for kind in ("plan", "sql", "spark", "scan")}
    assert {file.name for file in GOLDEN.iterdir()} == expected


@questions
def test_the_plan_stays_the_same_over_the_wire(name: str) -> None:
    asked = question(name)
    again = Query.from_wire(asked.wire())
    assert plan(again, SmallHierarchy()) == plan(asked, SmallHierarchy())


@questions
def test_statements_hold_no_number_date_or_text_of_the_question(
    name: str, engine: DuckDbEngine, release: Release
) -> None:
    """Places and labels' indices aside, every value is a parameter."""
    text = engine.explain(question(name), release)
    literals = {int(found) for found in re.findall(r"(?<![\w$\"])\d+(?![\w\"])", text)}
    assert literals <= set(range(10))
    assert set(re.findall(r"'([^']*)'", text)) == set()
    assert not re.search(r"\d{4}-\d\d-\d\d", text)


@questions
def test_each_parameter_is_used_and_each_place_has_its_parameter(name: str) -> None:
    planned = plan(question(name), SmallHierarchy())
    for statement in statements_of(planned):
        assert set(re.findall(r"\$(p\d+)", statement.text)) == set(statement.parameters)
