"""Read Circe JSON and tell what is wrong with it by its JSON path."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from atoll_schemas.circe.errors import CohortError, InvalidCohort, UnsupportedCohort
from atoll_schemas.circe.limits import check_extent, check_size
from atoll_schemas.circe.spelling import form_of, nearest_name

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LONGEST_KEY = 40


def json_value(source: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object of a JSON text, within bounds."""
    value: Any = source
    if isinstance(source, (str, bytes)):
        check_size(source)
        value = _parsed(source)
    if not isinstance(value, Mapping):
        raise InvalidCohort("$", "a cohort expression is a JSON object")
    check_extent(value)
    return value


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidCohort("$", "the JSON is nested too deep") from None
    except UnicodeDecodeError:
        raise InvalidCohort("$", "the text is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidCohort(
            "$", f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except CohortError:
        raise
    except ValueError:
        raise InvalidCohort("$", "a number has too many digits") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidCohort("$", "an object names a field twice")
    return value


def _no_constant(name: str) -> Any:
    raise InvalidCohort("$", f"{name} is not a JSON number")


_FIRST = ("circe", "unsupported", "extra_forbidden")
"""Foreign names are told before wrong values."""


def told(error: ValidationError, root: type[BaseModel]) -> CohortError:
    """Return the first thing that is wrong, with its path and the nearest known name."""
    details = error.errors(include_url=False, include_context=True, include_input=True)
    return _explained(min(details, key=lambda item: item["type"] not in _FIRST), root)


def _explained(detail: ErrorDetails, root: type[BaseModel]) -> CohortError:
    kind, context = detail["type"], detail.get("ctx", {})
    place = detail["loc"] if kind == "extra_forbidden" else _place_in_json(root, detail["loc"])
    path = json_path(place)
    if kind == "unsupported":
        return UnsupportedCohort(path + _step(context["key"]), detail["msg"])
    if kind == "circe":
        return InvalidCohort(path + _step(context["key"]), detail["msg"])
    if kind == "extra_forbidden":
        known = form_of(_part_at(root, place[:-1])).names
        return InvalidCohort(path, "Circe knows no such field here", nearest_name(str(place[-1]), known))
    if kind == "literal_error" and isinstance(detail["input"], str):
        return InvalidCohort(path, detail["msg"], _nearest_value(detail["input"], context["expected"]))
    return InvalidCohort(path, detail["msg"].removeprefix("Value error, "))


def _place_in_json(root: type[BaseModel], place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Cut off what pydantic adds of its own, such as the name of the type in a union."""
    part: type[BaseModel] | None = root
    for depth, step in enumerate(place):
        if isinstance(step, str):
            if part is None or step not in {*form_of(part).names, *form_of(part).also}:
                return place[:depth]
            part = _part_under(part, step)
    return place


def _part_at(root: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the class of the part at a place of the JSON."""
    part = root
    for step in place:
        if isinstance(step, str):
            part = _part_under(part, step) or part
    return part


def _part_under(part: type[BaseModel], key: str) -> type[BaseModel] | None:
    """Return the class of the parts in a field; names of classes that come later are resolved first."""
    part.model_rebuild()
    form = form_of(part)
    field = part.model_fields[form.names[form.also.get(key, key)]]
    return next(_parts_in(field.annotation), None)


def _parts_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts_in(inner)


def _nearest_value(given: str, expected: str) -> str | None:
    return nearest_name(given, re.findall(r"'([^']+)'", expected))


def json_path(place: tuple[int | str, ...]) -> str:
    """Return ``$.A[0].B`` for the place of an error; a strange key is quoted and cut."""
    return "$" + "".join(_step(part) for part in place)


def _step(part: int | str) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN.fullmatch(part):
        return f".{part}"
    return f"[{json.dumps(part[:_LONGEST_KEY])}]"
