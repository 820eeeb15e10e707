"""Make a small hospital for ingest tests: a home with secrets, settings, and OMOP files as CSV."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atoll_node.home import Home
from atoll_node.ingest import IngestReport, ingest, release
from atoll_node.keys import make_secrets
from atoll_node.release import Release
from atoll_node.settings import DatasetSettings, FolderStore, NodeSettings, S3Store
from tests.support.lake import Rows

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))


def now() -> datetime:
    return NOW


@dataclass(frozen=True)
class Hospital:
    """A node's home with one dataset, whose files lie in ``home/export``."""

    home: Home
    store: FolderStore | S3Store
    settings: Mapping[str, Any]

    @property
    def dataset(self) -> DatasetSettings:
        facts = {"title": "Lab", "format": "omop", "path": Path("export"), **self.settings}
        return DatasetSettings(name="lab", **facts)

    @property
    def node(self) -> NodeSettings:
        return NodeSettings(
            site="atoll-a", title="A", hub="http://127.0.0.1", store=self.store, datasets=(self.dataset,)
        )

    def export(self, tables: Mapping[str, Rows]) -> None:
        """Make the export folder hold exactly these tables, as CSV."""
        folder = self.home.root / "export"
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, rows in tables.items():
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

    def ingest(self) -> IngestReport:
        return ingest(self.dataset, node=self.node, home=self.home, clock=now)

    def release(self) -> Release:
        return release(self.dataset, node=self.node, home=self.home, clock=now)


def hospital(root: Path, *, store: FolderStore | S3Store | None = None, **settings: Any) -> Hospital:
    home = Home(root)
    root.mkdir(parents=True, exist_ok=True)
    make_secrets(home, KEY)
    return Hospital(home, store or FolderStore(), settings)


def small_export(persons: int = 4, labs: int = 3) -> dict[str, list[dict[str, Any]]]:
    """Return persons with an observation period, a visit and some labs each."""
    numbers = range(1, persons + 1)
    return {
        "person": [
            {"person_id": n, "gender_concept_id": 8507, "year_of_birth": 1950 + n, "month_of_birth": 5,
             "day_of_birth": 9, "race_concept_id": 0, "ethnicity_concept_id": 0,
             "person_source_value": f"MRN-{n}"}
            for n in numbers
        ],
        "observation_period": [
            {"observation_period_id": n, "person_id": n, "observation_period_start_date": "2015-01-01",
             "observation_period_end_date": "2020-12-31", "period_type_concept_id": 32817}
            for n in numbers
        ],
        "visit_occurrence": [
            {"visit_occurrence_id": 100 + n, "person_id": n, "visit_concept_id": 9201,
             "visit_start_date": "2016-02-01", "visit_end_date": "2016-02-05", "visit_type_concept_id": 32817}
            for n in numbers
        ],
        "measurement": [
            {"measurement_id": 1000 * n + k, "person_id": n, "measurement_concept_id": 3000963,
             "measurement_date": f"2016-02-0{1 + k % 5}", "measurement_type_concept_id": 32817,
             "value_as_number": 10.5 + k, "visit_occurrence_id": 100 + n, "measurement_source_value": "HB"}
            for n in numbers for k in range(labs)
        ],
    }  # fmt: skip
