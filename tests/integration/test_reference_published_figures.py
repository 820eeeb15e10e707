"""The reference engine itself is judged: by R's survival package, and by OHDSI's own cohort SQL."""

import csv
import json
import math
from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest

from atoll_node.raw import RawKaplanMeier, RawLogRank
from atoll_node.reference import evaluate
from atoll_node.reference.survival import Time, curve, log_rank, survival_at
from atoll_schemas.query import Query
from tests.support.shared_data import shared

pytestmark = pytest.mark.shared


def rows(file: str) -> list[dict[str, str]]:
    with shared(f"survival/{file}").open(newline="") as lines:
        return list(csv.DictReader(lines))


def expected(study: str) -> dict[str, Any]:
    figures = json.loads(shared("survival/expected.json").read_text())
    study_figures: dict[str, Any] = figures["survival"][study]
    return study_figures


def colon_death() -> list[Time]:
    return [
        Time(row["rx"], int(row["time"]), row["status"] == "1")
        for row in rows("colon.csv")
        if row["etype"] == "2"
    ]


def cancer() -> list[tuple[str, Time]]:
    return [
        (row["inst"], Time(row["sex"], int(row["time"]), row["status"] == "2")) for row in rows("cancer.csv")
    ]


def near(left: Any, right: Any) -> bool:
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(near(a, b) for a, b in zip(left, right, strict=True))
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)


def test_kaplan_meier_of_the_colon_trial_is_rs():
    wanted = expected("colon_death")
    times = colon_death()
    for arm, figures in wanted["by_group"].items():
        table = curve(arm, times)
        assert (table.persons, table.events) == (figures["n"], figures["events"])
        assert near([survival_at(table, day) for day in figures["times"]], figures["survival"])


def test_log_rank_of_the_colon_trial_is_rs():
    wanted = expected("colon_death")["logrank"]
    test = log_rank(wanted["groups"], colon_death())
    assert near(test.observed, wanted["observed"])
    assert near(test.expected, wanted["expected"])
    assert near(test.variance, wanted["variance"])


def test_log_rank_sums_over_institutions_are_rs_stratified_test():
    wanted = expected("cancer")["logrank_stratified"]
    found = cancer()
    sites = {inst for inst, _ in found} - {"", "NA"}
    tests: list[RawLogRank] = [
        log_rank(wanted["groups"], [time for inst, time in found if inst == site]) for site in sorted(sites)
    ]
    assert near(
        [sum(values) for values in zip(*(t.observed for t in tests), strict=True)], wanted["observed"]
    )
    assert near(
        [sum(values) for values in zip(*(t.expected for t in tests), strict=True)], wanted["expected"]
    )
    places = range(len(wanted["groups"]))
    variance = [[sum(t.variance[j][k] for t in tests) for k in places] for j in places]
    assert near(variance, wanted["variance"])


def test_the_whole_way_from_rows_gives_rs_figures():
    start = date(2000, 1, 1)
    arms = {"Obs": "Obs", "Lev": "Lev", "Lev+5FU": "Lev+5FU"}
    tables: dict[str, list[dict[str, object]]] = defaultdict(list)
    for number, time in enumerate(colon_death(), start=1):
        end = start + timedelta(days=time.days)
        tables["person"].append({"person_id": number})
        tables["observation_period"].append(
            {
                "observation_period_id": number,
                "person_id": number,
                "observation_period_start_date": start,
                "observation_period_end_date": end,
            }
        )
        tables["trial_subject"].append(
            {
                "trial_subject_id": number,
                "person_id": number,
                "trial_code": "colon",
                "arm_code": arms[time.group],
            }
        )
        if time.event:
            tables["death"].append({"person_id": number, "death_date": end})
    levels = [{"label": label, "values": [code]} for code, label in arms.items()]
    query = Query.from_wire(
        {
            "project": "P-001",
            "dataset": "colon",
            "cohort": {"PrimaryCriteria": {"CriteriaList": [{"ObservationPeriod": {}}]}},
            "analysis": {
                "method": "kaplan_meier",
                "outcome": {"name": "death", "definition": {"kind": "death"}},
                "by": {
                    "name": "arm",
                    "definition": {"kind": "trial_arm", "trial": "colon", "levels": levels},
                },
            },
        }
    )
    answer = evaluate(tables, query).analysis
    assert isinstance(answer, RawKaplanMeier)
    assert answer.log_rank is not None
    wanted = expected("colon_death")["logrank"]
    assert list(answer.log_rank.groups) == wanted["groups"]
    assert near(answer.log_rank.expected, wanted["expected"])
    assert near(answer.log_rank.variance, wanted["variance"])
