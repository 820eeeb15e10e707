"""Write a cohort expression: as it was read, and in the one form that is digested.

The canonical form holds what can change an answer, and the names of rules and concept sets. Left out are
fields that only document, and fields that say what their absence says (``null``, ``[]``, ``false``).
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from pydantic import BaseModel

from atoll_schemas.circe.spelling import ASIDE, form_of, main_names

_NOTHING: dict[str, Any] = {}


def as_read(part: BaseModel) -> dict[str, Any]:
    """Return the JSON from which the part was read, key order aside; from Python, what was given."""
    aside: dict[str, Any] = part.__dict__.get(ASIDE, _NOTHING)
    given = part.model_fields_set
    elsewhere = main_names(type(part), aside) if aside else aside
    written = {
        field.key: _value(getattr(part, field.name), as_read)
        for field in form_of(type(part)).fields
        if field.name in given and field.key not in elsewhere
    }
    return {**written, **aside}


def canonical_form(part: BaseModel) -> dict[str, Any]:
    """Return what of the part can change an answer, with Circe's names and no default."""
    return {
        field.key: _value(value, canonical_form)
        for field in form_of(type(part)).fields
        if not field.documents and (value := getattr(part, field.name)) != field.default
    }


def _value(value: Any, write: Any) -> Any:
    if isinstance(value, BaseModel):
        return write(value)
    if isinstance(value, tuple):
        return [_value(item, write) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def path_of(root: BaseModel, part: BaseModel, field: str) -> str:
    """Return the JSON path of a field of a part that lies within ``root``."""
    place = next((place for place, item in placed(root) if item is part), "$")
    return f"{place}.{next(form.key for form in form_of(type(part)).fields if form.name == field)}"


def placed(part: BaseModel, place: str = "$") -> Iterator[tuple[str, BaseModel]]:
    """Yield the part and every part within it with its JSON path, in the order of the fields."""
    yield place, part
    for field in form_of(type(part)).fields:
        value = getattr(part, field.name)
        if isinstance(value, BaseModel):
            yield from placed(value, f"{place}.{field.key}")
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from placed(item, f"{place}.{field.key}[{number}]")
