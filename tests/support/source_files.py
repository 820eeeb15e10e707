"""Stage small source files in a test and look at what came out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from atoll_node.settings import DatasetSettings
from atoll_node.sources import SourceProgress, stage
from atoll_node.staging import Staged, StagedTable
from atoll_schemas.tables import core_1

TODAY = date(2024, 6, 30)
PERSON = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id"
DEATH = "person_id,death_date"
MEASUREMENT = (
    "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_type_concept_id,"
    "value_as_number,value_source_value"
)


@dataclass(frozen=True)
class Outcome:
    """A staged batch, with its folders."""

    staged: Staged
    quarantine: Path
    events: tuple[SourceProgress, ...]

    def table(self, name: str) -> StagedTable:
        return next(table for table in self.staged.tables if table.table == name)

    def rows(self, name: str, *fields: str) -> list[tuple[Any, ...]]:
        """Return the staged rows of a table, sorted."""
        return staged_rows(self.staged, name, *fields)

    def defects(self) -> list[tuple[int, str | None, str]]:
        return sorted(
            ((found.record, found.field, found.code) for found in self.staged.quarantined),
            key=lambda item: (item[0], item[1] or "", item[2]),
        )

    def warnings(self) -> list[str]:
        return [warning.code for warning in self.staged.warnings]

    def kept(self) -> list[dict[str, Any]]:
        """Return every record in the quarantine folder."""
        return [
            json.loads(line)
            for file in sorted(self.quarantine.rglob("*.jsonl"))
            for line in file.read_text(encoding="ascii").splitlines()
        ]


def staged_rows(staged: Staged, name: str, *fields: str) -> list[tuple[Any, ...]]:
    """Return the staged rows of a table, sorted; all fields unless some are named."""
    table = next(table for table in staged.tables if table.table == name)
    if not table.files:
        return []
    files = [str(file) for file in table.files]
    with duckdb.connect() as connection:
        present = set(connection.execute("FROM read_parquet(?) LIMIT 0", [files]).fetchnumpy())
        wanted = fields or core_1().table(name).names
        listed = ", ".join(f'"{field}"' if field in present else "NULL" for field in wanted)
        query = f"SELECT {listed} FROM read_parquet(?) ORDER BY ALL"
        return connection.execute(query, [files]).fetchall()


def stage_folder(folder: Path, work: Path, mapping: Path | None = None, name: str = "trial") -> Outcome:
    """Stage a folder that exists."""
    events: list[SourceProgress] = []
    dataset = DatasetSettings(
        name=name, title="A test", format="flat" if mapping else "omop", path=folder, mapping=mapping
    )
    quarantine = work / "quarantine"
    staged = stage(
        dataset,
        scratch=work / "scratch",
        quarantine=quarantine,
        progress=events.append,
        today=TODAY,
        threads=2,
    )
    return Outcome(staged, quarantine, tuple(events))


def stage_files(work: Path, files: Mapping[str, str | bytes], mapping: str | None = None) -> Outcome:
    """Write files and stage them: OMOP, or flat when there is a mapping (TOML)."""
    folder = work / "source"
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    if mapping is None:
        return stage_folder(folder, work)
    file = work / "mapping.toml"
    file.write_text(mapping, encoding="utf-8")
    return stage_folder(folder, work, file)


def lines(*records: str) -> str:
    """Return records as the text of a file."""
    return "\n".join(records) + "\n"
