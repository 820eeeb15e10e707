"""What a catalog may say, what a search finds in it, and how sites' entries stand side by side."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_hub.catalog.rules import (
    MOST_MATCHES,
    check_push,
    dataset_variables,
    dataset_view,
    matches,
    search_lines,
    words_of,
)
from atoll_hub.errors import Unprocessable
from atoll_schemas.catalog import CatalogEntry, CatalogPush, ConceptEntry, FieldEntry, TableEntry
from atoll_schemas.cells import Counted, Withheld
from atoll_schemas.query import Demographic, Variable
from tests.support.hub_consortium import catalog

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEX = Variable(name="sex", label="Sex at birth", definition=Demographic(field="sex"))
AGE = Variable(name="age", definition=Demographic(field="age"), edges=(50, 70))
OTHER_AGE = AGE.model_copy(update={"edges": (60, 80)})


def entry(site: str = "north", dataset: str = "colon", **changes: Any) -> CatalogEntry:
    return catalog(site, dataset, **changes).entries[0]


def push(*entries: CatalogEntry) -> CatalogPush:
    return CatalogPush(site="north", entries=entries, pushed_at=NOW)


@pytest.mark.parametrize("entries", [(), (entry(),), (entry(), entry(dataset="lung"))])
def test_a_site_speaks_for_its_own_datasets_each_once(entries: tuple[CatalogEntry, ...]):
    check_push(push(*entries), "north")


@pytest.mark.parametrize(
    "entries, by",
    [
        pytest.param((entry(),), "south", id="pushed by another site"),
        pytest.param((), "south", id="an empty catalog of another site"),
        pytest.param((entry(), entry("south", "lung")), "north", id="one entry of another site"),
        pytest.param((entry(), entry(release="colon-2")), "north", id="two releases of one dataset"),
    ],
)
def test_a_catalog_beyond_that_is_refused(entries: tuple[CatalogEntry, ...], by: str):
    with pytest.raises(Unprocessable) as refusal:
        check_push(push(*entries), by)
    assert refusal.value.code == "catalog.site"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ()),
        ("   \t\n", ()),
        ("Colon", ("colon",)),
        ("colon  COLON  Colon", ("colon",)),
        ("stage III", ("stage", "iii")),
        ("Straße", ("strasse",)),
        ("c18.9", ("c18.9",)),
    ],
)
def test_a_search_is_words_whose_letter_case_does_not_matter(text: str, words: tuple[str, ...]):
    assert words_of(text) == words


CONCEPTS = (
    ConceptEntry(
        table="condition_occurrence",
        concept_id=0,
        vocabulary="ICD10",
        code="C18.9",
        persons=Counted(value=10),
        rows=Counted(value=10),
    ),
    ConceptEntry(
        table="drug_exposure",
        concept_id=1_338_512,
        name="doxorubicin\n100 mg",
        persons=Counted(value=10),
        rows=Counted(value=10),
    ),
)
FIELDS = (FieldEntry(name="year_of_birth", datatype="integer", filled=Counted(value=120)),)
PERSON = TableEntry(name="person", persons=Counted(value=120), rows=Counted(value=120), fields=FIELDS)
FULL = entry(concepts=CONCEPTS, tables=(PERSON,), variables=(SEX, AGE))


@pytest.mark.parametrize(
    "line",
    [
        "colon",
        "Colon trial",
        "Adjuvant therapy",
        "north",
        "person",
        "person.year_of_birth",
        "ICD10 C18.9",
        "doxorubicin 100 mg 1338512",
        "sex Sex at birth",
        "age",
    ],
)
def test_a_search_looks_through_names_fields_codes_and_labels(line: str):
    assert line in search_lines(FULL)


def test_a_search_line_never_spans_lines_and_is_never_empty():
    lines = search_lines(FULL.model_copy(update={"description": "two\nlines", "title": "a  b"}))
    assert "two lines" in lines
    assert all(line and "\n" not in line for line in lines)


def test_no_count_is_searchable():
    secretive = FULL.model_copy(update={"persons": Counted(value=987_654)})
    assert not any("987654" in line for line in search_lines(secretive))


@pytest.mark.parametrize(
    "words, found",
    [
        (["colon"], ("colon", "Colon trial")),
        (["c18.9"], ("ICD10 C18.9",)),
        (["c18"], ("ICD10 C18.9",)),
        (
            ["doxorubicin", "birth"],
            ("person.year_of_birth", "doxorubicin 100 mg 1338512", "sex Sex at birth"),
        ),
        (["doxorubicin", "nothing"], None),
        (["nothing"], None),
        (["%"], None),
        (["_birth"], ("person.year_of_birth",)),
        (["person."], ("person.year_of_birth",)),
    ],
)
def test_every_word_must_be_found_somewhere(words: list[str], found: tuple[str, ...] | None):
    assert matches(search_lines(FULL), words) == found


def test_a_search_without_words_matches_without_naming_lines():
    assert matches(["colon"], []) == ()


def test_only_the_first_ten_matches_are_shown_each_once():
    lines = [f"colon {number}" for number in range(30)] * 2
    found = matches(lines, ["colon"])
    assert found == tuple(lines[:MOST_MATCHES])


@given(st.lists(st.text(max_size=20), max_size=8), st.text(max_size=10))
def test_a_match_holds_a_word_of_the_search(lines: list[str], text: str):
    words = words_of(text)
    for line in matches(lines, words) or ():
        assert any(word in line.casefold() for word in words)


def test_releases_stand_side_by_side_and_nothing_is_added_up():
    north = entry(persons=Counted(value=120), first_year=1990, last_year=2001)
    south = entry("south", title="Another title", persons=Withheld(), synthetic=True, date_shift=True)
    view = dataset_view([north, south], {"north": date(2026, 4, 30)})
    assert (view.dataset, view.title) == ("colon", "Colon trial")
    first, second = view.sites
    assert (first.persons, first.first_year, first.last_ingest) == (
        Counted(value=120),
        1990,
        date(2026, 4, 30),
    )
    assert (second.persons, second.synthetic, second.date_shift, second.last_ingest) == (
        Withheld(),
        True,
        True,
        None,
    )


def test_matches_of_several_sites_are_shown_once_and_at_most_ten():
    view = dataset_view([entry()], {}, [f"line {number % 15}" for number in range(60)])
    assert view.matches == tuple(f"line {number}" for number in range(MOST_MATCHES))


def test_a_variable_is_listed_with_the_sites_that_declare_it_in_the_same_way():
    sites = [
        entry("north", variables=(SEX, AGE)),
        entry("south", variables=(AGE, SEX)),
        entry("west", variables=(OTHER_AGE,)),
    ]
    found = dataset_variables(sites)
    assert [(one.variable, one.sites) for one in found.variables] == [
        (SEX, ("north", "south")),
        (AGE, ("north", "south")),
        (OTHER_AGE, ("west",)),
    ]
    assert found.outcomes == ()
