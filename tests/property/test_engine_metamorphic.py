"""What must hold between the answers to two related sites, whatever the question."""

import json
import re
import time
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from atoll_node.engine import DuckDbEngine
from atoll_node.raw import RawAggregate
from atoll_node.reference import evaluate
from atoll_node.settings import EngineSettings
from atoll_schemas.query import Query
from tests.support.lake import release_of
from tests.support.same_aggregates import differences, plain
from tests.support.small_sites import Tables, analyses, queries, site, sites

Answer = Callable[[Tables, Query], RawAggregate]
SHARED = {"concept", "concept_ancestor"}
bounded = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Answer with the node's engine; the differential says that the reference answers the same."""
    folder = tmp_path_factory.mktemp("metamorphic")
    engine = DuckDbEngine(EngineSettings(memory="300MB", threads=1), folder / "scratch")

    def run(tables: Tables, query: Query) -> RawAggregate:
        return engine.run(query, release_of(tables, folder), clock=time.monotonic)

    return run


def renumbered(tables: Tables, persons: int, records: int) -> Tables:
    """Return the same persons under other keys, in the same order."""

    def moved(name: str, row: dict[str, Any]) -> dict[str, Any]:
        key = f"{name}_id"
        own = {key: row[key] + records} if key in row and key != "person_id" else {}
        return {**row, **own, "person_id": row["person_id"] + persons}

    return {
        name: rows if name in SHARED else [moved(name, row) for row in rows] for name, rows in tables.items()
    }


def together(*parts: Tables) -> Tables:
    """Return one site that holds the persons of all parts."""
    names = parts[0]
    return {
        name: parts[0][name] if name in SHARED else [row for part in parts for row in part[name]]
        for name in names
    }


def shifted(tables: Tables, days: int) -> Tables:
    """Return the site with every date moved."""
    return {
        name: [
            {
                field: value + timedelta(days=days) if isinstance(value, date) else value
                for field, value in row.items()
            }
            for row in rows
        ]
        for name, rows in tables.items()
    }


def counts(raw: RawAggregate) -> list[int]:
    """Return every number of persons of an answer in its order; other figures left out."""
    found: list[int] = []
    _collect(plain(raw.analysis), found)
    return found


def _collect(value: Any, found: list[int]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"persons", "n"} and isinstance(inner, int):
                found.append(inner)
            elif name == "persons" and isinstance(inner, dict):
                found.extend(inner.values())
            else:
                _collect(inner, found)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, found)


def moved(query: Query, days: int) -> Query:
    """Return the question with every date moved."""

    def later(found: re.Match[str]) -> str:
        return f'"{date.fromisoformat(found[1]) + timedelta(days=days)}"'

    text = re.sub(r'"(\d{4}-\d\d-\d\d)"', later, query.canonical().decode())
    return Query.from_wire(json.loads(text))


def asks_for_years(query: Query) -> bool:
    """Whether the answer depends on the year of an event."""
    text = query.canonical().decode()
    return any(name in text for name in ('"Age"', '"age"', '"index_year"'))


tables_only = queries().filter(lambda query: query.analysis.method != "kaplan_meier")


@bounded
@given(site=sites(6), query=tables_only)
def test_each_person_twice_doubles_every_count(answer: Answer, site: Tables, query: Query) -> None:
    twice = together(site, renumbered(site, 1_000, 10_000))
    assert counts(answer(twice, query)) == [2 * count for count in counts(answer(site, query))]


@bounded
@given(parts=st.tuples(sites(4), sites(4), sites(4)), query=tables_only)
def test_the_counts_of_three_sites_add_up_to_those_of_one(
    answer: Answer, parts: tuple[Tables, Tables, Tables], query: Query
) -> None:
    apart = [renumbered(part, 100 * place, 1_000 * place) for place, part in enumerate(parts)]
    each = [counts(answer(part, query)) for part in apart]
    assert counts(answer(together(*apart), query)) == [sum(row) for row in zip(*each, strict=True)]


@bounded
@given(parts=st.tuples(sites(5), sites(5)), analysis=analyses["kaplan_meier"])
def test_life_tables_of_two_sites_add_up_day_by_day(
    answer: Answer, parts: tuple[Tables, Tables], analysis: dict[str, Any]
) -> None:
    everyone = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}
    query = Query.from_wire({"project": "P-1", "dataset": "test", "cohort": everyone, "analysis": analysis})
    apart = [renumbered(part, 100 * place, 1_000 * place) for place, part in enumerate(parts)]

    def leaving(tables: Tables) -> dict[tuple[str, int], tuple[int, int]]:
        raw = answer(tables, query).analysis
        return {
            (curve.group, day): (events, censored)
            for curve in raw.curves
            for day, events, censored in zip(curve.days, curve.events_at, curve.censored_at, strict=True)
        }

    one, two, both = leaving(apart[0]), leaving(apart[1]), leaving(together(*apart))
    nobody = (0, 0)
    assert both == {
        place: tuple(map(sum, zip(one.get(place, nobody), two.get(place, nobody), strict=True)))
        for place in one.keys() | two.keys()
    }


@bounded
@given(site=sites(6), query=queries(), days=st.sampled_from([-730, -1, 1, 366]))
def test_when_all_dates_move_together_the_answer_stays(
    answer: Answer, site: Tables, query: Query, days: int
) -> None:
    assume(not asks_for_years(query))
    assert differences(answer(site, query), answer(shifted(site, days), moved(query, days))) == []


@bounded
@given(site=sites(6), query=queries(), seed=st.integers(0, 999))
def test_the_order_of_rows_changes_nothing(answer: Answer, site: Tables, query: Query, seed: int) -> None:
    mixed = {name: Random(seed).sample(rows, len(rows)) for name, rows in site.items()}
    assert differences(answer(site, query), answer(mixed, query)) == []


@bounded
@given(site=sites(6), query=queries(), others=st.integers(1, 5))
def test_persons_who_were_never_observed_change_nothing(
    answer: Answer, site: Tables, query: Query, others: int
) -> None:
    strangers = renumbered(_site_of(others), 1_000, 10_000)
    strangers["observation_period"] = []
    assert differences(answer(site, query), answer(together(site, strangers), query)) == []


def _site_of(count: int) -> Tables:
    return site(Random(count), count)


@bounded
@given(site=sites(6), query=queries())
def test_rules_never_let_a_person_back_in(site: Tables, query: Query) -> None:
    wire = query.wire()
    steps = evaluate(site, Query.from_wire({**wire, "analysis": {"method": "count"}})).analysis.attrition
    persons = [step.persons for step in steps]
    assert persons == sorted(persons, reverse=True)


@bounded
@given(site=sites(6), query=queries())
def test_the_members_do_not_depend_on_what_is_asked_of_them(
    answer: Answer, site: Tables, query: Query
) -> None:
    counted = Query.from_wire({**query.wire(), "analysis": {"method": "count"}})
    assert answer(site, query).members.tolist() == answer(site, counted).members.tolist()
