"""What must hold between the cohorts of two related sites, or of two related expressions.

The laws are asked of the arrays, which count the masks too; the differential says that the statements and the
reference engine answer the same.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.tables import Content, Datatype, core_1
from tests.support.circe_strategies import KINDS, Json, correlated, expressions, tables_read
from tests.support.dense_sites import EVENT_TABLES, Tables, site
from tests.support.three_engines import Answer, NodeEngines

pytestmark = pytest.mark.slow
Ask = Callable[[Tables, Json], Answer]
OF_PERSONS = {*EVENT_TABLES, "person", "observation_period", "death"}
SHARED = {"provider", "care_site", "location"}
CENTURIES = 146_097
"""Days of 400 years, after which the calendar repeats itself."""
bounded = settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    engines = NodeEngines(tmp_path_factory.mktemp("metamorphic"))

    def asked(tables: Tables, expression: Json) -> Answer:
        return engines.by_arrays(tables, [CohortExpression.from_json(expression)])[0]

    return asked


def made(seed: int, asked: Json, persons: int = 6) -> Tables:
    """Return a dense site in which features of images refer to records of their own person."""
    tables = site(Random(seed), persons, tables_read(asked))
    owner = {row["image_occurrence_id"]: row["person_id"] for row in tables["image_occurrence"]}
    tables["image_feature"] = [
        row | {"image_feature_event_id": None}
        for row in tables["image_feature"]
        if owner.get(row["image_occurrence_id"]) == row["person_id"]
    ]
    return tables


def of_persons(tables: Tables, chosen: Callable[[int], bool]) -> Tables:
    """Return the site with some of its persons."""
    return {
        name: [row for row in rows if name not in OF_PERSONS or chosen(row["person_id"])]
        for name, rows in tables.items()
    }


def renumbered(tables: Tables, by: int) -> Tables:
    """Return the same persons and records under other keys, in the same order."""

    def moved(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        keys = {
            field.name
            for field in core_1().table(name).fields
            if field.content in {Content.KEY, Content.PERSON_KEY} and field.foreign_table not in SHARED
        }
        return {key: value + by if key in keys and value is not None else value for key, value in row.items()}

    return {
        name: [moved(name, row) for row in rows] if name in OF_PERSONS else rows
        for name, rows in tables.items()
    }


def together(*parts: Tables) -> Tables:
    """Return one site with the persons of all parts."""
    return {
        name: [row for part in parts for row in part[name]] if name in OF_PERSONS else rows
        for name, rows in parts[0].items()
    }


def summed(*masks: Mapping[int, int]) -> dict[int, int]:
    """Return the masks added up."""
    total: Counter[int] = Counter()
    for part in masks:
        total.update(part)
    return dict(total)


@bounded
@given(seed=seeds, asked=expressions())
def test_each_person_twice_doubles_every_count(ask: Ask, seed: int, asked: Json) -> None:
    tables = made(seed, asked)
    once, twice = ask(tables, asked), ask(together(tables, renumbered(tables, 1_000)), asked)
    assert twice.rows == once.rows + Counter(
        {(who + 1_000, *days): n for (who, *days), n in once.rows.items()}
    )
    for mode in (0, 1):
        assert dict(twice.masks[mode]) == {mask: 2 * count for mask, count in once.masks[mode].items()}


@bounded
@given(seed=seeds, asked=expressions())
def test_three_sites_add_up_to_one(ask: Ask, seed: int, asked: Json) -> None:
    tables = made(seed, asked, persons=9)
    parts = [ask(of_persons(tables, lambda who, site=place: who % 3 == site), asked) for place in range(3)]
    whole = ask(tables, asked)
    assert whole.rows == parts[0].rows + parts[1].rows + parts[2].rows
    for mode in (0, 1):
        assert dict(whole.masks[mode]) == summed(*(part.masks[mode] for part in parts))


def later(tables: Tables, days: int, years: int) -> Tables:
    """Return the site with every day moved, and every birth by years."""

    def moved(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        dates = {field.name for field in core_1().table(name).fields if field.datatype is Datatype.DATE}
        new = {
            key: value + timedelta(days=days) if key in dates and value is not None else value
            for key, value in row.items()
        }
        return new | ({"year_of_birth": row["year_of_birth"] + years} if name == "person" else {})

    return {name: [moved(name, row) for row in rows] for name, rows in tables.items()}


def asked_later(asked: Json, days: int) -> Json:
    """Return the expression with every date in it moved."""

    def moved(found: re.Match[str]) -> str:
        return f'"{date.fromisoformat(found[1]) + timedelta(days=days)}"'

    shifted: Json = json.loads(re.sub(r'"(\d{4}-\d\d-\d\d)"', moved, json.dumps(asked)))
    return shifted


@bounded
@given(seed=seeds, asked=expressions(), days=st.sampled_from([CENTURIES, 1, -17, 366]))
def test_later_days_shift_the_cohort(ask: Ask, seed: int, asked: Json, days: int) -> None:
    if '"Age' in json.dumps(asked):
        days = CENTURIES
    tables = made(seed, asked)
    now = ask(tables, asked)
    then = ask(later(tables, days, 400 if days == CENTURIES else 0), asked_later(asked, days))
    step = timedelta(days=days)
    assert then.rows == Counter({(who, a + step, b + step): n for (who, a, b), n in now.rows.items()})
    assert [dict(masks) for masks in then.masks] == [dict(masks) for masks in now.masks]


@bounded
@given(seed=seeds, asked=expressions())
def test_a_person_who_is_never_observed_changes_nothing(ask: Ask, seed: int, asked: Json) -> None:
    tables = made(seed, asked)
    unseen = dict(tables) | {
        "observation_period": [row for row in tables["observation_period"] if row["person_id"] > 2]
    }
    without = of_persons(unseen, lambda who: who > 2)
    assert ask(unseen, asked) == ask(without, asked)


CODED = {
    Criteria.model_fields[name].alias for name, kind in KINDS.items() if "codeset_id" in kind.model_fields
}


def entered_by_concept(asked: Json) -> Json:
    """Return the expression with entry events of concept set 0 only."""
    entry = [{kind: {**body, "CodesetId": 0}} for one in asked["PrimaryCriteria"]["CriteriaList"]
             for kind, body in one.items() if kind in CODED]  # fmt: skip
    primary = {
        **asked["PrimaryCriteria"],
        "CriteriaList": entry or [{"ConditionOccurrence": {"CodesetId": 0}}],
    }
    return {**asked, "PrimaryCriteria": primary}


@bounded
@given(seed=seeds, asked=expressions())
def test_a_person_outside_all_concept_sets_changes_nothing(ask: Ask, seed: int, asked: Json) -> None:
    by_concept = entered_by_concept(asked)
    tables = made(seed, by_concept)

    def elsewhere(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        concepts = {field.name for field in core_1().table(name).fields if field.content is Content.CONCEPT}
        return {key: 99 if key in concepts else value for key, value in row.items()}

    others = renumbered(made(seed + 1, by_concept, persons=2), 1_000)
    for name in OF_PERSONS:
        others[name] = [elsewhere(name, row) for row in others[name]]
    assert ask(together(tables, others), by_concept) == ask(tables, by_concept)


def groups_of(value: Any) -> Iterator[Json]:
    """Yield every group of an expression."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and "DemographicCriteriaList" in value:
        yield value
    for item in inner:
        yield from groups_of(item)


@bounded
@given(seed=seeds, asked=expressions())
def test_all_of_one_is_any_of_one_is_at_least_one_of_one(ask: Ask, seed: int, asked: Json) -> None:
    tables = made(seed, asked)
    answers = []
    for kind in ("ALL", "ANY", "AT_LEAST"):
        told: Json = json.loads(json.dumps(asked))
        for group in groups_of(told):
            members = [len(group[name]) for name in ("CriteriaList", "DemographicCriteriaList", "Groups")]
            if sum(members) == 1:
                group |= {"Type": kind, "Count": 1}
        answers.append(ask(tables, told))
    assert answers[0] == answers[1] == answers[2]


@bounded
@given(seed=seeds, asked=expressions(), around=correlated())
def test_around_each_event_there_is_at_least_one_or_there_is_none(
    ask: Ask, seed: int, asked: Json, around: Json
) -> None:
    def rule(kind: int, count: int) -> Json:
        counted = {**around, "Occurrence": {**around["Occurrence"], "Type": kind, "Count": count}}
        lists = {"CriteriaList": [counted], "DemographicCriteriaList": [], "Groups": []}
        return {"name": f"{kind} {count}", "expression": {"Type": "ALL", **lists}}

    apart = {**asked, "InclusionRules": [rule(2, 1), rule(0, 0), rule(1, 0)]}
    answer = ask(made(seed, apart), apart)
    assert set(answer.masks[0]) <= {0b001, 0b110}
    assert answer.rows == Counter()


@bounded
@given(seed=seeds, asked=expressions())
def test_the_order_of_rows_does_not_matter(ask: Ask, seed: int, asked: Json) -> None:
    tables = made(seed, asked)
    backwards = {name: rows[::-1] for name, rows in tables.items()}
    assert ask(backwards, asked) == ask(tables, asked)
