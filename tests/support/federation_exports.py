"""Write the exports of a federation's hospitals: published trials as facts, and a made-up registry.

Three kinds of data: the demo's files of two trials; the lung study again without the one patient whose
institution is unknown, and without a shift of dates, so that R's figures are the federation's; and a
synthetic registry that is large enough to catch a node at work.
"""

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import atoll
from demo.make_data import DATA, INSTITUTIONS, SITES, DemoDataset, write_site_files

SEED = 1989
REGISTRY_PERSONS = {"north": 9_000, "harbour": 7_000, "valley": 12_000}
DIAGNOSIS = "C18"


@dataclass(frozen=True)
class Patient:
    """One line of a hospital's export; times are days since randomisation."""

    sex: str
    age: int
    arm: str
    seen: int
    died: bool
    value: float | None = None


_COLUMNS = ("mrn", "sex", "age", "randomised", "arm", "last_seen", "vital", "value")
_MAPPING = """
format = "atoll-mapping@1"
[vocabularies]
LOCAL = "codes of a hospital in a test"
[[files]]
name = "patient"
path = "patient.csv"
person = "mrn"
key = ["mrn"]
delimiter = ","
encoding = "utf-8"
date_format = "yyyy-mm-dd"
[[records]]
file = "patient"
table = "person"
[records.fields]
person_source_value = "mrn"
gender_concept_id = { column = "sex", values = { "M" = 8507, "F" = 8532 } }
gender_source_value = "sex"
year_of_birth = { year_of = "randomised", minus = "age" }
[[records]]
file = "patient"
table = "observation_period"
[records.fields]
observation_period_start_date = "randomised"
observation_period_end_date = "last_seen"
period_type_concept_id = { constant = 32809 }
[[records]]
file = "patient"
table = "condition_occurrence"
vocabulary = "LOCAL"
[records.fields]
condition_start_date = "randomised"
condition_source_value = { constant = "C18" }
condition_type_concept_id = { constant = 32809 }
[[records]]
file = "patient"
table = "trial_subject"
[records.fields]
trial_code = { constant = "T1" }
subject_source_value = "mrn"
arm_code = { column = "arm", values = { "A" = "A", "B" = "B" } }
randomization_date = "randomised"
start_date = "randomised"
[[records]]
file = "patient"
table = "measurement"
vocabulary = "LOCAL"
when = [{ column = "value", present = true }]
[records.fields]
measurement_date = "randomised"
measurement_source_value = { constant = "value" }
measurement_type_concept_id = { constant = 32809 }
value_as_number = { column = "value", unit = "{score}" }
[[records]]
file = "patient"
table = "death"
when = [{ column = "vital", is = ["dead"], otherwise = ["alive"] }]
[records.fields]
death_date = "last_seen"
death_type_concept_id = { constant = 32809 }
[[variables]]
name = "arm"
label = "Arm"
[variables.definition]
kind = "trial_arm"
trial = "T1"
levels = [{ label = "a", values = ["A"] }, { label = "b", values = ["B"] }]
[[variables]]
name = "age"
label = "Age"
unit = "a"
edges = [0, 40, 50, 60, 70, 80, 100]
definition = { kind = "demographic", field = "age" }
[[variables]]
name = "sex"
label = "Sex"
definition = { kind = "demographic", field = "sex" }
[[variables]]
name = "value"
label = "A measured value"
unit = "{score}"
edges = [-100, 0, 25, 50, 75, 100, 200]
[variables.definition]
kind = "number"
domain = "measurement"
codes = { source_codes = [{ vocabulary = "LOCAL", code = "value" }] }
[[outcomes]]
name = "death"
label = "Death from any cause"
definition = { kind = "death" }
"""


def everybody() -> atoll.Cohort:
    """Return the cohort of all patients in the files that this module writes."""
    return atoll.Cohort.from_circe(_first_condition("LOCAL", DIAGNOSIS))


def _first_condition(vocabulary: str, code: str) -> dict[str, Any]:
    first = {"Type": "First"}
    return {
        "ConceptSets": [
            {
                "id": 0,
                "name": "the diagnosis",
                "expression": {"items": []},
                "SourceCodes": [{"vocabulary": vocabulary, "code": code}],
            }
        ],
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0, "First": True}}],
            "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
            "PrimaryCriteriaLimit": first,
        },
    }


def all_with(code: str) -> atoll.Cohort:
    """Return the cohort of all patients with one ICD-10 code in the demo's files."""
    return atoll.Cohort.from_circe(_first_condition("ICD10", code))


def registry(site: str, persons: int, *, seed: int = SEED) -> list[Patient]:
    """Return a synthetic registry's patients; the same seed draws the same."""
    draw = random.Random(f"{seed}/registry/{site}")
    return [_drawn(draw) for _ in range(persons)]


def _drawn(draw: random.Random) -> Patient:
    return Patient(
        sex=draw.choice("MF"),
        age=draw.randrange(20, 85),
        arm=draw.choice("AB"),
        seen=draw.randrange(30, 2500),
        died=draw.random() < 0.4,
        value=round(draw.gauss(50, 15), 2),
    )


def institutions(site: str) -> list[Patient]:
    """Return the lung study's patients of a site's institutions; facts of a published study."""
    with (DATA / "lung.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["inst"] != ""]
    return [_in_lung_study(row) for row in rows if INSTITUTIONS.get(row["inst"], "valley") == site]


def _in_lung_study(row: Mapping[str, str]) -> Patient:
    return Patient(
        sex="M" if row["sex"] == "1" else "F",
        age=int(row["age"]),
        arm="A",
        seen=int(row["time"]),
        died=row["status"] == "2",
    )


def write_export(folder: Path, patients: Iterable[Patient], *, prefix: str) -> None:
    """Write ``patient.csv``, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "patient.new"
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_line(f"{prefix}-{number:06}", one) for number, one in enumerate(patients))
    draft.replace(folder / "patient.csv")


def _line(number: str, one: Patient) -> Sequence[object]:
    start = date(1990, 1, 1) + timedelta(days=sum(map(ord, number)) % 300)
    seen = start + timedelta(days=one.seen)
    vital = "dead" if one.died else "alive"
    value = "" if one.value is None else one.value
    return (number, one.sex, one.age, start, one.arm, seen, vital, value)


def write_mapping(file: Path) -> Path:
    """Write the mapping that reads what :func:`write_export` writes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_MAPPING, encoding="utf-8")
    return file


def dataset_toml(name: str, path: Path, mapping: Path, *, title: str = "", **more: bool) -> str:
    """Return a dataset's section of the node's settings."""
    flags = "".join(f"{key} = {str(value).lower()}\n" for key, value in more.items())
    return (
        f'[[datasets]]\nname = "{name}"\ntitle = "{title or name}"\nformat = "flat"\n'
        f'path = "{path}"\nmapping = "{mapping}"\n{flags}'
    )


@dataclass(frozen=True)
class Exports:
    """What the hospitals' systems wrote: the folder, and each site's datasets as settings of its node."""

    files: Path
    settings: Mapping[str, str]

    @property
    def demo(self) -> Path:
        """The folder of the demo's files: one below it for each site, and in it one for each study."""
        return self.files / "demo"

    @property
    def mapping(self) -> Path:
        """The mapping of ``registry``, ``institutions``, and any other file that this module writes."""
        return self.files / "mapping.toml"


def write_exports(files: Path) -> Exports:
    """Write every site's exports below ``files``."""
    demo = {site.site: site.datasets for site in write_site_files(files / "demo", SEED).sites}
    write_mapping(files / "mapping.toml")
    return Exports(files, {site: _exported(files, site, demo[site]) for site in SITES})


def _exported(files: Path, site: str, demo: Iterable[DemoDataset]) -> str:
    mapping = files / "mapping.toml"
    write_export(files / site / "registry", registry(site, REGISTRY_PERSONS[site]), prefix=f"R{site}")
    write_export(files / site / "institutions", institutions(site), prefix=f"I{site}")
    datasets = [dataset_toml(one.name, one.path, one.mapping, title=one.title) for one in demo]
    datasets.append(
        dataset_toml("registry", files / site / "registry", mapping, title="Made-up registry", synthetic=True)
    )
    # Without the shift of dates an age is the published one.
    datasets.append(dataset_toml("institutions", files / site / "institutions", mapping, date_shift=False))
    return "\n".join(datasets)
