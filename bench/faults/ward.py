"""Kill a real ingest, let the next one finish, and count rows and quarantined records."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atoll_node.settings import S3Store
from tests.support.hospital import Hospital, hospital, small_export


@dataclass(frozen=True)
class Delivery:
    """What a killed ingest was to read: one more person, with one measurement that cannot be taken."""

    root: Path
    store: S3Store


def deliver(delivery: Delivery) -> None:
    """Ingest what lies in the export folder."""
    _hospital(delivery.root, delivery.store).ingest()


class Ward:
    """A dataset of real ingests, one new person each."""

    def __init__(self, root: Path, store: S3Store) -> None:
        self.store = store
        self._root = root
        self._hospital = _hospital(root, store)
        self.delivered = 0

    def ingested(self, through: S3Store, killing: Callable[[Delivery], None]) -> tuple[int, list[str]]:
        """Export a person, let ``killing`` start and end an ingest, ingest; return commits and breaches."""
        self.delivered += 1
        self._export(self.delivered)
        killing(Delivery(self._root, through))
        report = self._hospital.ingest()
        return len(report.tables), self._breaches(self.delivered, report.batch)

    def _export(self, number: int) -> None:
        whole = small_export(persons=number)
        export = {name: [row for row in rows if row["person_id"] == number] for name, rows in whole.items()}
        first = export["measurement"][0]
        export["measurement"].append(first | {"measurement_id": 9, "measurement_date": "no day"})
        self._hospital.export(export)

    def _breaches(self, number: int, batch: str) -> list[str]:
        counts = {table.name: table.rows for table in self._hospital.release().tables}
        expected = {"person": number, "observation_period": number, "visit_occurrence": number}
        kept = self._root / "quarantine" / "lab" / batch.removeprefix("sha256:") / "measurement.jsonl"
        lines = [json.loads(line) for line in kept.read_text(encoding="ascii").splitlines()]
        wrong = [] if counts == expected | {"measurement": 3 * number} else ["an ingest lost or doubled rows"]
        return wrong + ([] if len(lines) == 1 else ["quarantine is not complete"])


def _hospital(root: Path, store: S3Store) -> Hospital:
    return hospital(root, store=store, load="persons")
