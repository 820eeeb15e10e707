"""Lay out a hospital whose cohorts, numbers, levels and deaths a test chooses person by person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from atoll_node.disclosure import Ledger, clear
from atoll_node.reference import evaluate
from atoll_node.settings import GateSettings
from atoll_schemas.query import (
    Analysis,
    CategoryValue,
    Level,
    NumberValue,
    Presence,
    Tighten,
    TrialArm,
    Variable,
    Window,
)
from atoll_schemas.results import ClearedResult
from tests.support.gate import TEST_RELEASE, MemoryInTests
from tests.support.questions import coded, cohort, concept_set, query

INDEX = date(2020, 6, 1)
Tables = dict[str, list[dict[str, Any]]]


@dataclass
class MarkedSite:
    """Persons ``1 … size``, all observed for ten years around one index date, and a project's ledger."""

    size: int
    ledger: Ledger = field(default_factory=lambda: Ledger(MemoryInTests()))
    tables: Tables = field(default_factory=dict)

    def __post_init__(self) -> None:
        persons = range(1, self.size + 1)
        self.tables = {name: [] for name in ("measurement", "observation", "death", "trial_subject")}
        self.tables["person"] = [{"person_id": n, "gender_concept_id": 8532} for n in persons]
        self.tables["observation_period"] = [
            {
                "observation_period_id": n,
                "person_id": n,
                "observation_period_start_date": INDEX - timedelta(days=1800),
                "observation_period_end_date": INDEX + timedelta(days=1800),
            }
            for n in persons
        ]
        self.mark("all", persons)

    def mark(self, name: str, persons: Iterable[int], day: int = 0) -> None:
        """Make persons a cohort that can be asked for: each has a record of this code on the index date."""
        for person in persons:
            self.number(name, person, 1.0, day)

    def number(self, code: str, person: int, value: float, day: int = 0) -> None:
        """Give a person a measurement."""
        self._record("measurement", code, person, day)["value_as_number"] = value

    def level(self, code: str, person: int, value: str, day: int = 0) -> None:
        """Give a person a coded observation."""
        self._record("observation", code, person, day)["value_source_value"] = value

    def arm(self, trial: str, arms: Mapping[str, Iterable[int]]) -> None:
        """Put persons into the arms of a trial."""
        for arm, persons in arms.items():
            for person in persons:
                number = len(self.tables["trial_subject"]) + 1
                self.tables["trial_subject"].append(
                    {"trial_subject_id": number, "person_id": person, "trial_code": trial, "arm_code": arm}
                )

    def death(self, person: int, day: int) -> None:
        """Let a person die so many days after the index date."""
        self.tables["death"].append({"person_id": person, "death_date": INDEX + timedelta(days=day)})

    def _record(self, table: str, code: str, person: int, day: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            f"{table}_id": len(self.tables[table]) + 1,
            "person_id": person,
            f"{table}_date": INDEX + timedelta(days=day),
            f"{table}_source_value": code,
        }
        self.tables[table].append(row)
        return row

    def ask(
        self,
        analysis: Analysis,
        *cohorts: str,
        rules: Sequence[Mapping[str, Any]] = (),
        tighten: Tighten | None = None,
        dataset: str = "test",
    ) -> ClearedResult:
        """Return what the gate lets go of an analysis on the persons of one of the cohorts."""
        codes = [concept_set(0, codes=cohorts or ("all",))]
        codes += [item for rule in rules for item in rule["sets"]]
        expression = cohort(
            {"Measurement": {"CodesetId": 0}},
            ConceptSets=codes,
            InclusionRules=[rule["rule"] for rule in rules],
        )
        asked = query(expression, analysis, dataset=dataset)
        if tighten is not None:
            asked = asked.model_copy(update={"tighten": tighten})
        return clear(
            evaluate(self.tables, asked),
            query=asked,
            release=TEST_RELEASE,
            site="atoll-a",
            settings=GateSettings(),
            ledger=self.ledger,
        )


def lab(name: str, code: str, start: int | None = None, edges: Iterable[float] = ()) -> Variable:
    """Return the latest value of a measurement in a window that ends at the index date."""
    definition = NumberValue(domain="measurement", codes=coded(code), window=Window(start=start))
    return Variable(name=name, definition=definition, edges=tuple(edges))


def has(name: str, code: str, start: int | None = None) -> Variable:
    """Return whether a measurement stands in a window that ends at the index date."""
    definition = Presence(domain="measurement", codes=coded(code), window=Window(start=start))
    return Variable(name=name, definition=definition)


def grade(name: str, code: str, **levels: Sequence[str]) -> Variable:
    """Return a coded observation by these levels."""
    found = tuple(Level(label=label, values=tuple(values)) for label, values in levels.items())
    return Variable(
        name=name, definition=CategoryValue(domain="observation", codes=coded(code), levels=found)
    )


def arms(name: str, trial: str, *codes: str) -> Variable:
    """Return the arm of a trial."""
    levels = tuple(Level(label=code, values=(code,)) for code in codes)
    return Variable(name=name, definition=TrialArm(trial=trial, levels=levels))


def having(name: str, place: int, *codes: str, start: int | None = None) -> dict[str, Any]:
    """Return an inclusion rule: at least one record of the codes in a window that ends at the index date."""
    days = {} if start is None else {"Days": -start}
    criterion = {
        "Criteria": {"Measurement": {"CodesetId": place}},
        "StartWindow": {"Start": {**days, "Coeff": -1}, "End": {"Days": 0, "Coeff": 1}, "UseEventEnd": False},
        "Occurrence": {"Type": 2, "Count": 1},
    }
    expression = {"Type": "ALL", "CriteriaList": [criterion], "DemographicCriteriaList": [], "Groups": []}
    return {"rule": {"name": name, "expression": expression}, "sets": [concept_set(place, codes=codes)]}
