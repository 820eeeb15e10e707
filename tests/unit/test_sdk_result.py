"""Results say what was withheld, in every form, and never as a number."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

import atoll
from atoll import extras, terminal, views
from atoll.commands import exit_code
from atoll_schemas.results import MergedBin, SiteCurves
from tests.support import answers

COUNT = atoll.Result(answers.result(answers.COUNT, silent=("south",)))
CROSSTAB = atoll.Result(answers.result(answers.CROSSTAB))
TABLE1 = atoll.Result(answers.result(answers.TABLE1))
CURVES = atoll.Result(answers.result(answers.KAPLAN_MEIER, silent=("south",)))
ALL = {"count": COUNT, "crosstab": CROSSTAB, "table1": TABLE1, "kaplan_meier": CURVES}
every = pytest.mark.parametrize("result", ALL.values(), ids=ALL.keys())


def test_two_of_three_sites_is_a_result_that_says_so():
    assert COUNT.headline == "2 of 3 sites"
    assert not COUNT.complete
    assert "2 of 3 sites, partial" in repr(COUNT)
    assert [site.site for site in COUNT.sites if site.state != "answered"] == ["south"]


def test_a_withheld_count_is_not_a_number_in_a_data_frame():
    frame = COUNT.to_pandas().set_index("step")
    assert frame.loc["pregnant", "persons"] is pd.NA
    assert frame.loc["pregnant", "status"] == "withheld"
    assert frame.loc["pregnant", "reason"] == "protected"
    assert str(frame["persons"].dtype) == "Int64"


def test_a_floor_is_told_apart_from_a_total():
    frame = COUNT.to_pandas().set_index("step")
    assert (frame.loc["stage III <b>", "persons"], frame.loc["stage III <b>", "status"]) == (905, "at least")
    assert (frame.loc["persons", "persons"], frame.loc["persons", "status"]) == (890, "total")


def test_a_frame_remembers_where_it_came_from():
    assert COUNT.to_pandas().attrs["sites"] == "2 of 3 sites"
    assert COUNT.to_pandas().attrs["query_id"] == "Q-1"


def test_a_table_keeps_its_dimensions_as_columns():
    frame = CROSSTAB.to_pandas()
    assert list(frame.columns[:2]) == ["sex", "arm"]
    assert frame.query("sex == 'F' and arm == 'Lev'")["persons"].isna().all()


def test_baseline_figures_are_one_a_row():
    frame = TABLE1.to_pandas().query("variable == 'age'").set_index("statistic")
    assert frame.loc["mean", "value"] == 60.25
    assert frame.loc["sd", "value"] is pd.NA
    assert frame.loc["sd", "reason"] == "dominance"
    assert (frame.loc["q50", "value"], frame.loc["q50", "half_width"]) == (56.5, 13.5)
    assert list(frame.loc["bin", "level"]) == ["< 50", "[50, 70)", ">= 70"]


def test_curves_are_one_step_a_row():
    frame = CURVES.to_pandas()
    assert list(frame["site"].unique()) == ["east", "north"]
    assert len(frame) == 2 * 2 * 3
    assert frame["at_risk"].isna().sum() == 4
    assert CURVES.log_rank.chi_square == 4.6875


@every
def test_csv_says_withheld_and_leaves_the_number_empty(result):
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    held = [row for row in rows if "withheld" in (row.get("status"), row.get("at_risk_status"))]
    assert held
    for row in held:
        assert not row.get("persons", "") or row["statistic"] in ("mean", "sd")
        assert not row.get("value", "")
        assert not row.get("at_risk", "")


def test_csv_fields_never_start_a_formula():
    table = answers.merged_table({("=cmd()",): answers.pooled(50)}, sex=("=cmd()",))
    evil = atoll.Result(answers.result(answers.CROSSTAB.model_copy(update={"table": table})))
    assert "'=cmd()" in evil.to_csv()
    assert "\n=cmd()" not in evil.to_csv()


@every
def test_json_is_the_answer_as_the_hub_sent_it(result):
    assert json.loads(result.to_json()) == result.contract.wire()


def test_files_are_written_where_they_are_asked_for(tmp_path):
    assert COUNT.to_csv(tmp_path / "a.csv").read_text() == COUNT.to_csv()
    assert COUNT.to_json(tmp_path / "a.json").read_text() == COUNT.to_json()


def test_rows_are_the_main_table():
    header, rows = COUNT.rows()
    assert header == ("step", "persons")
    assert rows[0] == ("entry events", "930")


def shown(result):
    return "".join(terminal.plain(view) for view in result.views())


def test_the_eye_sees_floors_and_withheld_cells():
    text = shown(COUNT)
    assert "≥ 905" in text
    assert "withheld" in text
    assert "the node was offline until the deadline" in text
    assert "≥: some sites withhold their share" in text


def test_a_crosstab_is_a_grid_with_totals():
    rows = CROSSTAB.views()[0].rows
    assert CROSSTAB.views()[0].header == ("sex \\ arm", "Obs", "Lev", "all")
    assert rows[0] == ("F", "≥ 120", "withheld", "150")
    assert rows[-1] == ("all", "200", "100", "300")


def test_baseline_characteristics_read_like_a_table_1():
    rows = dict(TABLE1.views()[0].rows)
    assert rows["persons"] == "300"
    assert rows["age (years): mean (SD)"] == "60.25 (withheld)"
    assert rows["age (years): median [quartiles]"] == "56.5 ±13.5 [not shown]"
    assert rows["sex: M"] == "withheld"


def test_survival_shows_the_test_and_who_is_in_it():
    text = shown(CURVES)
    assert "χ² = 4.688 on 1 degree of freedom, p = 0.03; east, north" in text


def test_a_tiny_p_is_not_shown_as_zero():
    assert views.p_value(1e-12) == "< 0.0001"


@every
def test_notebooks_get_a_table_a_chart_and_text(result):
    bundle = result._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/svg+xml"}
    assert result.headline in bundle["text/html"]
    ET.fromstring(bundle["image/svg+xml"])


def test_labels_are_escaped_in_html():
    html = COUNT._repr_html_()
    assert "stage III &lt;b&gt;" in html
    assert "III <b>" not in html


def test_labels_are_escaped_in_svg():
    assert "III <b>" not in COUNT._repr_svg_()


@every
def test_charts_are_drawn_by_altair_and_into_files(result, tmp_path):
    assert result.plot().to_dict(validate=False)
    assert "<svg" in result.save_svg(tmp_path / "chart.svg").read_text()


def test_survival_is_a_step_chart_for_each_site():
    spec = CURVES.spec()
    assert spec["facet"]["field"] == "site"
    assert spec["spec"]["layer"][1]["mark"]["interpolate"] == "step-after"
    assert spec["title"]["subtitle"][0].startswith("2 of 3 sites (without south)")


def test_curves_start_at_day_0_with_everybody():
    later = answers.curve("Obs", (100, 300))
    later = later.model_copy(update={"steps": later.steps[1:]})
    nothing = later.model_copy(update={"steps": ()})
    sites = (SiteCurves(site="east", curves=(later,)), SiteCurves(site="north", curves=(nothing,)))
    merged = answers.KAPLAN_MEIER.model_copy(update={"sites": sites})
    spec = atoll.Result(answers.result(merged)).spec()
    first = spec["data"]["values"][0]
    assert (first["day"], first["survival"], first["site"]) == (0, 1.0, "east")
    assert spec["title"]["subtitle"][-1] == "Too few events for a curve: north"
    assert len(spec["data"]["values"]) == 3


def test_without_any_step_there_is_nothing_to_draw():
    curves = tuple(curve.model_copy(update={"steps": ()}) for curve in answers.KAPLAN_MEIER.sites[0].curves)
    sites = (SiteCurves(site="east", curves=curves),)
    bare = atoll.Result(answers.result(answers.KAPLAN_MEIER.model_copy(update={"sites": sites})))
    assert bare._repr_svg_() is None
    with pytest.raises(atoll.NoAnswer):
        bare.spec()


def test_one_bin_for_everybody_is_not_drawn():
    number = answers.TABLE1.summaries[0]
    group = number.groups[0].model_copy(
        update={"bins": (MergedBin(low=None, high=None, persons=answers.pooled(9)),)}
    )
    summary = number.model_copy(update={"groups": (group,)})
    alone = answers.TABLE1.model_copy(update={"summaries": (summary,)})
    assert atoll.Result(answers.result(alone))._repr_svg_() is None


def test_a_withheld_bar_has_no_length():
    values = {row["label"]: row for row in COUNT.spec()["data"]["values"]}
    assert values["pregnant"]["persons"] is None
    assert values["pregnant"]["text"] == "withheld"


def test_without_an_answer_there_is_nothing_to_tabulate():
    empty = atoll.Result(answers.result(None, silent=answers.SITES))
    with pytest.raises(atoll.NoAnswer, match="0 of 3 sites"):
        empty.to_pandas()
    assert empty._repr_svg_() is None
    assert "0 of 3 sites" in empty._repr_html_()


def test_a_merge_that_the_hub_refused_gives_its_reason():
    problem = {"title": "no", "status": 409, "code": "merge.steps", "detail": "different rules (north)"}
    refused = atoll.Result(
        type(COUNT.contract).from_wire({**answers.result(None).wire(), "problem": problem})
    )
    with pytest.raises(atoll.NoAnswer) as caught:
        refused.sheet()
    assert caught.value.code == "merge.steps"
    assert exit_code(refused) == 1


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(atoll.MissingExtra) as caught:
        COUNT.to_pandas()
    assert caught.value.next_step == "Run: pip install 'atoll[plot]'"
    assert extras.has("json")


def test_exit_codes_tell_complete_partial_refused_and_failed():
    late = atoll.Result(answers.result(None, silent=answers.SITES))
    wire = late.contract.wire()
    wire["sites"] = [{**site, "state": "no_permit"} for site in wire["sites"]]
    refused = atoll.Result(type(late.contract).from_wire(wire))
    assert [exit_code(it) for it in (CROSSTAB, COUNT, late, refused)] == [0, 3, 1, 5]


def test_control_characters_of_labels_do_not_reach_the_terminal():
    assert "\x1b" not in terminal.clean("\x1b[2Jred")
