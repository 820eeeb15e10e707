"""The reference of mappings names every key, unit, format, code and reason that the reader knows."""

from pathlib import Path

import pytest

from atoll_node.sources.defects import REASONS, WARNINGS
from atoll_node.sources.encoding import ENCODINGS
from atoll_node.sources.formats import DATE_FORMATS, STANDARD_VOCABULARIES
from atoll_node.sources.mapping import Condition, Each, FieldSource, FileSpec, Mapping, RecordSpec
from atoll_node.sources.units import UNITS
from tests.support.source_files import lines, stage_files

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "reference" / "mapping.md").read_text(encoding="utf-8")
KEYS = [
    info.alias or name
    for part in (Mapping, FileSpec, RecordSpec, FieldSource, Condition, Each)
    for name, info in part.model_fields.items()
]


@pytest.mark.parametrize(
    "name",
    sorted({*KEYS, *UNITS, *ENCODINGS, *STANDARD_VOCABULARIES, *REASONS, *WARNINGS}),
)
def test_the_page_names(name):
    assert f"`{name}`" in PAGE


def test_the_page_names_every_date_format():
    assert all(f"`{name.split()[0]}`" in PAGE for name in DATE_FORMATS)


@pytest.mark.parametrize("code", [*REASONS, *WARNINGS])
def test_the_page_gives_each_code_its_text(code):
    assert f"| `{code}` | {({**REASONS, **WARNINGS})[code]} |" in PAGE


def test_the_mapping_of_the_how_to_works(tmp_path):
    page = (DOCS / "how-to" / "add-a-csv.md").read_text(encoding="utf-8")
    mapping = next(part.split("```")[0] for part in page.split("```toml\n") if part.startswith("format"))
    file = next(part.split("```")[0] for part in page.split("```\n") if part.startswith("patients.csv"))
    found = stage_files(tmp_path, {"patients.csv": lines(*file.strip().splitlines()[1:])}, mapping)
    assert [(table.table, table.written) for table in found.staged.tables] == [
        ("person", 1),
        ("observation_period", 1),
        ("measurement", 1),
    ]
    assert found.rows("measurement", "value_as_number") == [(125.0,)]
