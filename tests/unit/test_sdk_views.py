"""What the eye sees of each method: golden tables, clear words for what is not shown, folded columns."""

import csv
import io
from textwrap import dedent

import pytest

import atoll
from atoll import terminal, views
from atoll_schemas.cells import Counted, Measured, Pooled, Withheld, WithholdReason
from atoll_schemas.results import (
    Curve,
    CurveStep,
    MergedBin,
    MergedCategory,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedNumberGroup,
    MergedStep,
    MergedTable,
    MergedTable1,
    MergedTableCell,
    Quantile,
    SiteCurves,
    StratifiedLogRank,
)
from tests.support import answers
from tests.support.answers import merged_table, pooled
from tests.support.cleared import cell

HELD = Withheld()
ARMS = ("Obs", "Lev", "other", "missing")


def result(merged, *, silent=()):
    return atoll.Result(answers.result(merged, silent=silent))


def text(merged, *, silent=()):
    return "".join(terminal.plain(view) for view in result(merged, silent=silent).views())


def lines(golden):
    return dedent(golden).strip("\n").splitlines()


def seen(merged, **options):
    """Return the figures as printed, without the table of sites and without trailing lines."""
    return text(merged, **options).split("\nSites\n")[0].rstrip("\n").splitlines()


def by_arm(*, silent=("other", "missing"), persons=140):
    """Return a Table 1 of age and sex by arm, in which nothing of the ``silent`` arms is shown."""

    def shown(arm, value):
        return HELD if arm in silent else pooled(value)

    def age(group):
        held = group in silent
        return MergedNumberGroup(
            group=group,
            persons=shown(group, persons),
            missing=HELD,
            mean=HELD if held else Measured(value=60.5),
            sd=HELD if held else Measured(value=10.25),
            sites=1 if held else 3,
            bins=(MergedBin(persons=shown(group, persons)),),
            quantiles=()
            if held
            else tuple(
                Quantile(probability=at, value=value, half_width=2.5)
                for at, value in ((0.25, 54.0), (0.5, 61.0), (0.75, 68.0))
            ),
        )

    groups = (*ARMS, "*")
    sex = {
        (level, group): shown(group, 70) for level in ("female", "male", "missing") for group in groups
    } | {("missing", group): HELD for group in groups}
    return MergedTable1(
        persons=pooled(300),
        groups=merged_table({(arm,): shown(arm, persons) for arm in ARMS}, arm=ARMS),
        summaries=(
            MergedNumber(variable="age", unit="years", groups=tuple(age(group) for group in groups)),
            MergedCategory(
                variable="sex", table=merged_table(sex, sex=("female", "male", "missing"), arm=ARMS)
            ),
        ),
    )


def one_number(*quantiles):
    """Return a Table 1 of one number in two groups; only the first may have quantiles."""
    first = MergedNumberGroup(
        group="Obs",
        persons=pooled(50),
        missing=HELD,
        mean=Measured(value=1.0),
        sd=HELD,
        sites=3,
        quantiles=tuple(Quantile(probability=at, value=value, half_width=0.5) for at, value in quantiles),
    )
    second = first.model_copy(
        update={"group": "Lev", "quantiles": (Quantile(probability=0.5, value=7.0, half_width=0.0),)}
    )
    table = merged_table({("Obs",): pooled(50), ("Lev",): pooled(50)}, arm=("Obs", "Lev"))
    return MergedTable1(
        persons=pooled(100),
        groups=table,
        summaries=(MergedNumber(variable="stay", groups=(first, second)),),
    )


def quartiles_of(*quantiles):
    rows = {row[0]: row[1:] for row in result(one_number(*quantiles)).views()[0].rows}
    return rows["stay: median [quartiles]"][0]


@pytest.mark.parametrize(
    "quantiles, words",
    [
        ((), "not shown"),
        (((0.5, 61.0),), "61 ±0.5 [not shown]"),
        (((0.25, 54.0), (0.5, 61.0)), "61 ±0.5 [54 to not shown]"),
        (((0.5, 61.0), (0.75, 68.0)), "61 ±0.5 [not shown to 68]"),
        (((0.25, 54.0), (0.75, 68.0)), "not shown [54 to 68]"),
        (((0.25, 54.0),), "not shown [54 to not shown]"),
        (((0.25, 54.0), (0.5, 61.0), (0.75, 68.0)), "61 ±0.5 [54 to 68]"),
    ],
)
def test_a_median_or_quartile_that_cannot_be_read_is_said_to_be_not_shown(quantiles, words):
    assert quartiles_of(*quantiles) == words


def test_what_not_shown_means_stands_below_the_table():
    notes = result(one_number()).views()[0].notes
    assert "not shown: too few persons on one side of the median or quartile." in notes


def test_a_table_that_shows_every_quartile_does_not_speak_of_hidden_ones():
    everything = one_number((0.25, 54.0), (0.5, 61.0), (0.75, 68.0))
    both = everything.summaries[0].groups[0]
    whole = everything.model_copy(
        update={
            "summaries": (
                MergedNumber(variable="stay", groups=(both, both.model_copy(update={"group": "Lev"}))),
            )
        }
    )
    assert not any("not shown" in note for note in result(whole).views()[0].notes)


def test_no_cell_of_any_table_is_only_a_dash_for_a_hidden_figure():
    for merged in (by_arm(), one_number(), answers.KAPLAN_MEIER, answers.TABLE1):
        for view in result(merged).views()[:-1]:
            assert not any("–" in part for row in view.rows for part in row)


def test_a_table_1_by_arm_reads_so():
    assert seen(by_arm()) == lines("""
        Baseline characteristics
          variable                                        Obs                 Lev                 all
          persons                                         140                 140                 300
          age (years): mean (SD)                 60.5 (10.25)        60.5 (10.25)        60.5 (10.25)
          age (years): median [quartiles]  61 ±2.5 [54 to 68]  61 ±2.5 [54 to 68]  61 ±2.5 [54 to 68]
          sex: female                                      70                  70                  70
          sex: male                                        70                  70                  70
          sex: missing                               withheld            withheld            withheld
          Persons are rounded; true counts lie within ±6.
          withheld: too few persons to be shown, or hidden to protect such a number.
          levels other, missing: withheld everywhere.
    """)


def test_columns_of_other_and_missing_that_show_nothing_are_folded_into_a_note():
    view = result(by_arm()).views()[0]
    assert view.header == ("variable", "Obs", "Lev", "all")
    assert view.notes[-1] == "levels other, missing: withheld everywhere."
    assert {len(row) for row in view.rows} == {4}


def test_one_silent_level_is_named_in_the_singular():
    view = result(by_arm(silent=("missing",))).views()[0]
    assert view.header == ("variable", "Obs", "Lev", "other", "all")
    assert view.notes[-1] == "level missing: withheld everywhere."


def test_a_declared_arm_is_never_folded_however_silent_it_is():
    view = result(by_arm(silent=("Lev", "missing"))).views()[0]
    assert view.header == ("variable", "Obs", "Lev", "other", "all")


def test_nothing_is_folded_when_every_level_shows_something():
    view = result(by_arm(silent=())).views()[0]
    assert view.header == ("variable", *ARMS, "all")
    assert not any("everywhere" in note for note in view.notes)


def test_one_shown_figure_keeps_a_column():
    table = by_arm()
    groups = merged_table({("other",): pooled(15), ("missing",): HELD}, arm=ARMS)
    view = result(table.model_copy(update={"groups": groups})).views()[0]
    assert view.header == ("variable", "Obs", "Lev", "other", "all")


def test_folded_levels_stay_in_frame_csv_and_json():
    found = result(by_arm())
    assert {"other", "missing"} <= set(found.to_pandas()["group"])
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert {"other", "missing"} <= {row["group"] for row in rows}
    assert found.to_dict()["merged"]["groups"]["dimensions"][0]["levels"] == list(ARMS)


def test_folded_levels_are_folded_in_notebooks_too():
    html = result(by_arm())._repr_html_()
    assert "<th>other</th>" not in html
    assert "levels other, missing: withheld everywhere." in html


def test_a_grid_folds_silent_columns_and_keeps_every_row():
    sexes = ("female", "male", "missing")
    cells = {(sex, arm): pooled(20) for sex in ("female", "male", "*") for arm in ("Obs", "Lev", "*")}
    cells |= {(sex, arm): HELD for sex in (*sexes, "*") for arm in ("other", "missing")}
    cells |= {("missing", arm): HELD for arm in ("Obs", "Lev", "*")}
    crosstab = MergedCrosstab(persons=pooled(60), table=merged_table(cells, sex=sexes, arm=ARMS))
    assert seen(crosstab) == lines("""
        Persons by sex and arm
          sex \\ arm       Obs       Lev       all
          female           20        20        20
          male             20        20        20
          missing    withheld  withheld  withheld
          all              20        20        20
          Persons are rounded; true counts lie within ±6.
          withheld: too few persons to be shown, or hidden to protect such a number.
          levels other, missing: withheld everywhere.
    """)


def test_a_count_with_attrition_reads_so():
    assert seen(answers.COUNT, silent=("south",)) == lines("""
        Attrition
          step            persons
          entry events        930
          stage III <b>     ≥ 905
          pregnant       withheld
          cohort              890
          Persons are rounded; true counts lie within ±6.
          ≥: some sites withhold their share, so the figure is a floor, not a total.
          withheld: too few persons to be shown, or hidden to protect such a number.
    """)


def test_sites_that_did_not_answer_stand_below_with_their_cause():
    assert text(answers.COUNT, silent=("south",)).split("\nSites\n")[1].rstrip("\n").splitlines() == [
        "  site      state        release  seconds                                    cause",
        "  east   answered   colon-east-1     0.12",
        "  north  answered  colon-north-1     0.12",
        "  south      late              –        –  the node was offline until the deadline",
    ]


def survival(median, *, events=30, log_rank=None):
    found = Curve(group="*", persons=cell(1200), events=cell(events), steps=(), median=median)
    return MergedKaplanMeier(
        outcome="death", sites=(SiteCurves(site="east", curves=(found,)),), log_rank=log_rank
    )


@pytest.mark.parametrize(
    "median, words",
    [
        (Measured(value=1234.4), "1,234"),
        (Measured(value=0.0), "0"),
        (Withheld(reason=WithholdReason.EDGE), "not reached or withheld"),
        (Withheld(), "not reached or withheld"),
        (Withheld(reason=WithholdReason.TOO_FEW_EVENTS), "not reached or withheld"),
    ],
)
def test_a_median_survival_is_days_or_says_that_there_is_none(median, words):
    assert result(survival(median)).views()[0].rows == (("east", "all", "1,200", "30", words),)


def test_survival_with_its_test_reads_so():
    assert seen(answers.KAPLAN_MEIER) == lines("""
        Time to death, site by site
          site   group  persons  events              median days
          east     Obs      100      30  not reached or withheld
          east     Lev      100      30  not reached or withheld
          north    Obs      100      30  not reached or withheld
          north    Lev      100      30  not reached or withheld
          Persons are rounded; true counts lie within ±2.

        Log-rank test, stratified by site
          group  observed  expected
          Obs          30      22.5
          Lev          20      27.5
          χ² = 4.688 on 1 degree of freedom, p = 0.03; east, north
    """)


@pytest.mark.parametrize("test", [None, Withheld(), Withheld(reason=WithholdReason.TOO_FEW_EVENTS)])
def test_without_a_test_that_may_be_shown_there_are_only_curves(test):
    shown = result(survival(Withheld(), log_rank=test)).views()
    assert [view.title for view in shown] == ["Time to death, site by site", "Sites"]


def test_three_groups_have_two_degrees_of_freedom():
    three = StratifiedLogRank(
        groups=("a", "b", "c"),
        observed=(1.0, 2.0, 3.0),
        expected=(2.0, 2.0, 2.0),
        variance=((1.0,) * 3,) * 3,
        chi_square=25.0,
        degrees_of_freedom=2,
        p=3.7e-6,
        sites=("east",),
    )
    assert views.verdict(three) == "χ² = 25 on 2 degrees of freedom, p < 0.0001; east"


@pytest.mark.parametrize(
    "cell_, words",
    [
        (Pooled(value=0, half_width=0, sites=1), "0"),
        (Pooled(value=1250, half_width=2, sites=3), "1,250"),
        (Pooled(value=120, half_width=2, sites=2, withheld=1), "≥ 120"),
        (Counted(value=15), "15"),
        (Measured(value=0.123456), "0.1235"),
        (Measured(value=999.96), "1000"),
        (Measured(value=12345.6), "12,346"),
        (Measured(value=-12345.6), "-12,346"),
        *((Withheld(reason=reason), "withheld") for reason in WithholdReason),
    ],
)
def test_a_cell_is_a_number_a_floor_or_the_word_withheld(cell_, words):
    assert views.shown(cell_) == words


@pytest.mark.parametrize(
    "p, words",
    [(1.0, "= 1"), (0.05, "= 0.05"), (0.0001, "= 0.0001"), (0.000099, "< 0.0001"), (0.0, "< 0.0001")],
)
def test_a_p_value_has_two_digits_and_a_floor(p, words):
    assert views.p_value(p) == words


def every_cell_withheld(method):
    """Return an answer of a method in which no site lets anything go."""
    table = MergedTable(
        dimensions=answers.CROSSTAB.table.dimensions,
        cells=tuple(
            MergedTableCell(levels=part.levels, persons=HELD) for part in answers.CROSSTAB.table.cells
        ),
    )
    number = MergedNumberGroup(group="*", persons=HELD, missing=HELD, mean=HELD, sd=HELD, sites=0)
    bare = Curve(group="*", persons=HELD, events=HELD, steps=(), median=HELD)
    return {
        "count": MergedCount(persons=HELD, attrition=(MergedStep(name="entry events", persons=HELD),)),
        "table1": MergedTable1(
            persons=HELD, summaries=(MergedNumber(variable="age", unit="years", groups=(number,)),)
        ),
        "crosstab": MergedCrosstab(persons=HELD, table=table),
        "kaplan_meier": MergedKaplanMeier(
            outcome="death", sites=(SiteCurves(site="east", curves=(bare,)),), log_rank=HELD
        ),
    }[method]


METHODS = ("count", "table1", "crosstab", "kaplan_meier")


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_in_which_all_is_withheld_shows_no_digit(method):
    found = result(every_cell_withheld(method))
    figures = [part for view in found.views()[:-1] for row in view.rows for part in row[1:]]
    assert figures
    assert not any(sign.isdigit() for part in figures for sign in part)


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_in_which_all_is_withheld_has_no_number_in_its_frame(method):
    frame = result(every_cell_withheld(method)).to_pandas()
    for column in ("persons", "value", "half_width", "survival", "at_risk", "half_width_persons"):
        if column in frame:
            assert frame[column].isna().all()


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_in_which_all_is_withheld_still_makes_a_csv_a_page_and_a_json(method):
    found = result(every_cell_withheld(method))
    assert found.to_csv().count("\n") >= 1
    assert "withheld" in found._repr_html_()
    assert '"withheld"' in found.to_json()


def test_without_persons_a_survival_curve_has_a_header_and_no_rows():
    assert result(every_cell_withheld("kaplan_meier")).to_csv() == (
        "site,group,day,survival,std_err,at_risk,at_risk_status\n"
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("call", ["to_pandas", "to_csv", "sheet", "rows", "spec", "plot"])
def test_when_nobody_answered_every_reading_says_so(method, call):
    empty = atoll.Result(answers.result(None, silent=answers.SITES, method=method))
    with pytest.raises(atoll.NoAnswer) as caught:
        getattr(empty, call)()
    assert caught.value.code == "result.empty"
    assert caught.value.next_step == "See .sites for each site's cause."


@pytest.mark.parametrize("method", METHODS)
def test_when_nobody_answered_the_sites_are_still_shown(method):
    empty = atoll.Result(answers.result(None, silent=answers.SITES, method=method))
    assert [view.title for view in empty.views()] == ["Sites"]
    assert not empty.complete
    assert "0 of 3 sites" in repr(empty)


def test_a_count_by_one_variable_is_a_list_and_by_two_a_grid():
    one = merged_table({("F",): pooled(60), ("M",): HELD, ("*",): pooled(110)}, sex=("F", "M"))
    two = answers.CROSSTAB.table
    first, second = (
        result(answers.COUNT.model_copy(update={"by": table})).views()[1] for table in (one, two)
    )
    assert (first.title, first.header) == ("Persons by sex", ("sex", "persons"))
    assert first.rows == (("F", "60"), ("M", "withheld"), ("all", "110"))
    assert (second.title, second.header[0]) == ("Persons by sex and arm", "sex \\ arm")


def test_a_crosstab_of_three_variables_is_a_list_of_all_combinations():
    table = merged_table(
        {("F", "Obs", "yes"): pooled(20), ("*", "*", "*"): pooled(90)},
        sex=("F",),
        arm=("Obs",),
        node4=("yes",),
    )
    view = result(MergedCrosstab(persons=pooled(90), table=table)).views()[0]
    assert view.header == ("sex", "arm", "node4", "persons")
    assert view.rows == (("F", "Obs", "yes", "20"), ("all", "all", "all", "90"))


def test_notes_say_only_what_the_cells_need():
    exact = MergedCount(persons=Pooled(value=90, half_width=0, sites=1), attrition=())
    assert result(exact).views()[0].notes == ()


def test_curve_rows_keep_day_survival_and_error_as_numbers():
    found = Curve(
        group="*",
        persons=cell(100),
        events=cell(20),
        steps=(CurveStep(day=90, survival=0.875, std_err=0.03125, at_risk=cell(None)),),
        median=HELD,
    )
    merged = MergedKaplanMeier(outcome="death", sites=(SiteCurves(site="east", curves=(found,)),))
    assert result(merged).to_csv() == (
        "site,group,day,survival,std_err,at_risk,at_risk_status\neast,*,90,0.875,0.03125,,withheld\n"
    )
