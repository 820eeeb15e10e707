"""The engine's survival figures, from files to sums, are those of R 4.2.2's survival 3.5-3."""

import csv
import json
import time
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atoll_node.engine import DuckDbEngine
from atoll_node.raw import RawCurve, RawKaplanMeier
from atoll_node.settings import EngineSettings
from atoll_schemas.query import CategoryValue, Death, KaplanMeier, Outcome, Window
from tests.support.lake import release_of
from tests.support.questions import coded, levels, query, variable
from tests.support.shared_data import shared

pytestmark = pytest.mark.shared
INDEX = date(2000, 1, 1)
Subject = tuple[int, int, bool, str]
"""Person, days of follow-up, whether the event happened, group."""


def _records(name: str) -> list[dict[str, str]]:
    with shared(f"survival/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _expected(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(shared("survival/expected.json").read_text())
    found: dict[str, Any] = content["survival"][name]
    return found


def _cancer(records: Iterable[dict[str, str]]) -> list[Subject]:
    return [
        (number, int(row["time"]), row["status"] == "2", row["sex"])
        for number, row in enumerate(records, start=1)
    ]


def _colon(event: str) -> list[Subject]:
    return [
        (int(row["id"]), int(row["time"]), row["status"] == "1", row["rx"])
        for row in _records("colon")
        if row["etype"] == event
    ]


def _tables(subjects: Iterable[Subject]) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {
        "person": [],
        "observation_period": [],
        "death": [],
        "observation": [],
    }
    for person, days, died, group in subjects:
        end = INDEX + timedelta(days=days)
        tables["person"].append({"person_id": person, "year_of_birth": 1940})
        tables["observation_period"].append(
            {
                "observation_period_id": person,
                "person_id": person,
                "observation_period_start_date": INDEX,
                "observation_period_end_date": end,
            }
        )
        tables["observation"].append(
            {
                "observation_id": person,
                "person_id": person,
                "observation_date": INDEX,
                "observation_source_value": "group",
                "value_source_value": group,
            }
        )
        if died:
            tables["death"].append({"person_id": person, "death_date": end})
    return tables


@pytest.fixture
def curves_of(tmp_path: Path) -> Callable[..., RawKaplanMeier]:
    engine = DuckDbEngine(EngineSettings(), tmp_path / "scratch")

    def run(subjects: list[Subject], groups: tuple[str, ...] = ()) -> RawKaplanMeier:
        release = release_of(_tables(subjects), tmp_path / "lake")
        definition = CategoryValue(
            domain="observation",
            codes=coded("group"),
            levels=levels(**{group: [group] for group in groups or ("1",)}),
            window=Window(start=0, end=0),
        )
        analysis = KaplanMeier(
            outcome=Outcome(name="death", definition=Death()),
            by=variable("arm", definition) if groups else None,
        )
        result = engine.run(query(analysis=analysis), release, clock=time.monotonic).analysis
        assert isinstance(result, RawKaplanMeier)
        return result

    return run


def _survival(curve: RawCurve, day: int) -> float:
    survival = 1.0
    for at, risk, events in zip(curve.days, curve.at_risk, curve.events_at, strict=True):
        if at <= day:
            survival *= 1 - events / risk
    return survival


def _assert_log_rank(found: list[RawKaplanMeier], expected: dict[str, Any]) -> None:
    groups = expected["groups"]
    place = {group: number for number, group in enumerate(groups)}
    observed, expectation = np.zeros(len(groups)), np.zeros(len(groups))
    variance = np.zeros((len(groups), len(groups)))
    for result in found:
        assert result.log_rank is not None
        at = [place[group] for group in result.log_rank.groups]
        observed[at] += result.log_rank.observed
        expectation[at] += result.log_rank.expected
        variance[np.ix_(at, at)] += np.array(result.log_rank.variance)
    assert observed.tolist() == expected["observed"]
    assert expectation == pytest.approx(np.array(expected["expected"]), abs=1e-9)
    assert variance == pytest.approx(np.array(expected["variance"]), abs=1e-9)


def _assert_curve(curve: RawCurve, expected: dict[str, Any]) -> None:
    assert (curve.persons, curve.events) == (expected["n"], expected["events"])
    for day, survival in zip(expected["times"], expected["survival"], strict=True):
        assert _survival(curve, day) == pytest.approx(survival, abs=1e-12)
    assert len([1 for events in curve.events_at if events]) == expected["curve"]["distinct_event_times"]


def test_the_lung_study_has_the_published_curves(curves_of: Callable[..., RawKaplanMeier]) -> None:
    expected = _expected("cancer")
    subjects = _cancer(_records("cancer"))
    _assert_curve(curves_of(subjects).curves[0], expected["overall"])
    for curve in curves_of(subjects, ("1", "2")).curves:
        _assert_curve(curve, expected["by_group"][curve.group])


def test_the_lung_study_has_the_published_log_rank(curves_of: Callable[..., RawKaplanMeier]) -> None:
    found = curves_of(_cancer(_records("cancer")), ("1", "2"))
    _assert_log_rank([found], _expected("cancer")["logrank"])


def test_sums_over_institutions_are_the_stratified_log_rank(curves_of: Callable[..., RawKaplanMeier]) -> None:
    records = [row for row in _records("cancer") if row["inst"]]
    sites = {row["inst"] for row in records}
    found = [
        curves_of(_cancer(row for row in records if row["inst"] == site), ("1", "2"))
        for site in sorted(sites)
    ]
    _assert_log_rank(found, _expected("cancer")["logrank_stratified"])


@pytest.mark.parametrize(("name", "event"), [("colon_recurrence", "1"), ("colon_death", "2")])
def test_the_colon_trial_has_the_published_curves_and_log_rank(
    curves_of: Callable[..., RawKaplanMeier], name: str, event: str
) -> None:
    expected = _expected(name)
    found = curves_of(_colon(event), tuple(expected["logrank"]["groups"]))
    _assert_log_rank([found], expected["logrank"])
    for curve in found.curves:
        _assert_curve(curve, expected["by_group"][curve.group])
