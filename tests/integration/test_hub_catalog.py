"""A site's catalog replaces the one before, is searched by people, and routes their questions."""

from typing import Any

import pytest

from atoll_hub.audit.rules import Action
from atoll_schemas.catalog import CatalogPush
from atoll_schemas.query import Demographic, Variable
from tests.support.hub import PlainNode
from tests.support.hub_consortium import Caller, Consortium, catalog, submission

SEX = Variable(name="sex", label="Sex at birth", definition=Demographic(field="sex"))


def offers(node: PlainNode, *pushes: CatalogPush) -> None:
    """Push one catalog that holds the entries of all ``pushes``."""
    assert node.enrolled is not None
    whole = CatalogPush(
        site=node.enrolled.site,
        entries=tuple(entry for push in pushes for entry in push.entries),
        pushed_at=pushes[0].pushed_at,
        last_ingest=pushes[0].last_ingest,
    )
    assert node.post("catalog", whole.wire()).status_code == 204


def names(ada: Caller, words: str = "") -> list[str]:
    return [one["dataset"] for one in ada.get("/v1/datasets", params={"q": words}).json()]


@pytest.fixture
def searched(lagoon: Consortium) -> Caller:
    """A person who searches two sites: north offers colon and lung, south offers colon."""
    north, south = lagoon.node("north", None), lagoon.node("south", None)
    lung = catalog("north", "lung", title="Lung registry", description="Cisplatin", concepts=())
    offers(north, catalog("north", variables=(SEX,)), lung)
    offers(south, catalog("south"))
    return lagoon.person("ada")


@pytest.mark.parametrize(
    "words, found",
    [
        ("", ["colon", "lung"]),
        ("   ", ["colon", "lung"]),
        ("LUNG", ["lung"]),
        ("cisplatin registry", ["lung"]),
        ("cisplatin trial", []),
        ("malignant", ["colon"]),
        ("4180790", ["colon"]),
        ("south", ["colon"]),
        ("birth", ["colon"]),
        ("north", ["colon", "lung"]),
        ("' or '1'='1", []),
        ("\\", []),
    ],
)
def test_a_search_finds_the_datasets_in_which_every_word_stands(
    searched: Caller, words: str, found: list[str]
):
    assert names(searched, words) == found


def test_a_search_shows_in_what_it_found_its_words(searched: Caller):
    (found,) = searched.get("/v1/datasets", params={"q": "tumor"}).json()
    assert found["matches"] == ["Malignant tumor of colon 4180790"]
    assert [site["site"] for site in found["sites"]] == ["north", "south"]


def test_a_search_that_is_too_long_is_refused(searched: Caller):
    assert searched.get("/v1/datasets", params={"q": "x" * 200}).status_code == 200
    assert searched.get("/v1/datasets", params={"q": "x" * 201}).json()["code"] == "request.invalid"


def test_a_dataset_is_shown_in_full_one_entry_a_site(searched: Caller):
    found = searched.get("/v1/datasets/colon").json()
    assert [(one["site"], one["release"]) for one in found] == [("north", "colon-1"), ("south", "colon-1")]
    assert found[0]["persons"] == {"kind": "counted", "value": 120, "half_width": 2}


def test_variables_are_listed_with_the_sites_that_declare_them(searched: Caller):
    found = searched.get("/v1/datasets/colon/variables").json()
    assert [(one["variable"]["name"], one["sites"]) for one in found["variables"]] == [("sex", ["north"])]
    assert searched.get("/v1/datasets/lung/variables").json()["variables"] == []


@pytest.mark.parametrize("path", ["/v1/datasets/heart", "/v1/datasets/heart/variables"])
def test_a_dataset_that_nobody_offers_is_unknown(searched: Caller, path: str):
    reply = searched.get(path)
    assert (reply.status_code, reply.json()["code"]) == (404, "dataset.unknown")


def test_sites_are_listed_with_what_they_offer(searched: Caller):
    found = {one["site"]: one["datasets"] for one in searched.get("/v1/sites").json()}
    assert found == {"north": ["colon", "lung"], "south": ["colon"]}


def test_a_new_catalog_replaces_the_whole_one_before(lagoon: Consortium):
    ada, north = lagoon.person("ada"), lagoon.node("north")
    offers(north, catalog("north", "lung"))
    assert names(ada) == ["lung"]
    assert ada.get("/v1/datasets/colon").status_code == 404
    assert names(ada, "colon trial") == ["lung"], "the title of the helper's entry stays the same"


def test_an_empty_catalog_takes_back_what_a_site_offered(lagoon: Consortium):
    ada, north = lagoon.person("ada"), lagoon.node("north")
    empty = catalog("north").model_copy(update={"entries": ()})
    assert north.post("catalog", empty.wire()).status_code == 204
    assert names(ada) == []
    assert ada.get("/v1/sites").json()[0]["datasets"] == []


def test_one_sites_catalog_leaves_the_others_alone(lagoon: Consortium):
    ada, north = lagoon.person("ada"), lagoon.node("north")
    lagoon.node("south")
    north.post("catalog", catalog("north").model_copy(update={"entries": ()}).wire())
    (found,) = ada.get("/v1/datasets").json()
    assert [site["site"] for site in found["sites"]] == ["south"]


def test_a_question_goes_where_the_catalog_says(lagoon: Consortium):
    ada = lagoon.person("ada")
    north, south = lagoon.node("north"), lagoon.node("south", "lung")
    lagoon.project(ada, north, south, datasets=["colon", "lung"])
    colon, lung = ada.ask(), ada.ask(dataset="lung")
    asked = {query: [one["site"] for one in ada.result(query)["sites"]] for query in (colon, lung)}
    assert asked == {colon: ["north"], lung: ["south"]}
    offers(south, catalog("south", "lung"), catalog("south", "colon"))
    assert [one["site"] for one in ada.result(ada.ask())["sites"]] == ["north", "south"]
    assert [one["site"] for one in ada.result(colon)["sites"]] == ["north"], "what was asked stays asked"


ROUTES: list[tuple[list[str] | None, tuple[int, Any]]] = [
    (None, (201, ["north", "south"])),
    (["south"], (201, ["south"])),
    (["south", "north"], (201, ["south", "north"])),
    (["south", "south"], (201, ["south"])),
    (["west"], (422, "site.not_offering")),
    (["nowhere"], (422, "site.not_offering")),
    ([], (422, "site.not_offering")),
]


@pytest.mark.parametrize("sites, expected", ROUTES)
def test_wanted_sites_are_asked_in_the_order_named(
    lagoon: Consortium, sites: list[str] | None, expected: tuple[int, Any]
):
    ada = lagoon.person("ada")
    nodes = [lagoon.node("north"), lagoon.node("south"), lagoon.node("west", "lung")]
    lagoon.project(ada, *nodes)
    reply = ada.post("/v1/queries", submission(**({} if sites is None else {"sites": sites})))
    found: Any = reply.json().get("code")
    if reply.status_code == 201:
        found = [one["site"] for one in ada.result(reply.json()["query_id"])["sites"]]
    assert (reply.status_code, found) == expected


def test_each_push_is_a_decision_with_its_digest_and_releases(lagoon: Consortium):
    lagoon.node("north")
    (entry,) = [one for one in lagoon.hub.journal.entries() if one.action == Action.CATALOG_REPLACED]
    assert entry.actor == "node:north"
    assert entry.detail["releases"] == {"colon": "colon-1"}
    assert entry.detail["digest"] == catalog("north").digest()
