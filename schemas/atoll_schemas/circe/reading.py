"""Read Circe JSON and tell what is wrong with it by its JSON path."""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from atoll_schemas.circe.errors import CohortError, InvalidCohort, UnsupportedCohort
from atoll_schemas.circe.limits import check_extent, check_size
from atoll_schemas.circe.names import CIRCE_NAMES

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


def told(error: ValidationError) -> CohortError:
    """Return the first thing that is wrong, with its path and the nearest known name."""
    details = error.errors(include_url=False, include_context=True, include_input=False)
    return _explained(min(details, key=lambda item: item["type"] != "extra_forbidden"))


def _explained(detail: ErrorDetails) -> CohortError:
    path = json_path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown(path, str(detail["loc"][-1]))
    if detail["type"] == "unsupported":
        return UnsupportedCohort(path, detail["msg"])
    return InvalidCohort(path, detail["msg"].removeprefix("Value error, "))


def _unknown(path: str, name: str) -> CohortError:
    if name in CIRCE_NAMES:
        return UnsupportedCohort(path, "this part of Circe is not supported here")
    near = difflib.get_close_matches(name[:_LONGEST_KEY], CIRCE_NAMES, n=1)
    return InvalidCohort(path, "Circe knows no such field", near[0] if near else None)


def json_path(place: tuple[int | str, ...]) -> str:
    """Return ``$.A[0].B`` for the place of an error; a strange key is quoted and cut."""
    return "$" + "".join(_step(part) for part in place)


def _step(part: int | str) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN.fullmatch(part):
        return f".{part}"
    return f"[{json.dumps(part[:_LONGEST_KEY])}]"
