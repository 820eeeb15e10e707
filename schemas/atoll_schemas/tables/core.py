"""Load ``core@1`` on first use from the specification that ships inside the package."""

from functools import cache
from importlib.resources import files

from atoll_schemas.tables.model import DataModel, Table

SPECIFICATION = "core_1.json"
"""Written by ``tools/make_table_specs.py``; never edited by hand."""


@cache
def core_1() -> DataModel:
    """Return ``core@1``: OMOP CDM v5.4 with MI-CDM, variants and trials."""
    text = files("atoll_schemas.tables").joinpath(SPECIFICATION).read_text(encoding="utf-8")
    return DataModel.model_validate_json(text)


def table(name: str) -> Table:
    """Return one table of ``core@1``. Raises ``UnknownTable`` that names the nearest one."""
    return core_1().table(name)
