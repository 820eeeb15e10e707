"""Write the files that three hospitals would export, from the published facts in ``demo/data``.

Record numbers, names and the day of randomisation are invented by a seeded draw; every other date is that
day plus the published number of days. Some records with a defect are added so that quarantine has work.
"""

import csv
import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "data"
MAPPINGS = HERE / "mappings"
SITES = ("north", "harbour", "valley")
TITLES = {"north": "North General Hospital", "harbour": "Harbour Clinic", "valley": "Valley Medical Center"}
STUDIES = {"colon": "NCCTG adjuvant colon cancer trial", "lung": "NCCTG advanced lung cancer study"}
INSTITUTIONS = {**dict.fromkeys(("1", "2", "3"), "north"),
                **dict.fromkeys(("4", "5", "6", "7", "10", "11"), "harbour")}  # fmt: skip
"""Every other institution, and the patient without one, is valley's."""
DEFECTS = {
    "colon": (
        "patient: a second record of a patient's record number",
        "patient: a randomisation on 30 February",
        "treatment: an arm that the trial does not have",
        "pathology: a record cut off after its first field",
    ),
    "lung": (
        "patient: a second record of a patient's record number",
        "performance: an ECOG score of 9",
        "performance: a record cut off after its first field",
        "follow_up: a last visit on 30 February",
    ),
}
_FIRST_DAYS = {"colon": date(1984, 3, 1), "lung": date(1986, 1, 6)}
Row = dict[str, str]
Table = list[list[str]]


@dataclass(frozen=True)
class Style:
    """How one hospital's system writes: separator, encoding, decimals, dates, codes, record numbers."""

    delimiter: str
    encoding: str
    decimal: str
    date: str
    male: str
    female: str
    yes: str
    no: str
    record_number: Callable[[int], str]
    packed: bool = False
    """Write the follow-up file with gzip."""
    energy: float = 1.0
    """Energy per kilocalorie in the unit that the system uses."""


STYLES = {
    "north": Style(",", "utf-8", ".", "%Y-%m-%d", "M", "F", "yes", "no", lambda n: f"N-{n:06d}"),
    "harbour": Style(
        ";",
        "cp1252",
        ",",
        "%d.%m.%Y",
        "männlich",
        "weiblich",
        "J",
        "N",
        lambda n: f"HB/{84 + n % 5}/{n:05d}",
        energy=4.184,
    ),
    "valley": Style(
        "\t", "utf-8-sig", ".", "%m/%d/%Y", "1", "2", "1", "0", lambda n: f"{7_000_000 + n * 7}", packed=True
    ),
}


@dataclass(frozen=True)
class DemoDataset:
    """One study at one site: the folder of its files, its mapping, its patients, its planted defects."""

    name: str
    title: str
    path: Path
    mapping: Path
    patients: int
    defects: tuple[str, ...]


@dataclass(frozen=True)
class DemoSite:
    """One hospital."""

    site: str
    title: str
    datasets: tuple[DemoDataset, ...]


@dataclass(frozen=True)
class DemoSites:
    """The three hospitals, and what a reader must know about their files."""

    root: Path
    sites: tuple[DemoSite, ...]
    notes: tuple[str, ...]


NOTES = (
    "The patients' values are facts of two published trials; names, record numbers and days of "
    "randomisation are invented. All intervals are exact.",
    "Colon: the trial names no institution, so its 929 patients split over the three sites by a seeded draw.",
    "Lung: the 228 patients split by their institution; the one without an institution is valley's.",
    "Each site's files hold four planted defects per study, as additional records.",
)


def write_site_files(out: Path, seed: int) -> DemoSites:
    """Write ``out/<site>/<study>/*.csv`` for the three sites; the same seed writes the same bytes."""
    split = {"colon": _colon_split(seed), "lung": _lung_split()}
    sites = tuple(
        DemoSite(
            site, TITLES[site],
            tuple(_dataset(out, site, study, patients[site], seed) for study, patients in split.items()),
        )
        for site in SITES
    )  # fmt: skip
    return DemoSites(out, sites, NOTES)


def _rows(name: str) -> list[Row]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _colon_split(seed: int) -> dict[str, list[Row]]:
    """Join each patient's two rows and deal the patients to the sites."""
    rows = _rows("colon")
    recurrence = {row["id"]: row for row in rows if row["etype"] == "1"}
    patients = [
        {**row, "relapse_time": recurrence[row["id"]]["time"], "relapse": recurrence[row["id"]]["status"]}
        for row in rows
        if row["etype"] == "2"
    ]
    random.Random(f"{seed}/colon/sites").shuffle(patients)
    return {site: patients[place :: len(SITES)] for place, site in enumerate(SITES)}


def _lung_split() -> dict[str, list[Row]]:
    split: dict[str, list[Row]] = {site: [] for site in SITES}
    for row in _rows("lung"):
        split[INSTITUTIONS.get(row["inst"], "valley")].append(row)
    return split


def _dataset(out: Path, site: str, study: str, patients: list[Row], seed: int) -> DemoDataset:
    folder = out / site / study
    folder.mkdir(parents=True, exist_ok=True)
    export = _Export(STYLES[site], random.Random(f"{seed}/{study}/{site}"), _FIRST_DAYS[study])
    files = export.colon(patients) if study == "colon" else export.lung(patients)
    for name, table in files.items():
        _write(folder, name, table, STYLES[site])
    mapping = MAPPINGS / f"{site}-{study}.toml"
    return DemoDataset(study, STUDIES[study], folder, mapping, len(patients), DEFECTS[study])


def _write(folder: Path, name: str, table: Table, style: Style) -> None:
    text = "".join(_line(row, style.delimiter) for row in table)
    content = text.encode(style.encoding)
    if style.packed and name == "follow_up":
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(content, mtime=0))
    else:
        (folder / f"{name}.csv").write_bytes(content)


def _line(row: Sequence[str], delimiter: str) -> str:
    cells = (f'"{cell}"' if delimiter in cell else cell for cell in row)
    return delimiter.join(cells) + "\r\n"


@dataclass(frozen=True)
class _Patient:
    number: str
    name: str
    randomised: date


class _Export:
    """Writes one study of one site in the site's style."""

    def __init__(self, style: Style, draw: random.Random, first_day: date) -> None:
        self._style = style
        self._draw = draw
        self._first_day = first_day
        self._names = _rows("invented_names")
        self._numbers = iter(draw.sample(range(1, 90_000), 20_000))

    def colon(self, rows: list[Row]) -> dict[str, Table]:
        """Return the colon trial's files: patient, treatment, pathology, follow-up."""
        people = [(row, self._patient()) for row in rows]
        phantom = self._patient()
        patient = self._patients(people, "C18.9", {"0": self._style.female, "1": self._style.male})
        patient.append([phantom.number, phantom.name, self._style.female, "61", self._no_day(), "C18.9"])
        treatment = [["mrn", "randomised", "arm"]]
        treatment += [[who.number, self._day(who, 0), row["rx"]] for row, who in people]
        treatment.append([self._patient().number, self._day(phantom, 0), "Lev+FU-5x"])
        facts = ("obstruct", "perfor", "adhere", "node4")
        pathology = [["mrn", "reported", "nodes", "differ", "extent", "surg", *facts]]
        for row, who in people:
            graded = [row["nodes"], row["differ"], row["extent"], row["surg"]]
            pathology.append(
                [who.number, self._day(who, 0), *graded, *(self._said(row[fact]) for fact in facts)]
            )
        pathology.append([self._patient().number])
        return {
            "patient": patient,
            "treatment": treatment,
            "pathology": pathology,
            "follow_up": self._colon_follow_up(people),
        }

    def _colon_follow_up(self, people: list[tuple[Row, _Patient]]) -> Table:
        table = [["mrn", "randomised", "last_seen", "vital", "recurrence"]]
        for row, who in people:
            relapse = self._day(who, int(row["relapse_time"])) if row["relapse"] == "1" else ""
            vital = "dead" if row["status"] == "1" else "alive"
            table.append([who.number, self._day(who, 0), self._day(who, int(row["time"])), vital, relapse])
        return table

    def lung(self, rows: list[Row]) -> dict[str, Table]:
        """Return the lung study's files: patient, performance, follow-up."""
        people = [(row, self._patient()) for row in rows]
        patient = self._patients(people, "C34.9", {"2": self._style.female, "1": self._style.male})
        performance = [
            ["mrn", "assessed", "ecog", "karnofsky_physician", "karnofsky_patient", "energy", "weight_loss"]
        ]
        for row, who in people:
            scores = [row["ph.ecog"], row["ph.karno"], row["pat.karno"]]
            rest = [self._energy(row["meal.cal"]), row["wt.loss"]]
            performance.append([who.number, self._day(who, 0), *scores, *rest])
        phantom = self._patient()
        performance.append([phantom.number, self._day(phantom, 0), "9", "", "", "", ""])
        performance.append([self._patient().number])
        follow_up = [["mrn", "randomised", "last_seen", "vital"]]
        for row, who in people:
            vital = "dead" if row["status"] == "2" else "alive"
            follow_up.append([who.number, self._day(who, 0), self._day(who, int(row["time"])), vital])
        follow_up.append([phantom.number, self._day(phantom, 0), self._no_day(), "alive"])
        return {"patient": patient, "performance": performance, "follow_up": follow_up}

    def _patients(self, people: list[tuple[Row, _Patient]], diagnosis: str, sexes: dict[str, str]) -> Table:
        table = [["mrn", "name", "sex", "age", "randomised", "diagnosis"]]
        for row, who in people:
            table.append([who.number, who.name, sexes[row["sex"]], row["age"], self._day(who, 0), diagnosis])
        twice = list(table[self._draw.randrange(1, len(table))])
        twice[3] = str(int(twice[3]) + 1)
        return [*table, twice]

    def _patient(self) -> _Patient:
        family, given = self._draw.choice(self._names)["family"], self._draw.choice(self._names)["given"]
        day = self._first_day + timedelta(days=self._draw.randrange(1000))
        return _Patient(self._style.record_number(next(self._numbers)), f"{family}, {given}", day)

    def _day(self, who: _Patient, days: int) -> str:
        return (who.randomised + timedelta(days=days)).strftime(self._style.date)

    def _no_day(self) -> str:
        """Return 30 February 1986 as the site writes dates."""
        parts = {"%Y": "1986", "%m": "02", "%d": "30"}
        text = self._style.date
        for token, value in parts.items():
            text = text.replace(token, value)
        return text

    def _said(self, flag: str) -> str:
        return {"1": self._style.yes, "0": self._style.no}[flag]

    def _energy(self, calories: str) -> str:
        if not calories:
            return ""
        value = round(int(calories) * self._style.energy, 3)
        return f"{value:.3f}".rstrip("0").rstrip(".").replace(".", self._style.decimal)
