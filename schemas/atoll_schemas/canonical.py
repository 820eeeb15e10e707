"""Write JSON in its canonical form (RFC 8785), so that equal values have equal digests."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_LARGEST_EXACT_INTEGER = 2**53 - 1
_FIRST_WITH_EXPONENT = 10**21


class NotCanonical(ValueError):
    """A value has no RFC 8785 form: NaN, infinity, inexact integer, lone surrogate, foreign type."""


def canonical_json(value: Any) -> bytes:
    """Return the UTF-8 bytes of ``value`` by RFC 8785: sorted keys, shortest numbers, no white space."""
    try:
        return _written(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate") from error


def digest_of(data: bytes) -> str:
    """Return ``sha256:<hex>`` of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_written(item) for item in value) + "]"
    raise NotCanonical(f"{type(value).__name__} has no JSON form")


def _object(value: Mapping[Any, Any]) -> str:
    if not all(isinstance(key, str) for key in value):
        raise NotCanonical("an object key is not a string")
    # RFC 8785 section 3.2.3: keys sort by their UTF-16 code units.
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{_written(key)}:{_written(value[key])}" for key in keys) + "}"


def _integer(value: int) -> str:
    """Every JSON number is a double. A larger integer passes only as a double's own text, read back."""
    text = str(value)
    if abs(value) <= _LARGEST_EXACT_INTEGER:
        return text
    if abs(value) >= _FIRST_WITH_EXPONENT or _number(float(value)) != text:
        raise NotCanonical("an integer is beyond 2**53 - 1; write it as a string")
    return text


def _number(value: float) -> str:
    """ECMAScript's Number::toString, which RFC 8785 section 3.2.2.3 asks for."""
    if not math.isfinite(value):
        raise NotCanonical("NaN and infinities have no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + ("" if fraction == "0" else fraction)).lstrip("0")
    leading = (
        len(whole) - len(whole + fraction) + len((whole + fraction).lstrip("0"))
        if whole == "0"
        else len(whole)
    )
    point = leading + int(exponent_text or 0)
    digits = digits.rstrip("0") or "0"
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    exponent = point - 1
    mantissa = digits if count == 1 else digits[0] + "." + digits[1:]
    return f"{mantissa}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
