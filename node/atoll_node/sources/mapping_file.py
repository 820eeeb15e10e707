"""Read a mapping file and check all of it before a row of data is read.

Every problem is told with its place in the mapping and the nearest known name.
"""

import tomllib
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingType
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from atoll_node.errors import SourceError
from atoll_node.sources.encoding import ENCODINGS
from atoll_node.sources.formats import DATE_FORMATS, STANDARD_VOCABULARIES
from atoll_node.sources.mapping import (
    EACH,
    PARTS,
    Condition,
    FieldSource,
    FileSpec,
    Mapping,
    RecordSpec,
)
from atoll_node.sources.units import UNITS
from atoll_schemas.query import AnyOf, Codes, Event
from atoll_schemas.tables import Content, Datatype, Field, Table, core_1

_NEXT = "correct the mapping; docs/reference/mapping.md explains every key"
_KEYS = sorted({info.alias or name for part in PARTS for name, info in part.model_fields.items()})
Columns = MappingType[str, tuple[str, ...]]
"""Each file's name in the mapping and its header."""


def read_mapping(path: Path | None) -> tuple[Mapping, bytes]:
    """Read a mapping and check what can be checked without the files. Raises ``SourceError``."""
    if path is None:
        raise SourceError("mapping.missing", "a flat dataset needs a mapping", "set mapping in the settings")
    try:
        content = path.read_bytes()
    except OSError:
        raise SourceError("mapping.missing", "the mapping file cannot be read", "correct its path") from None
    mapping = _modelled(_parsed(content, path.suffix.lower()))
    _raise_if(list(_problems(mapping)))
    return mapping, content


def check_columns(mapping: Mapping, columns: Columns) -> None:
    """Check every column that the mapping names against the files' headers. Raises ``SourceError``."""
    _raise_if(list(_column_problems(mapping, columns)))


def _raise_if(problems: list[str]) -> None:
    if problems:
        raise SourceError("mapping.invalid", "; ".join(problems), _NEXT)


def _parsed(content: bytes, ending: str) -> Any:
    if ending == ".toml":
        try:
            return tomllib.loads(content.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SourceError("mapping.syntax", f"the mapping is not valid TOML: {error}", _NEXT) from None
    if ending in {".yaml", ".yml"}:
        try:
            return yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise SourceError("mapping.syntax", f"the mapping is not valid YAML: {error}", _NEXT) from None
    raise SourceError("mapping.form", "a mapping is a .toml, .yaml or .yml file", _NEXT)


def _modelled(content: Any) -> Mapping:
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        # A text is the short form of a field's source; that a table is no text is not the problem.
        told = [_told(item) for item in error.errors() if item["loc"][-1:] != ("str",)]
        raise SourceError("mapping.invalid", "; ".join(told), _NEXT) from None


def _told(item: Any) -> str:
    place = _place(item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key{_nearest(str(item['loc'][-1]), _KEYS)}"
    return f"{place}: {item['msg']}"


def _place(parts: Iterable[int | str]) -> str:
    text = ""
    for part in parts:
        if part in {"FieldSource", "str"}:
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _nearest(name: str, known: Iterable[str]) -> str:
    choices = {choice.lower(): choice for choice in known}
    near = get_close_matches(name.lower(), list(choices), n=1)
    return f"; did you mean {choices[near[0]]!r}?" if near else ""


def _problems(mapping: Mapping) -> Iterator[str]:
    yield from _file_problems(mapping.files)
    for place, record in enumerate(mapping.records):
        yield from _record_problems(mapping, record, f"records[{place}]")
    yield from _vocabulary_problems(mapping)


def _file_problems(files: tuple[FileSpec, ...]) -> Iterator[str]:
    seen: set[str] = set()
    for place, file in enumerate(files):
        at = f"files[{place}]"
        if file.name in seen:
            yield f"{at}.name: two files have the name {file.name!r}"
        seen.add(file.name)
        yield from _unknown(f"{at}.date_format", "date format", file.date_format, DATE_FORMATS)
        if file.encoding is not None:
            yield from _unknown(f"{at}.encoding", "encoding", file.encoding, ENCODINGS)


def _unknown(place: str, kind: str, name: str, known: Iterable[str]) -> Iterator[str]:
    names = list(known)
    if name not in names:
        yield f"{place}: unknown {kind} {name!r}{_nearest(name, names)}"


def _record_problems(mapping: Mapping, record: RecordSpec, at: str) -> Iterator[str]:
    yield from _unknown(f"{at}.file", "file", record.file, (file.name for file in mapping.files))
    if not core_1().has(record.table):
        yield from _unknown(f"{at}.table", "table", record.table, core_1().names)
        return
    table = core_1().table(record.table)
    if not table.person_scoped:
        yield f"{at}.table: {table.name} is not about persons; a flat mapping cannot feed it"
        return
    for name, source in record.fields.items():
        yield from _field_problems(table, name, source, f"{at}.fields.{name}", bool(record.each))
    for place, entry in enumerate(record.each):
        for name, source in entry.fields.items():
            yield from _field_problems(table, name, source, f"{at}.each[{place}].fields.{name}", True)
    for place, condition in enumerate(record.when):
        yield from _condition_problems(condition, f"{at}.when[{place}]")
    yield from _missing_fields(table, record, at)


def _condition_problems(condition: Condition, at: str) -> Iterator[str]:
    if bool(condition.equals) == (condition.present is not None):
        yield f"{at}: give either is or present"
    if condition.otherwise is not None and not condition.equals:
        yield f"{at}.otherwise: needs is"


def _missing_fields(table: Table, record: RecordSpec, at: str) -> Iterator[str]:
    given = [set(record.fields) | set(entry.fields) for entry in record.each] or [set(record.fields)]
    for field in table.fields:
        if is_given_by_rule(field) or not field.required:
            continue
        if any(field.name not in names for names in given):
            yield f"{at}.fields: {table.name}.{field.name} is required"


def is_given_by_rule(field: Field) -> bool:
    """Whether a field needs no mapping: the keys are made, and a required concept is 0 when not mapped."""
    return field.person_key or field.primary_key or field.content is Content.CONCEPT


def _field_problems(
    table: Table, name: str, source: FieldSource | str, at: str, in_each: bool
) -> Iterator[str]:
    if not table.has(name):
        yield f"{at}: unknown field of {table.name}{_nearest(name, table.names)}"
        return
    field = table.field(name)
    if field.person_key or field.primary_key:
        yield f"{at}: {name} is made from the file's person column and key; leave it out"
        return
    if isinstance(source, str):
        if source == EACH and not in_each:
            yield f"{at}: '*' needs each"
        return
    yield from _source_problems(field, source, at)
    if source.column == EACH and not in_each:
        yield f"{at}.column: '*' needs each"


def _source_problems(field: Field, source: FieldSource, at: str) -> Iterator[str]:
    kinds = [kind for kind in ("column", "constant", "year_of") if getattr(source, kind) is not None]
    if len(kinds) != 1:
        yield f"{at}: give exactly one of column, constant and year_of"
        return
    if source.minus is not None and kinds != ["year_of"]:
        yield f"{at}.minus: needs year_of"
    if source.constant is not None:
        yield from _scalar_problems(field, source.constant, f"{at}.constant")
    for code, value in source.values.items():
        yield from _scalar_problems(field, value, f"{at}.values.{code}")
    if source.otherwise is not None:
        if not source.values:
            yield f"{at}.otherwise: needs values"
        yield from _scalar_problems(field, source.otherwise, f"{at}.otherwise")
    yield from _date_problems(field, source, at)
    yield from _unit_problems(field, source, at)


def _scalar_problems(field: Field, value: int | float | str, at: str) -> Iterator[str]:
    whole = field.datatype in (Datatype.BIGINT, Datatype.INTEGER)
    if whole and not (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63):
        yield f"{at}: {field.name} takes whole numbers"
    elif field.datatype is Datatype.DOUBLE and isinstance(value, str):
        yield f"{at}: {field.name} takes numbers"
    elif field.datatype is Datatype.VARCHAR and not isinstance(value, str):
        yield f"{at}: {field.name} takes text; write it in quotes"
    elif field.datatype in (Datatype.DATE, Datatype.TIMESTAMP):
        yield f"{at}: {field.name} is a date and comes from a column"


def _date_problems(field: Field, source: FieldSource, at: str) -> Iterator[str]:
    is_date = field.datatype in (Datatype.DATE, Datatype.TIMESTAMP)
    if source.date_format is not None:
        yield from _unknown(f"{at}.date_format", "date format", source.date_format, DATE_FORMATS)
        if not is_date and source.year_of is None:
            yield f"{at}.date_format: {field.name} is no date"
    if source.plus_days is not None and not is_date:
        yield f"{at}.plus_days: {field.name} is no date"
    if source.year_of is not None and field.datatype is not Datatype.INTEGER:
        yield f"{at}.year_of: {field.name} is no year"


def _unit_problems(field: Field, source: FieldSource, at: str) -> Iterator[str]:
    for key, unit in (("unit", source.unit), ("to", source.to)):
        if unit is not None:
            yield from _unknown(f"{at}.{key}", "unit", unit, UNITS)
    if source.unit is None and source.to is None:
        return
    if field.datatype is not Datatype.DOUBLE or source.values:
        yield f"{at}.unit: {field.name} holds no number that a unit could convert"
    elif source.unit is None:
        yield f"{at}.to: needs unit"
    elif source.to in UNITS and source.unit in UNITS and not _alike(source.unit, source.to):
        yield f"{at}.to: {source.unit} and {source.to} measure different quantities"


def _alike(unit: str, to: str | None) -> bool:
    return to is None or UNITS[unit].quantity == UNITS[to].quantity


def _vocabulary_problems(mapping: Mapping) -> Iterator[str]:
    known = sorted({*mapping.vocabularies, *STANDARD_VOCABULARIES})
    for place, record in enumerate(mapping.records):
        if record.vocabulary is not None:
            yield from _unknown(f"records[{place}].vocabulary", "vocabulary", record.vocabulary, known)
    for at, codes in _codes(mapping):
        for place, code in enumerate(codes.source_codes):
            yield from _unknown(
                f"{at}.source_codes[{place}].vocabulary", "vocabulary", code.vocabulary, known
            )


def _codes(mapping: Mapping) -> Iterator[tuple[str, Codes]]:
    """Yield every set of codes that the mapping's variables and outcomes name, with its place."""
    for place, variable in enumerate(mapping.variables):
        codes = getattr(variable.definition, "codes", None)
        if isinstance(codes, Codes):
            yield f"variables[{place}].definition.codes", codes
    for place, outcome in enumerate(mapping.outcomes):
        definition = outcome.definition
        at = f"outcomes[{place}].definition"
        if isinstance(definition, Event):
            yield f"{at}.codes", definition.codes
        elif isinstance(definition, AnyOf):
            for part, inner in enumerate(definition.outcomes):
                if isinstance(inner, Event):
                    yield f"{at}.outcomes[{part}].codes", inner.codes


def _column_problems(mapping: Mapping, columns: Columns) -> Iterator[str]:
    for place, file in enumerate(mapping.files):
        header = columns.get(file.name)
        if header is None:
            continue
        at = f"files[{place}]"
        yield from _unknown(f"{at}.person", "column", file.person, header)
        for part, column in enumerate(file.key):
            yield from _unknown(f"{at}.key[{part}]", "column", column, header)
    for place, record in enumerate(mapping.records):
        header = columns.get(record.file)
        if header is None:
            continue
        for at, column in named_columns(record, f"records[{place}]"):
            yield from _unknown(at, "column", column, header)


def named_columns(record: RecordSpec, at: str = "record") -> Iterator[tuple[str, str]]:
    """Yield every column that a kind of record names, with its place in the mapping."""
    for place, condition in enumerate(record.when):
        yield f"{at}.when[{place}].column", condition.column
    yield from _source_columns(record.fields, f"{at}.fields")
    for place, entry in enumerate(record.each):
        yield f"{at}.each[{place}].column", entry.column
        yield from _source_columns(entry.fields, f"{at}.each[{place}].fields")


def _source_columns(fields: MappingType[str, FieldSource | str], at: str) -> Iterator[tuple[str, str]]:
    for name, source in fields.items():
        if isinstance(source, str):
            if source != EACH:
                yield f"{at}.{name}", source
            continue
        for key in ("column", "year_of", "minus", "plus_days"):
            value = getattr(source, key)
            if isinstance(value, str) and value != EACH:
                yield f"{at}.{name}.{key}", value
