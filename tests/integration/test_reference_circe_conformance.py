"""The reference engine gives the rows, masks and summaries of OHDSI's SQL on the shared conformance set.

It reads the Parquet files as rows and knows nothing of DuckDB, so the two engines are proven apart.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping

import pyarrow.parquet as pq
import pytest

from atoll_node.reference.cohort import Selected, select
from atoll_node.reference.events import question
from atoll_node.reference.rows import Cdm
from atoll_schemas.circe import CohortExpression
from tests.support.shared_data import shared

pytestmark = [pytest.mark.shared, pytest.mark.slow]
TIED = 1071
"""The one definition whose published rows follow from an order that the published SQL leaves open.

Its entry events are the eleven New Years of one observation period, all with that period's ``sort_date`` and
key. The SQL numbers them twice, for the events and for the additional criteria, and joins the two by number:
a person of age -1 comes in for one of age 0. Which one is chance.
"""


@pytest.fixture(scope="module")
def cdm() -> Cdm:
    files = shared("circe/cdm").glob("*.parquet")
    return Cdm({file.stem: pq.read_table(file).to_pylist() for file in files})


@pytest.fixture(scope="module")
def selected(cdm: Cdm) -> Mapping[int, Selected]:
    """Return what the reference engine selects by each definition."""
    return {
        int(file.stem): select(question(cdm, CohortExpression.from_json(file.read_text(encoding="utf-8"))))
        for file in sorted(shared("circe/definitions").glob("*.json"))
    }


def published(name: str) -> dict[int, Counter[tuple[object, ...]]]:
    """Return the rows of a file of expected values, by definition and without it."""
    found: dict[int, Counter[tuple[object, ...]]] = defaultdict(Counter)
    for row in pq.read_table(shared(f"circe/expected_{name}.parquet")).to_pylist():
        found[row.pop("cohort_definition_id")][tuple(row.values())] += 1
    return found


def rows_of(found: Selected) -> Counter[tuple[object, ...]]:
    return Counter((stay.person_id, stay.start, stay.end) for stay in found.stays)


def test_every_definition_is_selected(selected: Mapping[int, Selected]) -> None:
    assert len(selected) == 300


def test_cohort_rows_are_the_published_ones(selected: Mapping[int, Selected]) -> None:
    rows = published("cohorts")
    different = {number for number, found in selected.items() if rows_of(found) != rows[number]}
    assert different == {TIED}


def test_masks_of_all_events_and_of_best_events_are_the_published_ones(
    selected: Mapping[int, Selected],
) -> None:
    masks = published("inclusion")
    for number, found in selected.items():
        own = [(mask, count, mode) for mode in (0, 1) for mask, count in found.masks(mode).items()]
        assert Counter(own if found.rules else []) == masks[number], number


def test_summaries_are_the_published_ones(selected: Mapping[int, Selected]) -> None:
    summaries = published("summary")
    for number, found in selected.items():
        own = [(*found.summary(mode), mode) for mode in (0, 1)]
        assert Counter(own if found.rules else []) == summaries[number], number


def test_where_the_published_order_is_open_each_person_has_as_many_rows_and_the_right_age(
    cdm: Cdm, selected: Mapping[int, Selected]
) -> None:
    own, given = rows_of(selected[TIED]), published("cohorts")[TIED]
    assert Counter(row[0] for row in own.elements()) == Counter(row[0] for row in given.elements())
    born = {row["person_id"]: row["year_of_birth"] for row in cdm.rows("person")}
    ages = [stay.start.year - born[stay.person_id] for stay in selected[TIED].stays]
    assert min(ages) >= 0


def test_attrition_falls_from_the_entry_events_to_the_last_rule(selected: Mapping[int, Selected]) -> None:
    for found in selected.values():
        assert len(found.left) == found.rules + 1
        assert list(found.left) == sorted(found.left, reverse=True)
        assert found.left[0] == found.summary(1)[0]
