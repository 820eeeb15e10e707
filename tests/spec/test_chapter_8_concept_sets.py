"""Chapter 8. Which concepts a concept set means: descendants, exclusions, invalid concepts, source codes.

The hierarchy: 1 is above 2 and 3; 3 is above 4; 5 is below 2 and no longer valid.
"""

import pytest

from atoll_node.errors import EngineError
from atoll_schemas.circe import CohortExpression
from tests.support.circe_text import cohort, condition, item
from tests.support.lake import release_of
from tests.support.text_tables import rows_of

NUMBERS = range(1, 8)
RECORDS = {
    "person": "\n".join(["person_id | year_of_birth", *(f"{n} | 1960" for n in NUMBERS)]),
    "observation_period": "\n".join(
        [
            "observation_period_id | person_id | observation_period_start_date | observation_period_end_date",
            *(f"{n} | {n} | 2020-01-01 | 2020-12-31" for n in NUMBERS),
        ]
    ),
    "condition_occurrence": """
        condition_occurrence_id | person_id | condition_concept_id | condition_start_date | condition_source_value
        1                       | 1         | 1                    | 2020-02-01           | A
        2                       | 2         | 2                    | 2020-02-01           | B
        3                       | 3         | 3                    | 2020-02-01           | C
        4                       | 4         | 4                    | 2020-02-01           | D
        5                       | 5         | 5                    | 2020-02-01           | E
        6                       | 6         | 0                    | 2020-02-01           | F
        7                       | 7         |                      | 2020-02-01           |
    """,  # noqa: E501
}
HIERARCHY = {
    "concept_ancestor": """
        ancestor_concept_id | descendant_concept_id
        1                   | 1
        1                   | 2
        1                   | 3
        1                   | 4
        1                   | 5
        2                   | 2
        2                   | 5
        3                   | 3
        3                   | 4
        4                   | 4
    """,
    "concept": """
        concept_id | invalid_reason
        1          |
        2          |
        3          |
        4          |
        5          | D
    """,
}
VOCABULARY = {**RECORDS, **HIERARCHY}


def asking(*items: dict, codes: tuple[str, ...] = (), others: tuple[dict, ...] = ()) -> dict:
    wanted: dict = {"id": 7, "name": "wanted", "expression": {"items": list(items)}}
    if codes:
        wanted["SourceCodes"] = [{"vocabulary": "any", "code": code} for code in codes]
    return cohort(condition(CodesetId=7), ConceptSets=[wanted, *others])


def persons(found: list[str]) -> list[int]:
    return [int(line.split(":")[0]) for line in found]


def without(concept: int, **flags: bool) -> dict:
    return item(concept, isExcluded=True, **flags)


DOWN = {"includeDescendants": True}
MEANINGS = [
    ("one concept", [item(3)], [3]),
    ("two concepts", [item(3), item(1)], [1, 3]),
    ("a concept and all below it", [item(3, **DOWN)], [3, 4]),
    ("invalid concepts below are left out", [item(1, **DOWN)], [1, 2, 3, 4]),
    ("an invalid concept that is named counts", [item(5)], [5]),
    ("less one concept", [item(1, **DOWN), without(3)], [1, 2, 4]),
    ("less a concept and all below it", [item(1, **DOWN), without(3, **DOWN)], [1, 2]),
    ("less itself", [item(1, **DOWN), without(1)], [2, 3, 4]),
    ("less everything", [item(3, **DOWN), without(1, **DOWN)], []),
    ("an exclusion of what is not in it", [item(2), without(3)], [2]),
    ("the order of lines does not matter", [without(3), item(1, **DOWN)], [1, 2, 4]),
    ("an exclusion alone", [without(3)], []),
    ("no line", [], []),
    ("concept 0, which is written for no matching concept", [item(0)], [6]),
    ("a concept that nothing knows", [item(99)], []),
    ("a concept that nothing knows, with descendants", [item(99, **DOWN)], []),
]


@pytest.mark.parametrize("items, expected", [row[1:] for row in MEANINGS], ids=[row[0] for row in MEANINGS])
def test_a_concept_set_is_what_it_includes_less_what_it_excludes(stays, items, expected):
    assert persons(stays(VOCABULARY, asking(*items))) == expected


@pytest.mark.parametrize(
    "codes, items, expected",
    [
        (("B",), [], [2]),
        (("B", "F"), [], [2, 6]),
        (("B",), [item(3)], [2, 3]),
        (("C",), [item(3), without(3)], [3]),
        (("b",), [], []),
        (("B ",), [], []),
        (("%",), [], []),
    ],
)
def test_source_codes_are_compared_whole_and_add_to_the_concepts(stays, codes, items, expected):
    assert persons(stays(RECORDS, asking(*items, codes=codes))) == expected


def test_without_a_concept_table_all_descendants_count(stays):
    tables = {**RECORDS, "concept_ancestor": HIERARCHY["concept_ancestor"]}
    assert persons(stays(tables, asking(item(1, **DOWN)))) == [1, 2, 3, 4, 5]


def test_a_set_that_no_criterion_names_is_not_looked_up(stays):
    """ATLAS exports sets that nothing uses; a site without vocabularies can still answer."""
    unused = {"id": 8, "name": "unused", "expression": {"items": [item(1, **DOWN)]}}
    assert persons(stays(RECORDS, asking(item(3), others=(unused,)))) == [3]


@pytest.mark.parametrize(
    "vocabulary", [{}, {"concept_ancestor": "ancestor_concept_id | descendant_concept_id"}]
)
def test_descendants_without_a_hierarchy_are_refused_and_never_fewer_persons(lagoon, vocabulary):
    """The node's engine alone refuses: the reference is handed tables that are complete."""
    engine, folder = lagoon
    site = {name: rows_of(name, text) for name, text in {**RECORDS, **vocabulary}.items()}
    expression = CohortExpression.from_json(asking(item(1, **DOWN)))
    with pytest.raises(EngineError) as caught:
        engine.cohort_rows(expression, release_of(site, folder))
    assert caught.value.code == "engine.vocabulary"
    assert "ingest the OMOP vocabularies" in str(caught.value.next_step)


def test_variables_read_the_same_hierarchy(ask):
    codes = {"concept_ids": [3], "descendants": True}
    by = {"name": "v", "definition": {"kind": "presence", "domain": "condition", "codes": codes}}
    everyone = {"start": None, "end": None}
    by["definition"]["window"] = everyone
    table = ask(VOCABULARY, {"method": "count", "by": [by]}).by
    assert table.persons == {("yes",): 2, ("no",): 5}


MAPS = {
    "concept_relationship": """
        concept_id_1 | concept_id_2 | relationship_id | invalid_reason
        6            | 1            | Maps to         |
        5            | 3            | Maps to         | D
        2            | 3            | Mapped from     |
        4            | 2            | Maps to         |
    """
}
MAPPED = {
    **VOCABULARY,
    **MAPS,
    "condition_occurrence": RECORDS["condition_occurrence"].replace("| 0    ", "| 6    "),
}


@pytest.mark.parametrize(
    "items, expected",
    [
        ([item(1)], [1]),
        ([item(1, includeMapped=True)], [1, 6]),
        ([item(3, includeMapped=True)], [3]),
        ([item(2, includeMapped=True)], [2, 4]),
        ([item(1, includeMapped=True, includeDescendants=True)], [1, 2, 3, 4, 6]),
        ([item(1, includeDescendants=True), item(2, isExcluded=True, includeMapped=True)], [1, 3]),
    ],
)
def test_mapped_adds_the_concepts_with_a_valid_map_to_one_of_the_line(stays, items, expected):
    found = stays(MAPPED, asking(*items))
    assert [int(line.split(":")[0]) for line in found] == expected


def test_without_relationships_nothing_is_mapped(stays):
    assert stays(VOCABULARY, asking(item(1, includeMapped=True))) == stays(VOCABULARY, asking(item(1)))
