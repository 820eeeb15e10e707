"""Curves stay side by side; O, E and V add up to the test that R's survdiff gives with strata(site)."""

import csv
import json
import math

import pytest
from scipy import stats

from atoll_hub.queries.merge import MergeRefused, merge
from atoll_hub.queries.merge_survival import chi_square_of, stratified_log_rank, upper_tail
from atoll_schemas.cells import Withheld, WithholdReason
from atoll_schemas.query import Death, Demographic, KaplanMeier, Outcome, Variable
from atoll_schemas.results import Curve, CurveStep, LogRank, SiteKaplanMeier
from tests.support.cleared import cell, cleared, log_rank_of, question
from tests.support.shared_data import shared

SEX = Variable(name="sex", definition=Demographic(field="sex"))
QUERY = question(KaplanMeier(outcome=Outcome(name="death", definition=Death()), by=SEX))
THREE_SITES = {**dict.fromkeys((1, 2, 3), "a"), **dict.fromkeys((4, 5, 6, 7, 10, 11), "b")}


def curve(group="F", days=(0, 100)):
    steps = tuple(CurveStep(day=day, survival=1.0, std_err=0.0, at_risk=cell(50)) for day in days)
    return Curve(group=group, persons=cell(50), events=cell(20), steps=steps, median=Withheld())


def answer(log_rank=None, outcome="death"):
    return SiteKaplanMeier(outcome=outcome, curves=(curve("F"), curve("M")), log_rank=log_rank)


def rows_by_site(path, site_of, time, event, group):
    found = {}
    with path.open(newline="") as lines:
        for line in csv.DictReader(lines):
            if site_of(line) is not None:
                found.setdefault(site_of(line), []).append((float(line[time]), event(line), line[group]))
    return found


def lung_by(site_of):
    return rows_by_site(
        shared("survival/cancer.csv"), site_of, "time", lambda line: line["status"] == "2", "sex"
    )


def three_sites(line):
    return THREE_SITES.get(int(line["inst"]), "c") if line["inst"] not in ("", "NA") else None


def institution(line):
    return f"inst-{line['inst']}" if line["inst"] not in ("", "NA") else None


def equals_r(found, expected):
    assert found.chi_square == pytest.approx(expected["chisq"], rel=1e-9, abs=1e-9)
    assert found.p == pytest.approx(expected["p"], rel=1e-9)
    assert found.degrees_of_freedom == expected["df"]
    assert found.observed == pytest.approx(expected["observed"], abs=1e-9)
    assert found.expected == pytest.approx(expected["expected"], rel=1e-9)
    for ours, theirs in zip(found.variance, expected["variance"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


def expected_of(study):
    return json.loads(shared("survival/expected.json").read_text())["survival"][study]


def test_lung_over_three_hospitals_equals_survdiff_with_strata():
    parts = {site: log_rank_of(("1", "2"), rows) for site, rows in lung_by(three_sites).items()}
    expected = expected_of("cancer")["three_sites"]["logrank_sex_stratified_by_three_sites"]
    equals_r(stratified_log_rank(parts), expected)


def test_lung_over_every_institution_equals_survdiff_with_strata():
    parts = {site: log_rank_of(("1", "2"), rows) for site, rows in lung_by(institution).items()}
    equals_r(stratified_log_rank(parts), expected_of("cancer")["logrank_stratified"])


def test_a_site_that_lacks_a_group_adds_nothing_to_it():
    two, one = [(1, True, "A"), (2, True, "B"), (3, False, "B")], [(1, True, "B"), (2, True, "B")]
    named = {"north": log_rank_of(("A", "B"), two), "south": log_rank_of(("A", "B"), one)}
    unnamed = {"north": log_rank_of(("A", "B"), two), "south": log_rank_of(("B",), one)}
    assert stratified_log_rank(unnamed) == stratified_log_rank(named)


def test_three_arms_of_colon_over_strata_equal_survdiff():
    rows = rows_by_site(
        shared("survival/colon.csv"),
        lambda line: f"extent-{line['extent']}" if line["etype"] == "2" else None,
        "time",
        lambda line: line["status"] == "1",
        "rx",
    )
    parts = {site: log_rank_of(("Obs", "Lev", "Lev+5FU"), site_rows) for site, site_rows in rows.items()}
    equals_r(stratified_log_rank(parts), expected_of("colon_death")["logrank_stratified"])


def test_curves_stand_side_by_side_in_the_order_of_the_sites_names():
    results = {site: cleared(site, QUERY, answer()) for site in ("south", "north")}
    merged = merge(QUERY, results)
    assert [part.site for part in merged.sites] == ["north", "south"]
    assert merged.sites[0].curves == answer().curves
    assert merged.log_rank is None


def test_the_test_names_the_sites_in_its_sums():
    figures = log_rank_of(("F", "M"), [(1, True, "F"), (2, True, "M"), (3, True, "F"), (4, True, "M")])
    results = {
        "north": cleared("north", QUERY, answer(figures)),
        "south": cleared("south", QUERY, answer(Withheld(reason=WithholdReason.TOO_FEW_EVENTS))),
    }
    assert merge(QUERY, results).log_rank.sites == ("north",)


def test_a_test_that_every_site_withholds_is_withheld():
    held = Withheld(reason=WithholdReason.TOO_FEW_EVENTS)
    assert stratified_log_rank({"north": held, "south": None}) == held


def test_another_outcome_is_refused():
    with pytest.raises(MergeRefused) as caught:
        merge(QUERY, {"north": cleared("north", QUERY, answer(outcome="recurrence"))})
    assert caught.value.code == "merge.outcome"


@pytest.mark.parametrize(
    "broken",
    [
        LogRank(groups=("F", "M"), observed=(1.0,), expected=(1.0, 2.0), variance=((1.0, -1.0), (-1.0, 1.0))),
        LogRank(groups=("F", "M"), observed=(1.0, 2.0), expected=(1.0, 2.0), variance=((1.0,), (1.0, 1.0))),
        LogRank(groups=("F", "F"), observed=(1.0, 2.0), expected=(1.0, 2.0), variance=((1.0, 1.0),) * 2),
    ],
    ids=["short", "ragged", "one group twice"],
)
def test_figures_of_unfitting_shape_are_refused(broken):
    with pytest.raises(MergeRefused) as caught:
        stratified_log_rank({"north": broken})
    assert (caught.value.code, caught.value.sites) == ("merge.log_rank", ("north",))


def test_one_group_has_nothing_to_be_compared_with():
    alone = log_rank_of(("F",), [(1, True, "F"), (2, True, "F")])
    assert stratified_log_rank({"north": alone}) == Withheld(reason=WithholdReason.NOT_AVAILABLE)


def test_a_group_without_expected_events_is_left_out_as_survdiff_does():
    with_ghost = log_rank_of(
        ("F", "M", "X"), [(1, True, "F"), (2, True, "M"), (3, True, "F"), (4, False, "M")]
    )
    without = log_rank_of(("F", "M"), [(1, True, "F"), (2, True, "M"), (3, True, "F"), (4, False, "M")])
    ghost, plain = stratified_log_rank({"n": with_ghost}), stratified_log_rank({"n": without})
    assert ghost.groups == ("F", "M", "X")
    assert ghost.degrees_of_freedom == 1
    assert ghost.chi_square == pytest.approx(plain.chi_square)


def test_groups_that_no_site_compares_leave_the_rank_as_degrees_of_freedom():
    north = log_rank_of(("A", "B"), [(1, True, "A"), (2, True, "B"), (3, True, "A"), (4, True, "B")])
    south = log_rank_of(("C", "D"), [(1, True, "C"), (2, True, "D"), (3, True, "C"), (4, True, "D")])
    both = stratified_log_rank({"north": north, "south": south})
    alone = stratified_log_rank({"north": north})
    assert both.degrees_of_freedom == 2
    assert both.chi_square == pytest.approx(2 * alone.chi_square)


def test_the_quadratic_form_of_nothing_has_no_degrees_of_freedom():
    assert chi_square_of([], [], []) == (0.0, 0)
    assert chi_square_of([1, 1], [1, 1], [[0, 0], [0, 0]]) == (0.0, 0)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 30, 49, 101])
@pytest.mark.parametrize("chi_square", [0.0, 1e-12, 0.3, 1.0, 3.84, 10.5, 40.0, 200.0, 900.0])
def test_the_upper_tail_equals_scipys(chi_square, degrees):
    assert upper_tail(chi_square, degrees) == pytest.approx(stats.chi2.sf(chi_square, degrees), rel=1e-11)


def test_a_tail_too_small_for_a_number_is_zero():
    assert upper_tail(1e6, 3) == 0.0
    assert not math.isnan(upper_tail(1e6, 4))
