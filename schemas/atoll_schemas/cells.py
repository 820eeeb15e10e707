"""Say what one released number can be: counted, pooled, measured, or withheld with its reason."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from atoll_schemas.contract import Contract


class WithholdReason(StrEnum):
    """Why a number is not shown. Small, complementary and differencing look the same on purpose."""

    PROTECTED = "protected"
    """Fewer than the minimum of persons (0 looks like 1-9), or hidden so that such a cell stays hidden."""
    DOMINANCE = "dominance"
    """One or two persons carry most of a sum."""
    TOO_FEW_EVENTS = "too_few_events"
    """Fewer events than a survival figure needs."""
    EDGE = "edge"
    """A quantile with too few persons on one of its sides."""
    NOT_AVAILABLE = "not_available"
    """The site does not hold what the figure needs."""


class Counted(Contract):
    """Persons, rounded; the true count lies within ``half_width`` of ``value``."""

    kind: Literal["counted"] = "counted"
    value: int = Field(ge=0)
    half_width: int = Field(default=2, ge=0)


class Withheld(Contract):
    """A number that stays at the site."""

    kind: Literal["withheld"] = "withheld"
    reason: WithholdReason = WithholdReason.PROTECTED


class Pooled(Contract):
    """The hub's sum of the counted cells of ``sites`` sites; ``withheld`` further sites hold one back.

    With ``withheld`` above zero the sum is a floor, never a total.
    """

    kind: Literal["pooled"] = "pooled"
    value: int = Field(ge=0)
    half_width: int = Field(ge=0)
    sites: int = Field(ge=1)
    withheld: int = Field(default=0, ge=0)


class Measured(Contract):
    """A figure that is not a count, such as a mean; finite."""

    kind: Literal["measured"] = "measured"
    value: float


Cell = Annotated[Counted | Withheld, Field(discriminator="kind")]
PooledCell = Annotated[Pooled | Withheld, Field(discriminator="kind")]
Figure = Annotated[Measured | Withheld, Field(discriminator="kind")]
