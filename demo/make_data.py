"""Write the flat files that each demo hospital's systems would export: real values, invented identities.

Medical record numbers, names, birth days, calendar dates and notes are invented (seeded). Days between dates,
ages at randomisation and every clinical value are the published ones (``demo/data/README.md``).
"""

import csv
import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

DATA = Path(__file__).parent / "data"
Row = dict[str, str]


@dataclass(frozen=True)
class Habits:
    """How one hospital's systems write files."""

    delimiter: str
    encoding: str
    date_format: str
    decimal: str = "."


@dataclass(frozen=True)
class DemoSite:
    """One hospital: ``folder/colon`` and ``folder/lung`` hold its exports."""

    site: str
    title: str
    folder: Path
    habits: Habits
    patients: dict[str, int]
    """Real patients per study."""
    planted: int
    """Records with faults that were added on purpose."""


@dataclass(frozen=True)
class DemoSites:
    """What was written, and what a viewer must be told of it."""

    sites: tuple[DemoSite, ...]
    notes: tuple[str, ...]


HABITS = {
    "north": ("North Hospital", Habits(",", "utf-8", "%Y-%m-%d")),
    "harbour": ("Harbour Clinic", Habits(";", "cp1252", "%d.%m.%Y", ",")),
    "valley": ("Valley Medical Centre", Habits("\t", "utf-8-sig", "%m/%d/%Y")),
}
LUNG_SITES = {**dict.fromkeys("123", "north"), **dict.fromkeys(("4", "5", "6", "7", "10", "11"), "harbour")}
FAMILY = ("Ahlström", "Berger", "Castellano", "Dubois", "Eriksen", "Fournier", "Grünwald", "Hughes",
          "Ivanova", "Jäger", "Kowalski", "Lefèvre", "Moreau", "Nakamura", "O'Brien", "Peña", "Quist", "Rossi",
          "Sørensen", "Tanaka", "Underwood", "Virtanen", "Weiß", "Xanthos", "Young", "Zola")  # fmt: skip
GIVEN = {
    "M": ("Albert", "Bruno", "Carl", "David", "Émile", "Felix", "Georg", "Henry", "Ivan", "Jonas"),
    "F": ("Anna", "Béatrice", "Clara", "Dora", "Elena", "Freya", "Greta", "Hélène", "Ida", "Julia"),
}
ARMS = {"Obs": "OBS", "Lev": "LEV", "Lev+5FU": "LEV5FU"}


def write_site_files(out: Path, seed: int) -> DemoSites:
    """Write every site's exports below ``out/<site>/<study>/`` and say what they are."""
    draw = random.Random(seed)
    colon = _read("colon.csv")
    lung = _read("lung.csv")
    # Colon names no hospital: a seeded draw deals its patients out in thirds.
    dealt = [name for name in HABITS for _ in range(len(colon) // 3 + 1)][: len(colon)]
    draw.shuffle(dealt)
    sites = []
    for name, (title, habits) in HABITS.items():
        people = {
            "colon": [row for row, site in zip(colon, dealt, strict=True) if site == name],
            "lung": [row for row in lung if LUNG_SITES.get(row["institution"], "valley") == name],
        }
        folder = out / name
        planted = 0
        for study, rows in people.items():
            records = [_patient(study, name, number, row, draw) for number, row in enumerate(rows, 1)]
            tables = TABLES[study](records)
            planted += _plant(tables, study, name)
            _write(folder / study, tables, habits)
        counts = {study: len(rows) for study, rows in people.items()}
        sites.append(DemoSite(name, title, folder, habits, counts, planted))
    return DemoSites(tuple(sites), NOTES)


NOTES = (
    "colon: NCCTG adjuvant trial, 929 patients (Laurie 1989, Moertel 1990); it names no hospital, so a "
    "seeded draw deals its patients out over the three sites",
    "lung: NCCTG advanced lung cancer, 228 patients (Loprinzi 1994), split by institution; the one "
    "patient without an institution stays with valley",
    "medical record numbers, names, birth days, calendar dates, notes and a few faulty records are invented",
)


@dataclass(frozen=True)
class _Record:
    """One patient: the published row, and the invented identity and calendar."""

    row: Row
    mrn: str
    family: str
    given: str
    sex: str
    born: date
    randomised: date

    def after(self, days: str) -> date:
        return self.randomised + timedelta(days=int(days))


def _patient(study: str, site: str, number: int, row: Row, draw: random.Random) -> _Record:
    sex = "M" if row["sex"] == "1" else "F"
    first_year = {"colon": 1984, "lung": 1988}[study]
    randomised = date(first_year, 1, 1) + timedelta(days=draw.randrange(3 * 365))
    born = date(randomised.year - int(row["age"]), 1, 1) + timedelta(days=draw.randrange(365))
    mrn = f"{site[0].upper()}{study[0].upper()}-{draw.randrange(10_000, 99_999)}{number:04d}"
    return _Record(row, mrn, draw.choice(FAMILY), draw.choice(GIVEN[sex]), sex, born, randomised)


Tables = dict[str, list[dict[str, object]]]


def _people(records: Sequence[_Record]) -> list[dict[str, object]]:
    return [
        {"mrn": r.mrn, "family_name": r.family, "given_name": r.given, "sex": r.sex, "birth_date": r.born}
        for r in records
    ]


def _colon(records: Sequence[_Record]) -> Tables:
    return {
        "patient": _people(records),
        "treatment": [
            {"mrn": r.mrn, "trial": "NCCTG-784852", "arm": ARMS[r.row["rx"]], "randomised": r.randomised}
            for r in records
        ],
        "pathology": [
            {"mrn": r.mrn, "sampled": r.randomised, "diagnosis": "C18.9",
             **{name: r.row[name] for name in
                ("nodes", "differ", "extent", "obstruct", "perfor", "adhere", "surg", "node4")}}
            for r in records
        ],
        "follow_up": [
            {"mrn": r.mrn, "randomised": r.randomised, "last_contact": r.after(r.row["death_days"]),
             "recurrence": r.after(r.row["recurrence_days"]) if r.row["recurred"] == "1" else "",
             "died": r.after(r.row["death_days"]) if r.row["died"] == "1" else "",
             "note": f"{r.given} {r.family} seen by the oncologist on call"}
            for r in records
        ],
    }  # fmt: skip


def _lung(records: Sequence[_Record]) -> Tables:
    return {
        "patient": _people(records),
        "treatment": [
            {"mrn": r.mrn, "trial": "NCCTG-LUNG", "arm": "CHEMO", "randomised": r.randomised} for r in records
        ],
        "pathology": [
            {"mrn": r.mrn, "sampled": r.randomised, "diagnosis": "C34.9", 
             **{name: r.row[name] for name in ("ecog", "karnofsky_physician", "karnofsky_patient", "calories")},
             "weight_loss_kg": _kilograms(r.row["weight_loss"])}
            for r in records
        ],
        "follow_up": [
            {"mrn": r.mrn, "randomised": r.randomised, "last_contact": r.after(r.row["days"]),
             "died": r.after(r.row["days"]) if r.row["died"] == "1" else "",
             "note": f"{r.given} {r.family} reports by telephone"}
            for r in records
        ],
    }  # fmt: skip


def _kilograms(pounds: str) -> str:
    return f"{int(pounds) * 0.45359237:.2f}" if pounds else ""


TABLES: dict[str, Callable[[Sequence[_Record]], Tables]] = {"colon": _colon, "lung": _lung}
IMPOSSIBLE = "IMPOSSIBLE"


def _plant(tables: Tables, study: str, site: str) -> int:
    """Add faulty records, so that there is something to quarantine; real patients stay untouched."""
    if study == "lung":
        tables["pathology"].append({**tables["pathology"][0], "mrn": "X-0001", "ecog": "low"})
        return 1
    treated = tables["treatment"]
    faults: dict[str, tuple[str, dict[str, object]]] = {
        "north": ("patient", dict(tables["patient"][0])),  # the same medical record number twice
        "harbour": (
            "treatment",
            {**treated[0], "mrn": "X-0002", "arm": "PLACEBO"},
        ),  # an arm that is not mapped
        "valley": (
            "patient",
            {**tables["patient"][0], "mrn": "X-0003", "sex": "7"},
        ),  # a sex that is not mapped
    }
    table, record = faults[site]
    tables[table].append(record)
    treated.append({**treated[0], "mrn": "X-0004", "randomised": IMPOSSIBLE})
    tables["pathology"].append({"mrn": "X-0005", "sampled": treated[0]["randomised"]})  # cut short
    return 3


def _write(folder: Path, tables: Tables, habits: Habits) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_bytes(_text(rows, habits).encode(habits.encoding))


def _text(rows: list[dict[str, object]], habits: Habits) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(
        file, delimiter=habits.delimiter, lineterminator="\r\n" if habits.delimiter == ";" else "\n"
    )
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(list(_fields(row, habits)))
    return file.getvalue()


def _fields(row: dict[str, object], habits: Habits) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, date):
            yield value.strftime(habits.date_format)
        elif value == IMPOSSIBLE:
            yield date(1985, 1, 31).strftime(habits.date_format).replace("01", "02", 1)
        elif name == "weight_loss_kg":
            yield str(value).replace(".", habits.decimal)
        else:
            yield str(value)


def _read(name: str) -> list[Row]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
