"""The demo's hospitals, ingested and released as in the demo, are answered alike by Sail and by DuckDB."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.engine.spark.engine import SparkEngine
from atoll_node.home import Home
from atoll_node.ingest import ingest, release
from atoll_node.keys import make_secrets
from atoll_node.release import Release
from atoll_node.settings import DatasetSettings, EngineSettings, NodeSettings
from atoll_schemas.query import Query
from demo.make_data import HERE, SITES, write_site_files
from tests.support.hospital import KEY, now
from tests.support.sail import running_sail
from tests.support.same_aggregates import differences

EVERYBODY = {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}}


@pytest.fixture(scope="module")
def sail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkAccess]:
    with running_sail(tmp_path_factory.mktemp("sail")) as access:
        yield access


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Release]:
    root = tmp_path_factory.mktemp("demo")
    found = {}
    for site in write_site_files(root / "files", seed=7).sites:
        home = Home(root / site.site)
        home.root.mkdir()
        make_secrets(home, KEY)
        node = NodeSettings(site=site.site, title=site.title, hub="http://127.0.0.1")
        for part in site.datasets:
            dataset = DatasetSettings(
                name=part.name, title=part.title, format="flat", path=part.path, mapping=part.mapping
            )
            ingest(dataset, node=node, home=home, clock=now)
            found[site.site, part.name] = release(dataset, node=node, home=home, clock=now)
    return found


def cohorts(study: str) -> dict[str, Any]:
    published = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (HERE / "cohorts").glob("*.json")
    }
    return {"everybody": EVERYBODY, **(published if study == "colon" else {})}


def analyses(frozen: Release) -> Iterator[dict[str, Any]]:
    """Every question that the release's own variables and outcomes allow, as the demo's researcher asks."""
    levels = [variable.wire() for variable in frozen.variables if not variable.numeric or variable.edges]
    others = [variable.wire() for variable in frozen.variables if variable.name != levels[0]["name"]]
    yield {"method": "count", "by": levels[:2]}
    yield {"method": "crosstab", "variables": levels[:2]}
    yield {"method": "table1", "variables": others, "by": levels[0]}
    for outcome in frozen.outcomes:
        yield {"method": "kaplan_meier", "outcome": outcome.wire(), "by": levels[0]}


@pytest.mark.parametrize("study", ["colon", "lung"])
@pytest.mark.parametrize("site", SITES)
def test_every_question_of_the_demo_is_answered_alike(
    site: str, study: str, releases: dict[tuple[str, str], Release], sail: SparkAccess, tmp_path: Path
) -> None:
    frozen = releases[site, study]
    engines = DuckDbEngine(EngineSettings(), tmp_path), SparkEngine(EngineSettings(), tmp_path, sail)
    for cohort in cohorts(study).values():
        for analysis in analyses(frozen):
            query = Query.from_wire(
                {"project": "P-1", "dataset": study, "cohort": cohort, "analysis": analysis}
            )
            here, there = (engine.run(query, frozen, clock=time.monotonic) for engine in engines)
            assert differences(there, here, tolerance=0.0) == []
