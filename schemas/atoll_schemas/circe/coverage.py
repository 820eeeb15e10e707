"""Say which constructs an engine runs, and refuse an expression that uses another by its JSON path.

The model holds the whole language; an engine that runs less of it must say so, never ignore a part.
"""

from collections.abc import Mapping

from pydantic import BaseModel

from atoll_schemas.circe.errors import UnsupportedCohort
from atoll_schemas.circe.spelling import form_of
from atoll_schemas.circe.writing import placed

Coverage = Mapping[type[BaseModel], frozenset[str]]
"""For classes of parts of which an engine runs a part: the fields that it runs. Others run whole."""


def refuse_beyond(expression: BaseModel, coverage: Coverage) -> None:
    """Raise ``UnsupportedCohort`` at the first field that says something and is not run."""
    for place, part in placed(expression):
        runs = coverage.get(type(part))
        if runs is None:
            continue
        for field in form_of(type(part)).fields:
            if field.name not in runs and getattr(part, field.name) != field.default:
                raise UnsupportedCohort(f"{place}.{field.key}", "this engine does not run it yet")
