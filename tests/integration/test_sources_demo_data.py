"""The demo's three hospitals together are exactly the patients of the two published studies."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from atoll_schemas.circe import CohortExpression
from demo.make_data import DATA, DEFECTS, HERE, SITES, DemoSites, write_site_files
from tests.support.source_files import Outcome, stage_folder

Staged = dict[tuple[str, str], Outcome]
SEX = {"0": 8532, "1": 8507, "2": 8532}


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> DemoSites:
    return write_site_files(tmp_path_factory.mktemp("demo"), seed=7)


@pytest.fixture(scope="module")
def staged(sites, tmp_path_factory) -> Staged:
    return {
        (site.site, dataset.name): stage_folder(
            dataset.path,
            tmp_path_factory.mktemp(f"{site.site}-{dataset.name}"),
            dataset.mapping,
            dataset.name,
        )
        for site in sites.sites
        for dataset in site.datasets
    }


def published(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def asked(outcome: Outcome, query: str) -> list[tuple]:
    """Run a query over the staged tables of one site, each under its own name."""
    with duckdb.connect() as connection:
        for table in outcome.staged.tables:
            files = ", ".join(f"'{file}'" for file in table.files)
            connection.execute(f"CREATE VIEW {table.table} AS FROM read_parquet([{files}])")
        return connection.execute(query).fetchall()


def over_sites(staged: Staged, study: str, query: str) -> Iterator[tuple]:
    for site in SITES:
        yield from asked(staged[site, study], query)


SURVIVAL = """
SELECT year(randomization_date) - year_of_birth AS age, gender_concept_id, arm_code,
       date_diff('day', observation_period_start_date, observation_period_end_date) AS days,
       death_date IS NOT NULL AS dead,
       death_date IS NULL OR death_date = observation_period_end_date AS dies_last
FROM person JOIN observation_period USING (person_id) JOIN trial_subject USING (person_id)
LEFT JOIN death USING (person_id)
"""


@pytest.mark.parametrize(("study", "patients"), [("colon", 929), ("lung", 228)])
def test_every_patient_is_at_one_site(sites, staged, study, patients):
    told = [next(d.patients for d in site.datasets if d.name == study) for site in sites.sites]
    found = [staged[site, study].table("person").written for site in SITES]
    assert found == told
    assert sum(found) == patients


def test_colon_patients_keep_age_sex_arm_and_time_to_death(staged):
    expected = Counter(
        (
            int(row["age"]),
            8507 if row["sex"] == "1" else 8532,
            row["rx"],
            int(row["time"]),
            row["status"] == "1",
            True,
        )
        for row in published("colon")
        if row["etype"] == "2"
    )
    assert Counter(over_sites(staged, "colon", SURVIVAL)) == expected


def test_lung_patients_keep_age_sex_and_time_to_death(staged):
    expected = Counter(
        (
            int(row["age"]),
            8507 if row["sex"] == "1" else 8532,
            None,
            int(row["time"]),
            row["status"] == "2",
            True,
        )
        for row in published("lung")
    )
    assert Counter(over_sites(staged, "lung", SURVIVAL)) == expected


def test_recurrences_keep_their_days(staged):
    query = """
        SELECT arm_code, date_diff('day', randomization_date, condition_start_date)
        FROM condition_occurrence JOIN trial_subject USING (person_id)
        WHERE condition_source_value = 'recurrence'
    """
    expected = Counter(
        (row["rx"], int(row["time"]))
        for row in published("colon")
        if row["etype"] == "1" and row["status"] == "1"
    )
    assert Counter(over_sites(staged, "colon", query)) == expected


@pytest.mark.parametrize(
    ("code", "column"),
    [("ecog", "ph.ecog"), ("karnofsky_physician", "ph.karno"), ("karnofsky_patient", "pat.karno"),
     ("calories", "meal.cal"), ("weight_loss", "wt.loss")],
)  # fmt: skip
def test_lung_scores_keep_their_values_also_from_kilojoules(staged, code, column):
    query = f"SELECT value_as_number FROM measurement WHERE measurement_source_value = '{code}'"
    found = sorted(row[0] for row in over_sites(staged, "lung", query))
    assert found == pytest.approx(
        sorted(float(row[column]) for row in published("lung") if row[column]), abs=1e-9
    )


@pytest.mark.parametrize("code", ["obstruct", "perfor", "adhere", "node4", "differ", "extent", "surg"])
def test_findings_keep_their_values(staged, code):
    said = {
        "differ": "- well moderate poor",
        "extent": "- submucosa muscle serosa contiguous",
        "surg": "short long",
    }
    words = said.get(code, "no yes").split()
    query = f"SELECT value_source_value FROM observation WHERE observation_source_value = '{code}'"
    expected = Counter(
        words[int(row[code])] for row in published("colon") if row["etype"] == "2" and row[code]
    )
    assert Counter(row[0] for row in over_sites(staged, "colon", query)) == expected


def test_nodes_keep_their_values(staged):
    query = "SELECT value_as_number FROM measurement WHERE measurement_source_value = 'nodes'"
    expected = sorted(
        float(row["nodes"]) for row in published("colon") if row["etype"] == "2" and row["nodes"]
    )
    assert sorted(row[0] for row in over_sites(staged, "colon", query)) == expected


def test_lung_splits_by_institution(staged):
    institutions = Counter(row["inst"] for row in published("lung"))
    north = institutions["1"] + institutions["2"] + institutions["3"]
    assert staged["north", "lung"].table("person").written == north


def test_planted_defects_and_nothing_else_are_in_quarantine(staged):
    expected = {
        "colon": ["key.duplicate", "structure.ragged", "value.code", "value.date", "value.date"],
        "lung": ["key.duplicate", "structure.ragged", "value.code", "value.date"],
    }
    assert len(DEFECTS["colon"]) == len(DEFECTS["lung"]) == 4
    for (_, study), outcome in staged.items():
        assert sorted(found.code for found in outcome.staged.quarantined) == expected[study]
        assert outcome.warnings() == []


def test_sites_offer_the_same_variables_and_outcomes(staged):
    for study in ("colon", "lung"):
        offered = {
            (o.staged.variables, o.staged.outcomes) for (_, name), o in staged.items() if name == study
        }
        assert len(offered) == 1
    outcomes = [outcome.name for outcome in staged["north", "colon"].staged.outcomes]
    assert outcomes == ["death", "recurrence", "recurrence_or_death"]


def test_no_name_is_staged(sites, staged):
    for outcome in staged.values():
        for table in outcome.staged.tables:
            for file in table.files:
                assert b"Marchetti" not in Path(file).read_bytes()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
    def content(name: str, seed: int) -> dict[str, bytes]:
        write_site_files(tmp_path / name, seed)
        root = tmp_path / name
        return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*.csv*"))}

    assert content("a", 1) == content("b", 1) != content("c", 2)


@pytest.mark.parametrize(("name", "rules"), [("colon_all", 0), ("stage3_colon", 2)])
def test_the_cohorts_are_circe(name, rules):
    expression = CohortExpression.from_json((HERE / "cohorts" / f"{name}.json").read_bytes())
    assert len(expression.inclusion_rules) == rules
