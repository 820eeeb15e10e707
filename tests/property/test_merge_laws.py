"""Merging obeys its laws: no order, one site says what it said, splitting persons changes nothing."""

import math
import statistics
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_hub.queries.merge import merge
from atoll_hub.queries.merge_cells import pooled
from atoll_hub.queries.merge_numbers import mean_and_sd, quantiles
from atoll_hub.queries.merge_survival import stratified_log_rank
from atoll_schemas.cells import Counted, Pooled, Withheld, WithholdReason
from atoll_schemas.query import Count, Demographic, Table1, Variable
from atoll_schemas.results import (
    AttritionStep,
    Bin,
    MergedBin,
    NumberGroup,
    NumberSummary,
    SiteCount,
    SiteTable1,
)
from tests.support.cleared import cleared, log_rank_of, moments_of, question

NAMES = ("north", "south", "east", "west")
EDGES = (10.0, 20.0, 30.0, 40.0)
AGE = Variable(name="age", definition=Demographic(field="age"), edges=EDGES)
COUNT = question(Count())
TABLE1 = question(Table1(variables=(AGE,)))
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
cells = st.one_of(
    st.builds(Counted, value=st.integers(0, 10**6), half_width=st.integers(0, 5)),
    st.builds(Withheld, reason=st.sampled_from(WithholdReason)),
)


@st.composite
def binned(draw):
    inner = sorted(draw(st.sets(st.sampled_from(EDGES), min_size=1)))
    ends = [None, *inner, None]
    return tuple(Bin(low=low, high=high, persons=draw(cells)) for low, high in pairwise(ends))


@st.composite
def site_rows(draw):
    moments = draw(st.one_of(st.lists(numbers, min_size=1, max_size=6).map(moments_of), st.just(Withheld())))
    group = NumberGroup(
        group="*",
        persons=draw(cells),
        missing=draw(cells),
        moments=moments,
        bins=draw(st.one_of(st.just(()), binned())),
    )
    return SiteTable1(persons=draw(cells), summaries=(NumberSummary(variable="age", groups=(group,)),))


def results(query, payloads):
    return {site: cleared(site, query, payload) for site, payload in zip(NAMES, payloads, strict=False)}


@given(st.lists(site_rows(), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_the_sites_changes_no_byte(payloads, random):
    ordered = results(TABLE1, payloads)
    shuffled = list(ordered.items())
    random.shuffle(shuffled)
    assert merge(TABLE1, ordered).canonical() == merge(TABLE1, dict(shuffled)).canonical()


@given(cells, cells)
def test_one_site_says_what_it_said(persons, entry):
    payload = SiteCount(persons=persons, attrition=(AttritionStep(name="entry events", persons=entry),))
    answer = merge(COUNT, results(COUNT, [payload]))
    for ours, theirs in ((answer.persons, persons), (answer.attrition[0].persons, entry)):
        if isinstance(theirs, Withheld):
            assert ours == theirs
        else:
            assert ours == Pooled(value=theirs.value, half_width=theirs.half_width, sites=1)


@given(st.lists(cells, min_size=1, max_size=8))
def test_every_site_is_either_in_the_sum_or_counted_as_withholding(some):
    total = pooled(some)
    counted = [cell for cell in some if isinstance(cell, Counted)]
    if counted:
        assert total.sites + total.withheld == len(some)
        assert total.value == sum(cell.value for cell in counted)
    else:
        assert isinstance(total, Withheld)


@given(st.lists(st.lists(numbers, min_size=1, max_size=30), min_size=1, max_size=5))
def test_persons_split_over_sites_have_the_moments_of_all_together(parts):
    everybody = [value for part in parts for value in part]
    given_moments = {str(at): moments_of(part) for at, part in enumerate(parts)}
    mean, sd = mean_and_sd(given_moments, [])
    spread = max(1.0, max(map(abs, everybody)))
    assert math.isclose(mean.value, statistics.fmean(everybody), rel_tol=1e-12, abs_tol=1e-12 * spread)
    if len(everybody) > 1:
        assert math.isclose(sd.value, statistics.stdev(everybody), rel_tol=1e-7, abs_tol=1e-7 * spread)


@given(st.lists(st.floats(10, 39.99), min_size=20, max_size=200))
def test_a_quantile_lies_within_its_half_width_however_counts_were_rounded(values):
    bins = []
    for low, high in pairwise(EDGES):
        inside = sum(low <= value < high for value in values)
        bins.append(
            MergedBin(low=low, high=high, persons=Pooled(value=5 * round(inside / 5), half_width=2, sites=1))
        )
    ordered = sorted(values)
    for found in quantiles(tuple(bins)):
        true = ordered[math.ceil(found.probability * len(ordered)) - 1]
        assert abs(true - found.value) <= found.half_width + 1e-9


survival_rows = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.sampled_from("AB")), min_size=2, max_size=25
)


@given(st.lists(survival_rows, min_size=1, max_size=3))
def test_the_test_statistic_is_never_negative_and_has_a_probability(sites):
    parts = {name: log_rank_of(("A", "B"), rows) for name, rows in zip(NAMES, sites, strict=False)}
    found = stratified_log_rank(parts)
    if not isinstance(found, Withheld):
        assert found.chi_square >= 0
        assert 0 <= found.p <= 1
        assert math.isclose(sum(found.observed), sum(found.expected), abs_tol=1e-9)
