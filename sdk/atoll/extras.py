"""Wrap the optional libraries once: pandas, Altair and vl-convert, installed as ``atoll[plot]``."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from atoll.errors import MissingExtra

if TYPE_CHECKING:
    import altair
    import pandas

INTEGERS = "Int64"
NUMBERS = "Float64"
TEXTS = "string"


def has(library: str) -> bool:
    """Whether a library is installed."""
    return find_spec(library) is not None


def _needed(library: str, what: str) -> ModuleType:
    try:
        return import_module(library)
    except ImportError as error:
        raise MissingExtra(
            "extra.plot", f"{what} needs {library}, which is not installed", "Run: pip install 'atoll[plot]'"
        ) from error


def data_frame(columns: Mapping[str, tuple[str, Sequence[Any]]]) -> "pandas.DataFrame":
    """Return a frame of nullable columns (name: dtype, values); ``None`` becomes ``pandas.NA``."""
    pandas = _needed("pandas", "to_pandas()")
    return pandas.DataFrame(
        {name: pandas.array(list(values), dtype=dtype) for name, (dtype, values) in columns.items()}
    )


def chart(spec: Mapping[str, Any]) -> "altair.Chart":
    """Return an Altair chart of a Vega-Lite specification."""
    drawn: altair.Chart = _needed("altair", "plot()").Chart.from_dict(dict(spec), validate=False)
    return drawn


def svg(spec: Mapping[str, Any]) -> str:
    """Return the SVG text of a Vega-Lite specification."""
    text: str = _needed("vl_convert", "an SVG").vegalite_to_svg(dict(spec), vl_version="5.20")
    return text
