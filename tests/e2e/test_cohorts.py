"""Published cohort definitions, counted with attrition by three real nodes: exactly the pooled count."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import atoll
from atoll_node.disclosure.attrition import too_close
from atoll_node.engine import DuckDbEngine
from atoll_node.engine.cohort_files import release_of_folder
from atoll_node.raw import RawCount
from atoll_node.settings import EngineSettings
from atoll_schemas.cells import Pooled
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from demo.make_data import SITES
from tests.support.copied_cdm import copy_cdm
from tests.support.federation import Federation, running_federation
from tests.support.hub import start_hub
from tests.support.shared_data import shared

pytestmark = [pytest.mark.e2e, pytest.mark.shared, pytest.mark.slow]
COPIES = 12
"""So many that no count of a site that is not 0 is small."""
DEFINITIONS = (
    27, 54, 220, 288, 727, 812, 826, 827, 834, 839, 841, 844, 847, 1032, 1047, 1057, 1067, 1070, 1105, 1223,
    1293, 1310,
)  # fmt: skip
"""All with inclusion rules, and with persons left at each of the three sites."""
MAPPED = 1225
"""Takes mapped concepts in, and the shared files have no ``concept_relationship`` to find them by."""
DATASET = "registry"
MINIMUM = 2
GATE = f"[gate]\nminimum_persons = {MINIMUM}\nround_to = 1\n"
"""The least that a site can set: counts of two persons and more leave as they are."""


@dataclass(frozen=True)
class Hospitals:
    """Each site's files, and all of them together."""

    files: dict[str, Path]
    pooled: Path


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Hospitals:
    folder, source = tmp_path_factory.mktemp("cdm"), shared("circe/cdm")
    files = {
        site: copy_cdm(source, folder / site, COPIES, share=place, of=len(SITES))
        for place, site in enumerate(SITES)
    }
    return Hospitals(files, copy_cdm(source, folder / "pooled", COPIES))


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory, hospitals: Hospitals) -> Iterator[Federation]:
    tmp = tmp_path_factory.mktemp("cohorts")
    settings = {site: GATE + dataset(path) for site, path in hospitals.files.items()}
    with running_federation(tmp, start_hub(tmp), settings) as running:
        yield running


def dataset(path: Path) -> str:
    return (
        f'[[datasets]]\nname = "{DATASET}"\ntitle = "{DATASET}"\nformat = "omop"\npath = "{path}"\n'
        "date_shift = false\ncap_ages = false\n"
    )


class Counts:
    """Raw attrition over a folder of CDM files, as the engine hands it to the gate."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._release = release_of_folder(folder)
        self._engine = DuckDbEngine(EngineSettings(), scratch)

    def attrition(self, expression: CohortExpression) -> list[int]:
        query = Query.model_validate(
            {"project": "P-1", "dataset": "folder", "cohort": expression, "analysis": {"method": "count"}}
        )
        found = self._engine.run(query, self._release, clock=time.monotonic).analysis
        assert isinstance(found, RawCount)
        return [step.persons for step in found.attrition]


@pytest.fixture(scope="module")
def expected(hospitals: Hospitals, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[int | None]]:
    """The pooled attrition; ``None`` for a step that a site's gate keeps, as it equals another step."""
    sites = [Counts(path, tmp_path_factory.mktemp("scratch")) for path in hospitals.files.values()]
    pooled = Counts(hospitals.pooled, tmp_path_factory.mktemp("scratch"))
    found: dict[int, list[int | None]] = {}
    for number in DEFINITIONS:
        expression = CohortExpression.from_json(definition(number).read_bytes())
        kept = {place for site in sites for place in too_close(site.attrition(expression), MINIMUM)}
        steps = pooled.attrition(expression)
        found[number] = [None if place in kept else persons for place, persons in enumerate(steps)]
    return found


def definition(number: int) -> Path:
    return shared(f"circe/definitions/{number}.json")


def test_federated_attrition_equals_the_pooled_one_before_the_gate(
    federation: Federation, expected: dict[int, list[int | None]]
) -> None:
    assert {number: federated(federation, number) for number in DEFINITIONS} == expected
    assert all(steps[-1] for steps in expected.values()), "the cohort itself is shown by every site"


def test_a_definition_that_no_site_can_expand_is_refused_and_not_counted_smaller(
    federation: Federation,
) -> None:
    cohort = atoll.Cohort.from_circe(definition(MAPPED))
    run = federation.ada.count(cohort, dataset=DATASET, project=federation.project)
    events = list(run.events())

    assert not any("answered" in event.kind for event in events)
    assert sum("engine.vocabulary" in str(event) for event in events) == len(SITES)


def federated(federation: Federation, number: int) -> list[int | None]:
    cohort = atoll.Cohort.from_circe(definition(number))
    run = federation.ada.count(cohort, dataset=DATASET, project=federation.project)
    result = run.result(timeout=240)
    assert (result.headline, result.state) == ("3 of 3 sites", "complete"), number
    return [shown(step.persons) for step in result.contract.merged.attrition]


def shown(cell: object) -> int | None:
    if not isinstance(cell, Pooled) or cell.withheld:
        return None
    assert cell.half_width == 0
    return cell.value
