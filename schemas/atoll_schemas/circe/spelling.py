"""Know how each field of a part is spelled in JSON, and what of a given JSON a part would write otherwise.

Three things make a JSON text and the values read from it differ: another spelling of a name, a value in
another form (``"30"`` for 30, ``all`` for All), and ``null``. They are kept beside the values, by key.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.alias_generators import to_pascal
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

ASIDE = "_aside"
"""Where a part keeps, by key, what it writes as it was read."""
_LONGEST_KEY = 40
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)


def circe_name(name: str) -> str:
    """Return Circe's name of a field: ``gender_cs`` is ``GenderCS``."""
    return f"{to_pascal(name[:-3])}CS" if name.endswith("_cs") else to_pascal(name)


@dataclass(frozen=True)
class FieldForm:
    """One field: its names, its default, and whether it only documents."""

    name: str
    key: str
    default: Any
    documents: bool


@dataclass(frozen=True)
class Form:
    """The fields of a part's class by Circe name, and the other spellings of those names."""

    fields: tuple[FieldForm, ...]
    names: Mapping[str, str]
    also: Mapping[str, str]
    units: frozenset[str]
    free: Mapping[str, str]
    """The fields, by key, whose value may have been given in another form than it is written in."""


@cache
def form_of(part: type[BaseModel]) -> Form:
    """Return how a class of parts is spelled. Aliases are worked out here: pydantic does so only on use."""
    documents: frozenset[str] = getattr(part, "documentation", frozenset())
    spell = part.model_config.get("alias_generator")
    named = spell if callable(spell) else str
    fields = tuple(
        FieldForm(name, field.alias or named(name), field.get_default(), name in documents)
        for name, field in part.model_fields.items()
    )
    names = {field.key: field.name for field in fields}
    also = {key[0].swapcase() + key[1:]: key for key in names if not key.isupper()}
    also |= getattr(part, "also", {})
    free = {key: name for key, name in names.items() if _has_forms(part.model_fields[name])}
    return Form(fields, names, also, getattr(part, "units", frozenset()), free)


def _has_forms(field: FieldInfo) -> bool:
    """Texts, parts and lists have one form in JSON; numbers, dates and what is converted have several."""
    return any(isinstance(mark, BeforeValidator) for mark in field.metadata) or _may_vary(field.annotation)


def _may_vary(annotation: Any) -> bool:
    if get_origin(annotation) is Literal or annotation in (int, float, bool, date):
        return True
    if isinstance(annotation, BeforeValidator):
        return True
    if get_origin(annotation) is tuple:
        return False
    return any(map(_may_vary, (*get_args(annotation), *getattr(annotation, "__metadata__", ()))))


def main_names(part: type[BaseModel], aside: Mapping[str, Any]) -> frozenset[str]:
    """Return the Circe names of the fields that are written under other spellings."""
    also = form_of(part).also
    return frozenset(also[key] for key in aside if key in also)


def refusal(key: str, message: str) -> PydanticCustomError:
    """Return the error at a field of the part that is being read."""
    return PydanticCustomError("circe", "{what}", {"what": message, "key": key})


def unsupported(key: str, message: str) -> PydanticCustomError:
    """Return the error for a construct that Circe has drafted and no engine runs."""
    return PydanticCustomError("unsupported", "{what}", {"what": message, "key": key})


def sort_out(part: type[BaseModel], value: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the fields under Circe's names, and what to write as it stands; foreign names stay."""
    form = form_of(part)
    if form.names.keys() >= value.keys() and None not in value.values():
        return value, {}
    fields: dict[str, Any] = {}
    aside: dict[str, Any] = {}
    for key, item in value.items():
        if item is None and _knows(form, key):
            aside[key] = None
        elif key in form.names:
            fields[key] = item
    if len(fields) + len(aside) < len(value):
        _take_other_spellings(form, value, fields, aside)
    return fields, aside


def _take_other_spellings(
    form: Form, value: Mapping[str, Any], fields: dict[str, Any], aside: dict[str, Any]
) -> None:
    for key, item in value.items():
        if key in form.names or key in aside:
            continue
        if not _knows(form, key):
            fields[key] = item
            continue
        aside[key] = deepcopy(item)
        if key in form.units:
            if item != "day":
                raise unsupported(key, "a date model knows no unit but day")
            continue
        main = form.also[key]
        if main not in fields:
            fields[main] = item
        elif fields[main] == item:
            aside[main] = item
        else:
            raise refusal(key, f"{main} is given twice, and differs")


def _knows(form: Form, key: object) -> bool:
    return key in form.names or key in form.also or key in form.units


def nearest_name(name: str, known: Iterable[object]) -> str | None:
    """Return the known name that a mistyped one is nearest to."""
    by_lower = {str(item).lower(): str(item) for item in known}
    near = difflib.get_close_matches(name[:_LONGEST_KEY].lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


_PLAIN = (str, int, float, bool)


def written_otherwise(part: BaseModel, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return, by key, the plain values that the part would not write as they were given."""
    found: dict[str, Any] = {}
    for key, name in form_of(type(part)).free.items():
        given = fields.get(key)
        if type(given) not in _PLAIN:
            continue
        value = getattr(part, name)
        plain = value.isoformat() if isinstance(value, date) else value
        if type(plain) is not type(given) or plain != given:
            _same_kind(key, value, given)
            found[key] = given
    return found


def _same_kind(key: str, value: Any, given: Any) -> None:
    """A number may be written as a text of digits; yes and no have one form."""
    if isinstance(value, bool) != isinstance(given, bool):
        raise refusal(key, "true or false is expected" if isinstance(value, bool) else "not true or false")
    if isinstance(given, str) and isinstance(value, (int, float)) and not _NUMBER.fullmatch(given):
        raise refusal(key, "a number is expected")
