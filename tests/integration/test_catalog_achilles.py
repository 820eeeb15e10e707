"""The catalog's raw figures equal the published Achilles results, on one site and summed over three."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from atoll_node.catalog.achilles import ACHILLES, Analysis
from atoll_node.catalog.duckdb_adapter import ReleaseView, opened
from atoll_node.settings import EngineSettings
from tests.support.lake import release_of_files
from tests.support.shared_data import shared

pytestmark = pytest.mark.shared
SETTINGS = EngineSettings(memory="1GB", threads=1)
Figures = dict[tuple[str, ...], int]


@pytest.fixture(scope="module")
def expected() -> dict[int, Figures]:
    found: dict[int, Figures] = {}
    with (shared("gibleed") / "expected" / "achilles.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            strata = (row[f"stratum_{place}"] for place in range(1, 6))
            key = tuple(stratum for stratum in strata if stratum)
            found.setdefault(int(row["analysis_id"]), {})[key] = int(row["count_value"])
    return found


@pytest.fixture(scope="module")
def whole() -> Iterator[ReleaseView]:
    files = {file.stem: [file] for file in shared("gibleed").glob("*.parquet")}
    with opened(release_of_files(files), SETTINGS) as view:
        yield view


@pytest.fixture(scope="module")
def thirds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ReleaseView]]:
    """The same data at three sites: every row that names a person goes by the person's number."""
    views = []
    contexts = []
    for site in range(3):
        files = {
            file.stem: [_third(file, site, tmp_path_factory)] for file in shared("gibleed").glob("*.parquet")
        }
        context = opened(release_of_files(files, site=f"site-{site}"), SETTINGS)
        views.append(context.__enter__())
        contexts.append(context)
    yield views
    for context in contexts:
        context.__exit__(None, None, None)


def _third(file: Path, site: int, folders: pytest.TempPathFactory) -> Path:
    columns = duckdb.read_parquet(str(file)).columns
    if "person_id" not in columns:
        return file
    target = folders.mktemp(f"site-{site}-{file.stem}") / file.name
    duckdb.read_parquet(str(file)).filter(f"person_id % 3 = {site}").write_parquet(str(target))
    return target


def test_every_listed_analysis_is_known() -> None:
    with (shared("gibleed") / "expected" / "achilles_analyses.csv").open(encoding="utf-8") as file:
        assert {int(row["analysis_id"]) for row in csv.DictReader(file)} == {one.number for one in ACHILLES}


@pytest.mark.parametrize("analysis", ACHILLES, ids=lambda analysis: str(analysis.number))
def test_one_site_counts_as_achilles_does(
    analysis: Analysis, whole: ReleaseView, expected: dict[int, Figures]
) -> None:
    assert analysis.counts(whole) == expected[analysis.number]


@pytest.mark.parametrize("analysis", ACHILLES, ids=lambda analysis: str(analysis.number))
def test_three_sites_sum_to_what_achilles_counts(
    analysis: Analysis, thirds: list[ReleaseView], expected: dict[int, Figures]
) -> None:
    total: Counter[tuple[str, ...]] = Counter()
    for view in thirds:
        total.update(analysis.counts(view))
    assert dict(total) == expected[analysis.number]
