"""Write ``core_1.json`` from the published definitions of OMOP CDM v5.4 and MI-CDM and from our additions.

Usage: ``python tools/make_table_specs.py DEFINITIONS [--check]``, where DEFINITIONS is the folder that holds
``omop/OMOP_CDMv5.4_Field_Level.csv`` and ``imaging/OMOP_CDM_Medical_Imaging_Ex_Field_Level.csv``.
With ``--check`` nothing is written; the exit code is 1 when the shipped file differs.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from atoll_schemas.tables import additions, content
from atoll_schemas.tables.core import SPECIFICATION
from atoll_schemas.tables.model import DataModel, Datatype, Field, Scope, Table

OMOP = Path("omop/OMOP_CDMv5.4_Field_Level.csv")
IMAGING = Path("imaging/OMOP_CDM_Medical_Imaging_Ex_Field_Level.csv")
TARGET = Path(__file__).resolve().parents[1] / "schemas" / "atoll_schemas" / "tables" / SPECIFICATION
_TYPE = re.compile(r"(?P<name>[a-z]+)(\((?P<length>max|[0-9]+)\))?")
_DATATYPES: Mapping[str, Datatype] = {
    "integer": Datatype.INTEGER,
    "int": Datatype.INTEGER,
    "float": Datatype.DOUBLE,
    "date": Datatype.DATE,
    "datetime": Datatype.TIMESTAMP,
    "varchar": Datatype.VARCHAR,
}
Row = Mapping[str, str]


def definitions(file: Path) -> Iterator[Row]:
    """Yield the rows of a definition file, trimmed; MI-CDM's has a BOM, no-break spaces and a typo."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            tidy = {key.strip(): value.strip() for key, value in row.items()}
            tidy["fkFieldName"] = tidy.get("fkFieldName", tidy.get("fkFrieldName", ""))
            tidy["cdmTableName"] = tidy["cdmTableName"].lower()
            tidy["cdmFieldName"] = tidy["cdmFieldName"].strip('"').lower()
            yield tidy


def field_of(row: Row) -> Field:
    """Return the field that a definition row describes."""
    name, (datatype, length) = row["cdmFieldName"], datatype_of(row)
    foreign = row["isForeignKey"] == "Yes"
    return Field(
        name=name,
        datatype=datatype,
        content=content.content_of(row["cdmTableName"], name, datatype),
        length=length,
        required=row["isRequired"] == "Yes",
        primary_key=row["isPrimaryKey"] == "Yes",
        foreign_table=row["fkTableName"].lower() if foreign else None,
        foreign_field=row["fkFieldName"].lower() if foreign else None,
    )


def datatype_of(row: Row) -> tuple[Datatype, int | None]:
    """Return the column type and, for bounded text, its length. Integers that are ids become int64."""
    match = _TYPE.fullmatch(row["cdmDatatype"].lower())
    if match is None or match["name"] not in _DATATYPES:
        raise ValueError(f"{row['cdmTableName']}.{row['cdmFieldName']}: unknown datatype")
    datatype = _DATATYPES[match["name"]]
    if datatype is Datatype.INTEGER and _is_id(row):
        datatype = Datatype.BIGINT
    bounded = match["length"] is not None and match["length"] != "max"
    return datatype, int(match["length"]) if bounded else None


def _is_id(row: Row) -> bool:
    keyed = "Yes" in (row["isPrimaryKey"], row["isForeignKey"])
    return keyed or re.search(r"_id(_[0-9])?$", row["cdmFieldName"]) is not None


def table_of(name: str, fields: tuple[Field, ...]) -> Table:
    """Return a table of the published definitions with its group, scope and keys."""
    return Table(
        name=name,
        group=content.GROUPS[name],
        scope=_scope(name, fields),
        fields=fields,
        link=content.LINKS.get(name),
        natural_key=content.NATURAL_KEYS.get(name, ()),
    )


def _scope(name: str, fields: tuple[Field, ...]) -> Scope:
    if any(field.person_key for field in fields):
        return "person"
    if name in content.LINKS:
        return "linked"
    return "unlinked" if name in content.UNLINKED else "shared"


def data_model(folder: Path) -> DataModel:
    """Return ``core@1`` made afresh from the definitions in ``folder``."""
    fields: dict[str, list[Field]] = {}
    for file in (OMOP, IMAGING):
        for row in definitions(folder / file):
            fields.setdefault(row["cdmTableName"], []).append(field_of(row))
    published = tuple(table_of(name, tuple(columns)) for name, columns in fields.items())
    return DataModel(name="core@1", tables=published + additions.ADDITIONS)


def written(model: DataModel) -> str:
    """Return the file's text: one field per line, so that a change reads well in a diff."""
    tables = []
    for table in model.tables:
        head = table.model_dump(mode="json", exclude_defaults=True, exclude={"fields"})
        lines = [json.dumps(f.model_dump(mode="json", exclude_defaults=True)) for f in table.fields]
        body = ",\n    ".join(lines)
        tables.append(f'  {json.dumps(head, ensure_ascii=False)[:-1]}, "fields": [\n    {body}\n  ]}}')
    return f'{{"name": "{model.name}", "tables": [\n' + ",\n".join(tables) + "\n]}\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the shipped file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("definitions", type=Path)
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args(arguments)
    text = written(data_model(options.definitions))
    if options.check:
        return 0 if TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
