"""Whatever is handed to the gate, also what no sound engine makes: it answers or refuses, never fails."""

from datetime import UTC, datetime
from itertools import product

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_node.disclosure import Ledger, clear
from atoll_node.errors import Refused
from atoll_node.raw import (
    RawAggregate,
    RawAnalysis,
    RawBin,
    RawCategory,
    RawContributions,
    RawCount,
    RawCrosstab,
    RawCurve,
    RawKaplanMeier,
    RawLogRank,
    RawNumber,
    RawNumberGroup,
    RawStep,
    RawTable,
    RawTable1,
)
from atoll_node.release import Release
from atoll_node.settings import GateSettings
from atoll_schemas.query import Analysis, Count, Crosstab, Death, KaplanMeier, Outcome, Table1, Tighten
from atoll_schemas.results import ClearedResult, Dimension
from tests.support.cleared import question
from tests.support.contributions import contributions_of
from tests.support.gate import MemoryInTests, leveled
from tests.support.gate_chapters import number_query
from tests.support.same_aggregates import plain

WILD = st.integers(-5, 60) | st.sampled_from([-(10**18), 10**18, 2**63])
NUMBER = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, 1e308])
LEVELS = ("a", "b", "missing")
SITE = Release(
    name="colon-0001",
    site="atoll-a",
    dataset="colon",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    tables=(),
    content_digest="sha256:00",
)
QUESTIONS: tuple[Analysis, ...] = (
    Count(),
    Count(by=(leveled("arm", "ab"),)),
    Crosstab(variables=(leveled("arm", "ab"), leveled("sex", "ab"))),
    number_query(()),
    number_query("ab"),
    KaplanMeier(outcome=Outcome(name="death", definition=Death())),
    KaplanMeier(outcome=Outcome(name="death", definition=Death()), by=leveled("arm", "ab")),
)


@st.composite
def raw_tables(draw: st.DrawFn) -> RawTable:
    names = draw(st.lists(st.sampled_from(["arm", "sex", "size"]), min_size=1, max_size=3))
    keys = list(product(LEVELS, repeat=len(names)))
    counts = draw(st.lists(WILD, min_size=len(keys), max_size=len(keys)))
    lost = draw(st.sets(st.sampled_from(keys), max_size=1))
    persons = {key: count for key, count in zip(keys, counts, strict=True) if key not in lost}
    return RawTable(tuple(Dimension(name=name, levels=LEVELS) for name in names), persons)


raw_bins = st.lists(st.builds(RawBin, st.none() | NUMBER, st.none() | NUMBER, WILD), max_size=4).map(tuple)
raw_groups = st.builds(
    RawNumberGroup,
    st.sampled_from(["*", *LEVELS]),
    WILD,
    WILD,
    NUMBER,
    NUMBER,
    NUMBER,
    st.lists(NUMBER, max_size=3).map(tuple),
    raw_bins,
)
raw_numbers = st.builds(
    RawNumber, st.sampled_from(["size", "age"]), st.none(), st.lists(raw_groups, max_size=4).map(tuple)
)
raw_days = st.lists(WILD, max_size=4).map(tuple)
raw_curves = st.builds(
    RawCurve, st.sampled_from(["*", *LEVELS]), WILD, WILD, raw_days, raw_days, raw_days, raw_days
)
raw_figures = st.lists(NUMBER, max_size=3).map(tuple)
raw_tests = st.builds(
    RawLogRank,
    st.lists(st.sampled_from(LEVELS), max_size=3).map(tuple),
    raw_figures,
    raw_figures,
    st.lists(raw_figures, max_size=3).map(tuple),
)
raw_steps = st.lists(st.builds(RawStep, st.sampled_from(["entry", "rule"]), WILD), max_size=4).map(tuple)
analyses: st.SearchStrategy[RawAnalysis] = st.one_of(
    st.builds(RawCount, WILD, raw_steps, st.none() | raw_tables()),
    st.builds(RawCrosstab, WILD, raw_tables()),
    st.builds(
        RawTable1,
        WILD,
        st.none() | raw_tables(),
        st.lists(
            st.one_of(raw_numbers, st.builds(RawCategory, st.just("arm"), raw_tables())), max_size=2
        ).map(tuple),
    ),
    st.builds(
        RawKaplanMeier,
        st.just("death"),
        st.lists(raw_curves, max_size=3).map(tuple),
        st.none() | raw_tests,
        st.lists(st.sampled_from(LEVELS), max_size=3).map(tuple),
    ),
)
members = st.one_of(
    st.integers(0, 80).map(lambda n: np.arange(n, dtype=np.int64)),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(lambda ids: np.array(ids, dtype=np.int64)),
)
wishes = st.none() | st.builds(
    Tighten, minimum_persons=st.none() | st.integers(2, 90), round_to=st.none() | st.integers(1, 60)
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(analyses, members, st.sampled_from(QUESTIONS), wishes)
def test_the_gate_answers_or_refuses_and_never_fails(
    analysis: RawAnalysis, persons: np.ndarray, asked: Analysis, wish: Tighten | None
) -> None:
    result = _cleared_or_refused(aggregate_of(analysis, persons, asked), asked, wish)
    if isinstance(result, Refused):
        assert result.code.startswith("disclosure.")
        assert result.__context__ is None or isinstance(result.__context__, Refused)
    else:
        assert ClearedResult.from_wire(result.wire()) == result


def aggregate_of(analysis: RawAnalysis, persons: np.ndarray, asked: Analysis) -> RawAggregate:
    """Put persons behind the figures where that can be done, and the cohort alone where not."""
    try:
        given = contributions_of(analysis, question(asked), persons) if _small(plain(analysis)) else None
    except (ValueError, IndexError):
        given = None
    return RawAggregate(analysis, persons, 1, given or RawContributions(persons))


def _small(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_small, value.values()))
    if isinstance(value, list):
        return all(map(_small, value))
    return not isinstance(value, int) or value <= 1_000


def _cleared_or_refused(
    aggregate: RawAggregate, asked: Analysis, wish: Tighten | None
) -> ClearedResult | Refused:
    try:
        return clear(
            aggregate,
            query=question(asked, tighten=wish),
            release=SITE,
            site="atoll-a",
            settings=GateSettings(),
            ledger=Ledger(MemoryInTests()),
        )
    except Refused as refused:
        return refused


SHAPES = (Count, Table1, Crosstab, KaplanMeier)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(analyses, members, st.sampled_from(QUESTIONS))
def test_a_cohort_below_the_minimum_never_shows_a_figure(
    analysis: RawAnalysis, persons: np.ndarray, asked: Analysis
) -> None:
    few = persons[:9]
    try:
        result = clear(
            aggregate_of(analysis, few, asked),
            query=question(asked),
            release=SITE,
            site="atoll-a",
            settings=GateSettings(),
            ledger=Ledger(MemoryInTests()),
        )
    except Refused:
        return
    if not isinstance(analysis, RawKaplanMeier):
        shown = str(result.payload.wire())
        assert "counted" not in shown
        assert "moments': {'kind': 'moments" not in shown
