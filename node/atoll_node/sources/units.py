"""Convert between the units that a mapping may declare: the common UCUM units of one quantity each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Unit:
    """A unit: what it measures, and ``base = value * factor + offset``."""

    quantity: str
    factor: float
    offset: float = 0.0


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "1": Unit("ratio", 1),
        "%": Unit("ratio", 0.01),
        "{count}": Unit("count", 1),
        "{score}": Unit("score", 1),
        "kg": Unit("mass", 1),
        "g": Unit("mass", 1e-3),
        "mg": Unit("mass", 1e-6),
        "[lb_av]": Unit("mass", 0.45359237),
        "m": Unit("length", 1),
        "cm": Unit("length", 1e-2),
        "mm": Unit("length", 1e-3),
        "[in_i]": Unit("length", 0.0254),
        "kg/m2": Unit("body mass index", 1),
        "g/L": Unit("mass concentration", 1),
        "g/dL": Unit("mass concentration", 10),
        "mg/dL": Unit("mass concentration", 0.01),
        "mg/L": Unit("mass concentration", 1e-3),
        "ug/L": Unit("mass concentration", 1e-6),
        "ng/mL": Unit("mass concentration", 1e-6),
        "mmol/L": Unit("substance concentration", 1),
        "umol/L": Unit("substance concentration", 1e-3),
        "U/L": Unit("catalytic concentration", 1),
        "kU/L": Unit("catalytic concentration", 1e3),
        "10*9/L": Unit("number concentration", 1),
        "10*3/uL": Unit("number concentration", 1),
        "10*12/L": Unit("number concentration", 1e3),
        "mm[Hg]": Unit("pressure", 1),
        "kPa": Unit("pressure", 7.50061683),
        "kcal": Unit("energy", 4.184),
        "kJ": Unit("energy", 1),
        "d": Unit("time", 1),
        "wk": Unit("time", 7),
        "mo": Unit("time", 30.4375),
        "a": Unit("time", 365.25),
        "Cel": Unit("temperature", 1),
        "[degF]": Unit("temperature", 5 / 9, -160 / 9),
    }
)
"""Mass and substance concentrations do not convert into each other: that takes the substance."""


def conversion(unit: str, to: str) -> tuple[float, float]:
    """Return the factor and offset from one unit to another of the same quantity."""
    source, target = UNITS[unit], UNITS[to]
    return source.factor / target.factor, (source.offset - target.offset) / target.factor
