"""Name the date formats and code systems that a mapping may declare."""

from collections.abc import Mapping
from types import MappingProxyType

_DAYS = {
    "yyyy-mm-dd": "%Y-%m-%d",
    "yyyy/mm/dd": "%Y/%m/%d",
    "yyyymmdd": "%Y%m%d",
    "dd.mm.yyyy": "%d.%m.%Y",
    "dd/mm/yyyy": "%d/%m/%Y",
    "dd-mm-yyyy": "%d-%m-%Y",
    "mm/dd/yyyy": "%m/%d/%Y",
    "mm-dd-yyyy": "%m-%d-%Y",
    "dd-mon-yyyy": "%d-%b-%Y",
}
_SHAPES = {
    "%Y": "[0-9]{4}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%b": "[A-Za-z]{3}",
    "%H": "[0-9]{1,2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
}
DATE_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        **_DAYS,
        **{f"{name} hh:mm": f"{pattern} %H:%M" for name, pattern in _DAYS.items()},
        **{f"{name} hh:mm:ss": f"{pattern} %H:%M:%S" for name, pattern in _DAYS.items()},
    }
)
"""The name that a mapping writes, and the pattern that reads it."""

STANDARD_VOCABULARIES = frozenset(
    {
        "ATC", "CPT4", "CVX", "Gender", "HCPCS", "HGNC", "ICD10", "ICD10CM", "ICD10GM", "ICD10PCS", "ICD9CM",
        "ICDO3", "LOINC", "MedDRA", "NDC", "OMOP Genomic", "OPCS4", "OPS", "RxNorm", "SNOMED", "UCUM",
    }
)  # fmt: skip
"""Code systems by their OMOP names; a hospital's own are declared in its mapping."""


def shape_of(pattern: str) -> str:
    """Return the regular expression of texts in a date pattern, so that ``1.2.20`` is no year 20."""
    shape = pattern.replace(".", "[.]")
    for token, expression in _SHAPES.items():
        shape = shape.replace(token, expression)
    return shape
