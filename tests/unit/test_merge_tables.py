"""Cells and tables of several sites become sums that say who is in them, or nothing at all."""

import pytest

from atoll_hub.queries.merge import MergeRefused, merge
from atoll_schemas.cells import Counted, Pooled, Withheld, WithholdReason
from atoll_schemas.query import Count, Crosstab, Demographic, Variable
from atoll_schemas.results import AttritionStep, MergedCount, MergedCrosstab, SiteCount, SiteCrosstab
from tests.support.cleared import cell, cleared, question, table

SEX = Variable(name="sex", definition=Demographic(field="sex"))
RACE = Variable(name="race", definition=Demographic(field="race"))
COUNT = question(Count())


def count(persons, steps=(("entry events", 100),), by=None):
    return SiteCount(
        persons=cell(persons),
        attrition=tuple(AttritionStep(name=name, persons=cell(left)) for name, left in steps),
        by=by,
    )


def merged(query=COUNT, **payloads):
    return merge(query, {site: cleared(site, query, payload) for site, payload in payloads.items()})


def refusal(query=COUNT, **payloads):
    with pytest.raises(MergeRefused) as caught:
        merged(query, **payloads)
    return caught.value


def test_no_site_gives_no_answer():
    assert merge(COUNT, {}) is None


def test_counted_cells_add_up_with_their_half_widths():
    answer = merged(north=count(120), south=count(45), east=count(10))
    assert answer.persons == Pooled(value=175, half_width=6, sites=3, withheld=0)


def test_a_withheld_cell_is_no_zero_and_turns_the_sum_into_a_floor():
    answer = merged(north=count(120), south=count(None))
    assert answer.persons == Pooled(value=120, half_width=2, sites=1, withheld=1)


def test_a_cell_that_every_site_withholds_stays_withheld():
    assert merged(north=count(None), south=count(None)).persons == Withheld()


def test_different_reasons_merge_into_the_one_that_tells_least():
    lacking = SiteCount(persons=Withheld(reason=WithholdReason.NOT_AVAILABLE), attrition=())
    hiding = SiteCount(persons=Withheld(), attrition=())
    assert merged(a=lacking, b=lacking).persons == Withheld(reason=WithholdReason.NOT_AVAILABLE)
    assert merged(a=lacking, b=hiding).persons == Withheld(reason=WithholdReason.PROTECTED)


def test_attrition_adds_up_rule_by_rule():
    steps = (("entry events", 200), ("stage III", 120))
    answer = merged(north=count(120, steps), south=count(30, (("entry events", 40), ("stage III", None))))
    assert isinstance(answer, MergedCount)
    assert [step.name for step in answer.attrition] == ["entry events", "stage III"]
    assert answer.attrition[0].persons == Pooled(value=240, half_width=4, sites=2)
    assert answer.attrition[1].persons == Pooled(value=120, half_width=2, sites=1, withheld=1)


def test_tables_add_up_cell_by_cell_whatever_their_order():
    query = question(Crosstab(variables=(SEX, RACE)))
    levels = {"sex": ("F", "M"), "race": ("white", "other")}
    north = table({("F", "white"): 20, ("M", "white"): 30, ("*", "white"): 50}, **levels)
    south = table({("*", "white"): 25, ("M", "white"): None, ("F", "white"): 15}, **levels)
    answer = merged(
        query,
        north=SiteCrosstab(persons=cell(50), table=north),
        south=SiteCrosstab(persons=cell(25), table=south),
    )
    assert isinstance(answer, MergedCrosstab)
    shown = {part.levels: part.persons for part in answer.table.cells}
    assert shown[("F", "white")] == Pooled(value=35, half_width=4, sites=2)
    assert shown[("M", "white")] == Pooled(value=30, half_width=2, sites=1, withheld=1)
    assert shown[("*", "white")] == Pooled(value=75, half_width=4, sites=2)


def test_a_cell_counted_exactly_keeps_its_half_width_of_zero():
    exact = SiteCount(persons=Counted(value=12, half_width=0), attrition=())
    assert merged(north=exact).persons == Pooled(value=12, half_width=0, sites=1)


def test_another_query_is_refused_with_the_site_that_answered_it():
    other = question(Count(by=(SEX,)))
    with pytest.raises(MergeRefused) as caught:
        merge(COUNT, {"north": cleared("north", COUNT, count(1)), "south": cleared("south", other, count(1))})
    assert (caught.value.code, caught.value.sites) == ("merge.digest", ("south",))


def test_a_result_under_another_sites_name_is_refused():
    with pytest.raises(MergeRefused) as caught:
        merge(COUNT, {"north": cleared("south", COUNT, count(1))})
    assert caught.value.code == "merge.site"


def test_another_method_is_refused():
    crosstab = SiteCrosstab(persons=cell(50), table=table({("*",): 10}, sex=("F",)))
    found = refusal(north=count(50), south=crosstab)
    assert (found.code, found.sites) == ("merge.method", ("south",))


def test_other_levels_are_refused_and_the_odd_site_is_named():
    def by(*levels):
        return count(50, by=table({("*",): 50}, sex=levels))

    found = refusal(north=by("F", "M"), south=by("F", "M"), east=by("F", "M", "unknown"))
    assert (found.code, found.sites) == ("merge.dimensions", ("east",))


def test_without_a_majority_every_site_is_named():
    found = refusal(north=count(5, (("a", 5),)), south=count(5, (("b", 5),)))
    assert (found.code, found.sites) == ("merge.steps", ("north", "south"))


def test_a_missing_cell_is_refused():
    full = count(50, by=table({("F",): 20, ("*",): 50}, sex=("F", "M")))
    short = count(50, by=table({("*",): 50}, sex=("F", "M")))
    assert refusal(north=full, south=short).code == "merge.cells"


def test_a_table_at_one_site_only_is_refused():
    with_table = count(50, by=table({("*",): 50}, sex=("F", "M")))
    assert refusal(north=with_table, south=count(50)).code == "merge.dimensions"


def test_a_refusal_becomes_a_problem_that_names_the_sites():
    problem = refusal(north=count(5, (("a", 5),)), south=count(5, (("b", 5),))).problem()
    assert problem.code == "merge.steps"
    assert problem.detail == "the sites applied different inclusion rules (north, south)"
    assert problem.next_step
