"""Name every reason for which a record goes to quarantine: a stable code and a constant text."""

from collections.abc import Mapping
from types import MappingProxyType

RAGGED = "structure.ragged"
QUOTES = "structure.quotes"
NUL = "structure.nul"
ENCODING = "structure.encoding"
DUPLICATE_HEADER = "structure.duplicate_header"
REQUIRED = "value.required"
INTEGER = "value.integer"
OVERFLOW = "value.overflow"
NUMBER = "value.number"
DATE = "value.date"
DATE_RANGE = "value.date_range"
ORDER = "value.order"
CODE = "value.code"
DUPLICATE_KEY = "key.duplicate"

REASONS: Mapping[str, str] = MappingProxyType(
    {
        RAGGED: "the record has more or fewer fields than the header",
        QUOTES: "a quoted field is not closed, or text follows its closing quote",
        NUL: "the record holds a NUL byte",
        ENCODING: "the record holds bytes that are no text in the file's encoding",
        DUPLICATE_HEADER: "two columns that are read have the same name, so no value can be told apart",
        REQUIRED: "a required value is missing",
        INTEGER: "the value is not a whole number",
        OVERFLOW: "the number is too large for its field",
        NUMBER: "the value is not a number",
        DATE: "the value is not a date of the calendar in the declared format",
        DATE_RANGE: "the date is before 1800 or after tomorrow",
        ORDER: "the end is before the start",
        CODE: "the code is not in the mapping",
        DUPLICATE_KEY: "an earlier record has the same key",
    }
)

WARNINGS: Mapping[str, str] = MappingProxyType(
    {
        "column.unknown": "the column is not a field of the table and is not loaded",
        "column.repeated": "the column's name stands twice; neither is loaded",
        "file.unknown": "the file is no table of the data model and is not read",
        "file.empty": "the file is empty",
        "file.header_only": "the file holds a header and no record",
        "quarantine.shortened": "the report lists the first records of quarantine; the folder holds all",
    }
)
