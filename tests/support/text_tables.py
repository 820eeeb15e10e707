"""Read tables written as text, so that a test shows its rows as a reader would draw them."""

from datetime import date
from typing import Any

from atoll_schemas.tables import Datatype, table

Rows = list[dict[str, Any]]


def rows_of(name: str, text: str) -> Rows:
    """Return the rows of ``column | column`` lines; types are those of ``core@1``, an empty cell is NULL."""
    lines = [line for line in text.splitlines() if line.strip()]
    header, *body = [[cell.strip() for cell in line.split("|")] for line in lines]
    spec = table(name)
    return [
        {column: _value(spec.field(column).datatype, cell) for column, cell in zip(header, line, strict=True)}
        for line in body
    ]


def _value(datatype: Datatype, cell: str) -> Any:
    if not cell:
        return None
    if datatype is Datatype.DATE:
        return date.fromisoformat(cell)
    if datatype in {Datatype.BIGINT, Datatype.INTEGER}:
        return int(cell)
    return float(cell) if datatype is Datatype.DOUBLE else cell
