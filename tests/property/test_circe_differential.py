"""The whole Circe language on random dense sites: statements, arrays and the reference engine agree.

Cohort rows, the masks of all events and of each person's best event, and so the attrition, are compared.
``ATOLL_DIFFERENTIAL_EXAMPLES`` asks for more examples than the 300 of every run.
"""

import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atoll_schemas.circe import CohortExpression
from tests.support.circe_strategies import ATTRIBUTES, KINDS, Json, expressions, tables_read
from tests.support.dense_sites import site
from tests.support.three_engines import NodeEngines, reference_answers

EXAMPLES = int(os.environ.get("ATOLL_DIFFERENTIAL_EXAMPLES", "300"))
drawn = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    return NodeEngines(tmp_path_factory.mktemp("differential"))


@pytest.mark.slow
@drawn
@given(seed=seeds, persons=st.integers(1, 8), asked=expressions())
def test_random_expressions_select_the_same_by_statements_by_arrays_and_by_the_reference(
    engines: NodeEngines, seed: int, persons: int, asked: Json
) -> None:
    expression = CohortExpression.from_json(asked)
    tables = site(Random(seed), persons, tables_read(asked))
    wanted = reference_answers(tables, [expression])[0]
    by_arrays = engines.by_arrays(tables, [expression])[0]
    assert by_arrays.rows == wanted.rows
    assert [dict(masks) for masks in by_arrays.masks] == [dict(masks) for masks in wanted.masks]
    assert engines.by_statements(tables, [expression])[0] == wanted.rows


def test_most_random_expressions_find_somebody_and_every_kind_of_criteria_is_drawn() -> None:
    found: list[tuple[bool, Json]] = []

    @settings(parent=drawn, max_examples=200, phases=[Phase.generate], derandomize=True)
    @given(seed=seeds, asked=expressions())
    def judge(seed: int, asked: Json) -> None:
        tables = site(Random(seed), 8, tables_read(asked))
        answer = reference_answers(tables, [CohortExpression.from_json(asked)])[0]
        found.append((bool(answer.rows), asked))

    judge()
    assert sum(somebody for somebody, _ in found) > len(found) / 2
    text = str([asked for _, asked in found])
    names = {alias for kind in ATTRIBUTES.values() for alias in kind}
    assert {name for name in KINDS if f"'{_alias(name)}'" not in text} == set()
    assert len({name for name in names if f"'{name}'" in text}) > len(names) / 3


def _alias(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
