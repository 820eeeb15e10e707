"""The differential would see a wrong engine: planted errors are found within the examples that it runs.

Each error is one that a compiler of cohorts could make. It is planted into the node's engine, and the
random questions of the differential must then differ from the reference.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.arrays import values
from atoll_node.engine.arrays.values import Dated, Values
from atoll_node.engine.connection import Session
from atoll_node.engine.sql import Statement
from atoll_node.reference import evaluate
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from tests.support.circe_strategies import Json
from tests.support.dense_sites import site as dense_site
from tests.support.lake import release_of
from tests.support.same_aggregates import differences
from tests.support.small_sites import Tables, analyses, queries, site, sites
from tests.support.three_engines import NodeEngines, Rows, reference_answers

Rewrite = Callable[[str], str]


class Found(Exception):
    """The two engines answered differently."""


def replaced(old: str, new: str) -> Rewrite:
    return lambda text: text.replace(old, new)


@contextmanager
def planted(rewrite: Rewrite) -> Iterator[None]:
    """Run every statement as the faulty compiler would have written it."""
    execute = Session._execute

    def wrong(session: Session, statement: Statement, take: Callable[[Any], Any]) -> Any:
        return execute(session, Statement(rewrite(statement.text), statement.parameters), take)

    with patch.object(Session, "_execute", wrong):
        yield


FIRST = re.compile(r"QUALIFY (row_number\(\) OVER \(PARTITION BY r\.person_id [^)]*\)) = 1")
COHORTS: dict[str, Rewrite] = {
    "the last day of a window is left out": replaced("a.start_date <= (x.", "a.start_date < (x."),
    "the first day of a window is left out": replaced("a.start_date >= (x.", "a.start_date > (x."),
    "the end of the index event is taken for its start": replaced("(x.end_date +", "(x.start_date +"),
    "events outside observation count": replaced("a.start_date <= x.op_end", "TRUE"),
    "the visit is not compared": replaced("a.visit_id = x.visit_id", "TRUE"),
    "every group is ANY": replaced(" AND (q.event_id IN", " OR (q.event_id IN"),
    "the first record is not chosen": lambda text: FIRST.sub(r"QUALIFY \1 >= 1", text),
    "the last entry is taken for the first": replaced(
        "min(sort_date) AS sort_date FROM o", "max(sort_date) AS sort_date FROM o"
    ),
    "stays that touch are not joined": replaced("start_date <= max(end_date)", "start_date < max(end_date)"),
    "a drug without an end lasts for a day": replaced(" + r.days_supply", " + 1"),
    "at most counts one more": replaced("NOT IN (SELECT x.event_id", "IN (SELECT x.event_id"),
    "records count twice in distinct": replaced("count(DISTINCT a.concept_id)", "count(*)"),
}  # fmt: skip
EDGE = re.compile(r"< (\$p\d+::DOUBLE) THEN")
ANALYSES: dict[str, Rewrite] = {
    "follow-up goes on for a day": replaced(
        "_end_date - i.index_date)", "_end_date - i.index_date + 1)"
    ),
    "an outcome on the index day counts": replaced(" > i.index_date", " >= i.index_date"),
    "the highest key is the first": replaced("arg_min_null", "arg_max_null"),
    "a bin holds its upper edge": lambda text: EDGE.sub(r"<= \1 THEN", text),
    "concept 0 is a value": replaced(", 0) = 0 THEN", ", 0) = -1 THEN"),
}  # fmt: skip
quick = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def differ(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tables, Query], bool]:
    return _differ(tmp_path_factory.mktemp("sensitivity"), "0GB")


@pytest.fixture(scope="module")
def differ_by_arrays(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tables, Query], bool]:
    return _differ(tmp_path_factory.mktemp("arrays"), "200MB")


def _differ(folder: Path, columns: str) -> Callable[[Tables, Query], bool]:
    engine = DuckDbEngine(EngineSettings(memory="300MB", columns=columns, threads=1), folder / "scratch")

    def judged(tables: Tables, query: Query) -> bool:
        answer = engine.run(query, release_of(tables, folder), clock=time.monotonic)
        return bool(differences(answer, evaluate(tables, query)))

    return judged


EVERYBODY = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}


def of_everybody(methods: list[str]) -> st.SearchStrategy[Query]:
    """Draw questions of some methods about everybody, so that no answer is empty for want of persons."""
    return (
        st.sampled_from(methods)
        .flatmap(lambda method: analyses[method])
        .map(
            lambda analysis: Query.from_wire(
                {"project": "P-1", "dataset": "test", "cohort": EVERYBODY, "analysis": analysis}
            )
        )
    )


TIMED = ("follow-up", "an outcome")
"""Errors that only a survival analysis can show."""


def finds(differ: Callable[[Tables, Query], bool], error: str) -> bool:
    """Run the differential as it is; say whether it ends with a difference."""

    methods = ["kaplan_meier"] if error.startswith(TIMED) else sorted(analyses)

    @quick
    @given(tables=sites(12), asked=st.lists(of_everybody(methods), min_size=4, max_size=4))
    def differential(tables: Tables, asked: list[Query]) -> None:
        if any(differ(tables, query) for query in asked):
            raise Found

    try:
        differential()
    except Found:
        return True
    return False


@pytest.mark.parametrize("error", ANALYSES)
def test_a_wrong_analysis_is_found(differ: Callable[[Tables, Query], bool], error: str) -> None:
    with planted(ANALYSES[error]):
        assert finds(differ, error)


ARRAYS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "follow-up goes on for a day": (
        Values, "_observed", lambda right: lambda self, person, index: right(self, person, index) + 1
    ),
    "an outcome on the index day counts": (
        Values, "_first_outcome", lambda right: lambda self, outcome, person, index: right(
            self, replace(outcome, on_index_date=True), person, index
        ),
    ),
    "the latest is the first": (
        Dated, "picked", lambda right: lambda self, size, *, latest: right(self, size, latest=not latest)
    ),
    "the last day of a window is left out": (
        Dated, "between", lambda right: lambda self, index, first, last: right(
            self, index, first, None if last is None else last - 1
        ),
    ),
    "a bin holds its upper edge": (
        values, "bin_places", lambda right: lambda found, edges: right(np.nextafter(found, -np.inf), edges)
    ),
    "a person without a record is the first level": (
        values, "_or", lambda right: lambda level, missing: right(level, 0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("error", ARRAYS)
def test_a_wrong_analysis_over_columns_is_found(
    differ_by_arrays: Callable[[Tables, Query], bool], error: str
) -> None:
    place, name, wrong = ARRAYS[error]
    with patch.object(place, name, wrong(getattr(place, name))):
        assert finds(differ_by_arrays, error)


KINDS = st.sampled_from(["ConditionOccurrence", "DrugExposure", "Measurement"])
ends = st.builds(
    lambda days, sign: {"Days": days, "Coeff": sign},
    st.sampled_from([0, 1, 9, 10, 20]),
    st.sampled_from([-1, 1]),
)


@st.composite
def telling(draw: st.DrawFn) -> Json:
    """Draw an expression whose rows show each event for itself, and one condition with narrow windows."""
    kind = draw(KINDS)
    occurrence: Json = {"Type": draw(st.integers(0, 2)), "Count": draw(st.integers(0, 2))}
    if draw(st.booleans()):
        occurrence["IsDistinct"] = True
    near: Json = {
        "Criteria": {draw(KINDS): {}},
        "Occurrence": occurrence,
        "RestrictVisit": draw(st.booleans()),
    }
    if draw(st.integers(0, 3)):
        window = {"Start": draw(ends), "End": draw(ends), "UseIndexEnd": draw(st.booleans())}
        near |= {"StartWindow": window, "IgnoreObservationPeriod": draw(st.booleans())}
    group = {"Type": "ALL", "CriteriaList": [near], "DemographicCriteriaList": [], "Groups": []}
    if draw(st.booleans()):
        group["CriteriaList"] = [near, {"Criteria": {draw(KINDS): {}}, "Occurrence": {"Type": 2, "Count": 2}}]
    body = {"First": True} if draw(st.booleans()) else {}
    limit = draw(st.sampled_from(["All", "All", "First"]))
    alone = {"DateOffset": {"DateField": draw(st.sampled_from(["StartDate", "EndDate"])), "Offset": 0}}
    every = {"Type": "All"}
    return {
        "PrimaryCriteria": {"CriteriaList": [{kind: body}], "PrimaryCriteriaLimit": {"Type": limit}},
        "InclusionRules": [{"name": "near", "expression": group}] if draw(st.integers(0, 4)) else [],
        "ExpressionLimit": every,
        "EndStrategy": alone,
    }


@dataclass(frozen=True)
class Lot:
    """Telling expressions on one dense site, with what the reference selects."""

    tables: Tables
    asked: tuple[CohortExpression, ...]
    wanted: tuple[Rows, ...]


@pytest.fixture(scope="module")
def lots() -> tuple[Lot, ...]:
    drawn: list[CohortExpression] = []

    @settings(quick, max_examples=120)
    @given(telling())
    def collect(asked: Json) -> None:
        drawn.append(CohortExpression.from_json(asked))

    collect()
    halves = (tuple(drawn[::2]), tuple(drawn[1::2]))
    tables = ("condition_occurrence", "drug_exposure", "measurement")
    return tuple(_lot(dense_site(Random(number), 12, tables), half) for number, half in enumerate(halves))


def _lot(tables: Tables, asked: tuple[CohortExpression, ...]) -> Lot:
    return Lot(tables, asked, tuple(answer.rows for answer in reference_answers(tables, asked)))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> NodeEngines:
    return NodeEngines(tmp_path_factory.mktemp("sensitivity"))


def is_found(engines: NodeEngines, lots: tuple[Lot, ...]) -> bool:
    """Whether an expression of the lots has other rows by statements than by the reference."""
    return any(
        engines.by_statements(lot.tables, [asked])[0] != wanted
        for lot in lots
        for asked, wanted in zip(lot.asked, lot.wanted, strict=True)
    )


@pytest.mark.parametrize("rewrite", COHORTS.values(), ids=COHORTS)
def test_a_wrong_statement_of_a_cohort_is_found(
    engines: NodeEngines, lots: tuple[Lot, ...], rewrite: Rewrite
) -> None:
    with planted(rewrite):
        assert is_found(engines, lots)


def test_without_an_error_nothing_is_found(differ: Callable[[Tables, Query], bool]) -> None:
    full = site(Random(5), 10)
    drawn: list[Query] = []

    @settings(quick, max_examples=10)
    @given(queries())
    def collect(query: Query) -> None:
        drawn.append(query)

    collect()
    assert not any(differ(full, query) for query in drawn)
