"""Numeric rows of Table 1: exact mean and SD, bins over common edges, quartiles that keep their promise."""

import statistics

import pytest

from atoll_hub.queries.merge import MergeRefused, merge
from atoll_hub.queries.merge_numbers import quantiles
from atoll_schemas.cells import Measured, Pooled, Withheld, WithholdReason
from atoll_schemas.query import Demographic, Table1, Variable
from atoll_schemas.results import Bin, MergedBin, NumberGroup, NumberSummary, SiteTable1
from tests.support.cleared import cell, cleared, moments_of, question

EDGES = (40.0, 50.0, 60.0, 70.0, 80.0)
AGE = Variable(name="age", definition=Demographic(field="age"), unit="years", edges=EDGES)
QUERY = question(Table1(variables=(AGE,)))


def bins(*counts, edges=(None, *EDGES, None)):
    return tuple(
        Bin(low=low, high=high, persons=cell(count))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    )


def row(values=None, parts=(), unit="years", group="*"):
    return SiteTable1(
        persons=cell(100),
        summaries=(
            NumberSummary(
                variable="age",
                unit=unit,
                groups=(
                    NumberGroup(
                        group=group,
                        persons=cell(100),
                        missing=cell(None),
                        moments=moments_of(values) if values else Withheld(reason=WithholdReason.DOMINANCE),
                        bins=parts,
                    ),
                ),
            ),
        ),
    )


def merged(minimum=10, **rows):
    answer = merge(QUERY, {site: cleared(site, QUERY, it, minimum=minimum) for site, it in rows.items()})
    return answer.summaries[0].groups[0]


def test_mean_and_sd_are_those_of_all_persons_together():
    north, south = [61.0, 70.5, 44.0, 58.25], [80.0, 39.0, 51.0]
    group = merged(north=row(north), south=row(south))
    assert group.mean.value == pytest.approx(statistics.fmean(north + south), rel=1e-14)
    assert group.sd.value == pytest.approx(statistics.stdev(north + south), rel=1e-14)
    assert group.sites == 2


def test_a_site_without_moments_is_left_out_and_counted_out():
    group = merged(north=row([50.0, 60.0]), south=row())
    assert group.mean == Measured(value=55.0)
    assert group.sites == 1


def test_without_any_moments_mean_and_sd_are_withheld_with_the_sites_reason():
    group = merged(north=row(), south=row())
    assert group.mean == group.sd == Withheld(reason=WithholdReason.DOMINANCE)
    assert group.sites == 0


def test_one_person_has_a_mean_and_no_sd():
    group = merged(north=row([50.0]))
    assert group.mean == Measured(value=50.0)
    assert group.sd == Withheld(reason=WithholdReason.NOT_AVAILABLE)


def test_figures_without_a_finite_sum_are_refused():
    with pytest.raises(MergeRefused) as caught:
        merged(north=row([1e300, 1e300]), south=row([-1e300, -1e300]))
    assert caught.value.code == "merge.not_finite"


def test_bins_are_summed_over_the_edges_that_every_site_kept():
    coarse = bins(20, 30, 40, edges=(None, 50.0, 70.0, None))
    group = merged(north=row(parts=bins(10, 20, 30, 40, 20, 10)), south=row(parts=coarse))
    assert [(part.low, part.high) for part in group.bins] == [(None, 50.0), (50.0, 70.0), (70.0, None)]
    assert [part.persons.value for part in group.bins] == [10 + 20 + 20, 30 + 40 + 30, 20 + 10 + 40]
    assert group.bins[0].persons.half_width == 2 + 2 + 2


def test_a_withheld_part_withholds_the_sites_share_of_the_common_bin():
    coarse = bins(20, 30, 40, edges=(None, 50.0, 70.0, None))
    group = merged(north=row(parts=bins(None, 20, 30, 40, 20, 10)), south=row(parts=coarse))
    assert group.bins[0].persons == Pooled(value=20, half_width=2, sites=1, withheld=1)
    assert group.quantiles == ()


def test_a_site_without_bins_withholds_every_bin():
    group = merged(north=row(parts=bins(10, 20, 30, 40, 20, 10)), south=row())
    assert {part.persons.withheld for part in group.bins} == {1}
    assert group.quantiles == ()


@pytest.mark.parametrize(
    "parts",
    [
        bins(10, 20, edges=(None, 55.0, None)),
        bins(10, 20, edges=(60.0, 50.0, 40.0)),
        (Bin(low=None, high=40, persons=cell(5)), Bin(low=50, high=None, persons=cell(5))),
    ],
    ids=["an edge that was not declared", "descending", "a gap"],
)
def test_bins_that_do_not_fit_the_query_are_refused(parts):
    with pytest.raises(MergeRefused) as caught:
        merged(north=row(parts=parts))
    assert (caught.value.code, caught.value.sites) == ("merge.edges", ("north",))


def test_bins_that_cover_different_ranges_are_refused():
    closed = bins(10, 20, edges=(40.0, 50.0, 60.0))
    with pytest.raises(MergeRefused) as caught:
        merged(north=row(parts=bins(1, 1, 1, 1, 1, 1)), south=row(parts=closed))
    assert caught.value.code == "merge.edges"


def test_other_units_are_refused():
    with pytest.raises(MergeRefused) as caught:
        merged(north=row(), south=row(unit="months"))
    assert caught.value.code == "merge.units"


def test_other_groups_are_refused():
    with pytest.raises(MergeRefused) as caught:
        merged(north=row(), south=row(group="F"))
    assert caught.value.code == "merge.groups"


def exact_bins(*counts, edges=EDGES, half_width=0):
    return tuple(
        MergedBin(low=low, high=high, persons=Pooled(value=count, half_width=half_width, sites=1))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    )


def test_a_median_is_interpolated_inside_its_bin():
    median = quantiles(exact_bins(20, 60, 20, 20))[1]
    assert median.value == pytest.approx(50 + 10 * 40 / 60)
    assert 60 - median.value <= median.half_width <= 10


def test_rounding_that_could_move_the_quantile_to_the_next_bin_widens_it():
    sure = quantiles(exact_bins(50, 52, 20, 20))[1]
    unsure = quantiles(exact_bins(50, 22, 50, 22, half_width=2))[1]
    assert (sure.value - sure.half_width) >= 40
    assert unsure.value + unsure.half_width >= 70


def test_quartiles_with_fewer_than_ten_persons_on_a_side_are_left_out():
    assert [it.probability for it in quantiles(exact_bins(10, 10, 5, 5))] == [0.5]
    assert quantiles(exact_bins(5, 5, 5, 4)) == ()


def test_a_stricter_site_asks_for_more_persons_on_each_side():
    parts = bins(0, 20, 20, 20, 20, 0)
    assert len(merged(north=row(parts=parts)).quantiles) == 3
    assert [it.probability for it in merged(minimum=30, north=row(parts=parts)).quantiles] == [0.5]


def test_a_quantile_in_an_open_bin_is_left_out():
    open_ended = exact_bins(40, 40, 120, edges=(40.0, 50.0, 60.0, None))
    assert [it.probability for it in quantiles(open_ended)] == [0.25]


def test_no_bins_have_no_quantiles():
    assert quantiles(()) == ()
