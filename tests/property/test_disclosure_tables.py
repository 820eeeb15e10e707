"""No withheld cell of a table can be bounded to fewer than ten values, judged by another solver."""

from itertools import pairwise, product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_node.raw import RawCategory, RawCount, RawCrosstab, RawStep, RawTable, RawTable1
from atoll_schemas.cells import Counted
from atoll_schemas.query import Count, Crosstab, Table1
from atoll_schemas.results import CategorySummary, SiteCount, SiteCrosstab, SiteTable1
from tests.support.cleared import question
from tests.support.gate import let_out, leveled, possible_values, raw_table, shown

COUNTS = st.one_of(st.integers(0, 12), st.integers(0, 60), st.integers(0, 400))
SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def tables(draw: st.DrawFn, ways: int, most: int) -> RawTable:
    sizes = [draw(st.integers(1, most)) for _ in range(ways)]
    named = draw(st.booleans())
    levels = [
        [*(f"l{place}" for place in range(size)), *(["other", "missing"] if named else [])] for size in sizes
    ]
    keys = list(product(*levels))
    counts = draw(st.lists(COUNTS, min_size=len(keys), max_size=len(keys)))
    return raw_table([f"d{way}" for way in range(ways)], levels, dict(zip(keys, counts, strict=True)))


def crosstab_of(table: RawTable) -> SiteCrosstab:
    query = question(Crosstab(variables=tuple(leveled(side.name, side.levels) for side in table.dimensions)))
    payload = let_out(RawCrosstab(sum(table.persons.values()), table), query).payload
    assert isinstance(payload, SiteCrosstab)
    return payload


def assert_safe(values: dict[object, int]) -> None:
    assert {cell: count for cell, count in values.items() if count < 10} == {}


@SOME
@given(tables(2, 5))
def test_two_way_tables_keep_their_withheld_cells(table: RawTable) -> None:
    assert_safe(possible_values([crosstab_of(table).table]))


@SOME
@given(tables(3, 3))
def test_three_way_tables_keep_their_withheld_cells(table: RawTable) -> None:
    assert_safe(possible_values([crosstab_of(table).table]))


@SOME
@given(tables(2, 4))
def test_what_is_shown_is_true_and_never_small(table: RawTable) -> None:
    for levels, cell in shown(crosstab_of(table).table).items():
        if isinstance(cell, Counted):
            persons = sum(
                count
                for key, count in table.persons.items()
                if all(asked in ("*", level) for asked, level in zip(levels, key, strict=True))
            )
            assert persons >= 10
            assert abs(cell.value - persons) <= cell.half_width


@st.composite
def linked(draw: st.DrawFn) -> tuple[RawTable, tuple[RawTable, ...]]:
    """Several variables by the same groups, so that the groups' totals agree."""
    groups = ["g0", "g1", "g2", "missing"][: draw(st.integers(2, 4))]
    persons = [draw(COUNTS) for _ in groups]
    found = []
    for number in range(draw(st.integers(1, 3))):
        levels = [f"v{place}" for place in range(draw(st.integers(1, 3)))] + ["other", "missing"]
        counts = {}
        for group, total in zip(groups, persons, strict=True):
            cuts = sorted(
                draw(st.lists(st.integers(0, total), min_size=len(levels) - 1, max_size=len(levels) - 1))
            )
            parts = [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]
            counts |= {(level, group): part for level, part in zip(levels, parts, strict=True)}
        found.append(raw_table([f"v{number}", "arm"], [levels, groups], counts))
    sums = {(group,): total for group, total in zip(groups, persons, strict=True)}
    return raw_table(["arm"], [groups], sums), tuple(found)


@SOME
@given(linked())
def test_tables_that_share_their_groups_keep_their_withheld_cells_together(
    drawn: tuple[RawTable, tuple[RawTable, ...]],
) -> None:
    groups, tables_by_group = drawn
    query = question(
        Table1(
            variables=tuple(leveled(table.dimensions[0].name, ["x"]) for table in tables_by_group),
            by=leveled("arm", ["x"]),
        )
    )
    summaries = tuple(RawCategory(table.dimensions[0].name, table) for table in tables_by_group)
    payload = let_out(RawTable1(sum(groups.persons.values()), groups, summaries), query).payload
    assert isinstance(payload, SiteTable1)
    assert payload.groups is not None
    published = [payload.groups]
    published += [summary.table for summary in payload.summaries if isinstance(summary, CategorySummary)]
    assert_safe(possible_values(published))
    states = {
        (levels[-1], cell)
        for table in published
        for levels, cell in shown(table).items()
        if set(levels[:-1]) <= {"*"}
    }
    assert len(states) == len(groups.persons) + 1, "a shared margin has one state"


@SOME
@given(tables(1, 5), st.lists(st.integers(0, 40), max_size=5))
def test_count_and_its_table_agree_with_a_crosstab(table: RawTable, removed: list[int]) -> None:
    persons = sum(table.persons.values())
    left = [persons + sum(removed[place:]) for place in range(len(removed) + 1)]
    steps = tuple(RawStep(f"step {place}", number) for place, number in enumerate(left))
    query = question(Count(by=(leveled("d0", ["x"]),)))
    payload = let_out(RawCount(persons, steps, table), query).payload
    assert isinstance(payload, SiteCount)
    assert payload.by is not None
    assert payload.attrition[-1].persons == payload.persons == shown(payload.by)[("*",)]
    assert_safe(possible_values([payload.by]))
    released = [
        number
        for number, step in zip(left, payload.attrition, strict=True)
        if isinstance(step.persons, Counted)
    ]
    assert all(earlier - later >= 10 for earlier, later in pairwise(released))
