"""Hold cleared results of one site, and what the hub makes of several.

At a node only ``atoll_node.disclosure`` may construct the ``Site…`` types (tests/architecture holds it).
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from atoll_schemas.cells import Cell, Figure, PooledCell, Withheld
from atoll_schemas.contract import Contract
from atoll_schemas.problems import Problem
from atoll_schemas.query import Label, Method, Name, ProjectId, SiteName


class Dimension(Contract):
    """One side of a table: the variable and its levels in order (``missing`` and ``other`` included)."""

    name: Name
    levels: tuple[Label, ...]


class TableCell(Contract):
    """Persons at one combination of levels; ``*`` stands for the total over a dimension."""

    levels: tuple[Label, ...]
    persons: Cell


class CountTable(Contract):
    """Persons by one to three dimensions, inner cells and every margin listed."""

    dimensions: tuple[Dimension, ...]
    cells: tuple[TableCell, ...]


class AttritionStep(Contract):
    """Persons left after one inclusion rule; the first step is ``entry events``."""

    name: Label
    persons: Cell


class SiteCount(Contract):
    """Answer to ``count``."""

    method: Literal["count"] = "count"
    persons: Cell
    attrition: tuple[AttritionStep, ...]
    by: CountTable | None = None


class Moments(Contract):
    """Exact sufficient statistics of a mean and SD: n, mean, sum of squared deviations (Chan 1979)."""

    kind: Literal["moments"] = "moments"
    n: int = Field(ge=1)
    mean: float
    m2: float = Field(ge=0)


class Bin(Contract):
    """Persons whose number lies in [low, high); an absent end is open. Edges are declared, never data."""

    low: float | None = None
    high: float | None = None
    persons: Cell


class NumberGroup(Contract):
    """One numeric variable in one group (``*`` is everybody)."""

    group: Label
    persons: Cell
    missing: Cell
    moments: Annotated[Moments | Withheld, Field(discriminator="kind")]
    bins: tuple[Bin, ...] = ()


class NumberSummary(Contract):
    """A numeric row of Table 1."""

    kind: Literal["number"] = "number"
    variable: Name
    unit: Label | None = None
    groups: tuple[NumberGroup, ...]


class CategorySummary(Contract):
    """A categorical row of Table 1: dimensions are the variable and, if asked, the group."""

    kind: Literal["category"] = "category"
    variable: Name
    table: CountTable


Summary = Annotated[NumberSummary | CategorySummary, Field(discriminator="kind")]


class SiteTable1(Contract):
    """Answer to ``table1``."""

    method: Literal["table1"] = "table1"
    persons: Cell
    groups: CountTable | None = None
    summaries: tuple[Summary, ...]


class SiteCrosstab(Contract):
    """Answer to ``crosstab``."""

    method: Literal["crosstab"] = "crosstab"
    persons: Cell
    table: CountTable


class CurveStep(Contract):
    """The curve at ``day``: at least ten events lie between two steps. Greenwood standard error."""

    day: int = Field(ge=0)
    survival: float = Field(ge=0, le=1)
    std_err: float = Field(ge=0)
    at_risk: Cell


class Curve(Contract):
    """One group's Kaplan-Meier curve at one site (``*`` when there is no group)."""

    group: Label
    persons: Cell
    events: Cell
    steps: tuple[CurveStep, ...]
    median: Figure
    """Days to 0.5 survival, read from the stepped curve."""


class LogRank(Contract):
    """Observed, expected and covariance of O - E per group at one site (Mantel 1966; Peto 1972)."""

    kind: Literal["log_rank"] = "log_rank"
    groups: tuple[Label, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    variance: tuple[tuple[float, ...], ...]


class SiteKaplanMeier(Contract):
    """Answer to ``kaplan_meier``."""

    method: Literal["kaplan_meier"] = "kaplan_meier"
    outcome: Name
    curves: tuple[Curve, ...]
    log_rank: Annotated[LogRank | Withheld, Field(discriminator="kind")] | None = None


SitePayload = Annotated[
    SiteCount | SiteTable1 | SiteCrosstab | SiteKaplanMeier, Field(discriminator="method")
]


class Gate(Contract):
    """The disclosure settings under which a result was cleared."""

    minimum_persons: int
    round_to: int
    minimum_events: int
    rules: tuple[Label, ...]
    withheld_cells: int


class ClearedResult(Contract):
    """What one site lets go: the payload, the release it was computed on, and the gate's settings."""

    kind: Literal["cleared"] = "cleared"
    site: SiteName
    query_digest: str
    release: str
    release_digest: str
    payload: SitePayload
    gate: Gate
    engine_milliseconds: int = Field(ge=0)


class MergedTableCell(Contract):
    """Persons over the sites at one combination of levels."""

    levels: tuple[Label, ...]
    persons: PooledCell


class MergedTable(Contract):
    """The cell-wise sum of the sites' tables."""

    dimensions: tuple[Dimension, ...]
    cells: tuple[MergedTableCell, ...]


class MergedStep(Contract):
    """Persons over the sites after one inclusion rule."""

    name: Label
    persons: PooledCell


class MergedCount(Contract):
    """Count over the answering sites."""

    method: Literal["count"] = "count"
    persons: PooledCell
    attrition: tuple[MergedStep, ...]
    by: MergedTable | None = None


class Quantile(Contract):
    """A quantile read from merged bins by linear interpolation; true value within ``half_width``."""

    probability: float = Field(gt=0, lt=1)
    value: float
    half_width: float = Field(ge=0)


class MergedNumberGroup(Contract):
    """Mean and SD exact over the sites that gave moments; quantiles from the common bins."""

    group: Label
    persons: PooledCell
    missing: PooledCell
    mean: Figure
    sd: Figure
    sites: int
    bins: tuple["MergedBin", ...] = ()
    quantiles: tuple[Quantile, ...] = ()


class MergedBin(Contract):
    """Persons over the sites in [low, high)."""

    low: float | None = None
    high: float | None = None
    persons: PooledCell


class MergedNumber(Contract):
    """A numeric row of the merged Table 1."""

    kind: Literal["number"] = "number"
    variable: Name
    unit: Label | None = None
    groups: tuple[MergedNumberGroup, ...]


class MergedCategory(Contract):
    """A categorical row of the merged Table 1."""

    kind: Literal["category"] = "category"
    variable: Name
    table: MergedTable


class MergedTable1(Contract):
    """Table 1 over the answering sites."""

    method: Literal["table1"] = "table1"
    persons: PooledCell
    groups: MergedTable | None = None
    summaries: tuple[Annotated[MergedNumber | MergedCategory, Field(discriminator="kind")], ...]


class MergedCrosstab(Contract):
    """Cross-tab over the answering sites."""

    method: Literal["crosstab"] = "crosstab"
    persons: PooledCell
    table: MergedTable


class SiteCurves(Contract):
    """The curves of one site; curves of sites are shown side by side, never pooled."""

    site: SiteName
    curves: tuple[Curve, ...]


class StratifiedLogRank(Contract):
    """The log-rank test stratified by site: sums of O, E and V, equal to R's survdiff with strata(site)."""

    kind: Literal["stratified_log_rank"] = "stratified_log_rank"
    groups: tuple[Label, ...]
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    variance: tuple[tuple[float, ...], ...]
    chi_square: float = Field(ge=0)
    degrees_of_freedom: int = Field(ge=1)
    p: float = Field(ge=0, le=1)
    sites: tuple[SiteName, ...]
    """Sites whose O, E and V are in the sums."""


class MergedKaplanMeier(Contract):
    """Curves per site, and the stratified test."""

    method: Literal["kaplan_meier"] = "kaplan_meier"
    outcome: Name
    sites: tuple[SiteCurves, ...]
    log_rank: Annotated[StratifiedLogRank | Withheld, Field(discriminator="kind")] | None = None


MergedPayload = Annotated[
    MergedCount | MergedTable1 | MergedCrosstab | MergedKaplanMeier, Field(discriminator="method")
]
SiteState = Literal["waiting", "running", "answered", "refused", "failed", "late", "no_permit", "cancelled"]


class SiteOutcome(Contract):
    """How one site fared with a query."""

    site: SiteName
    state: SiteState
    release: str | None = None
    release_digest: str | None = None
    problem: Problem | None = None
    engine_milliseconds: int | None = None
    milliseconds: int | None = None
    """From the task's creation to its answer, at the hub's clock."""
    gate: Gate | None = None


QueryState = Literal["running", "complete", "partial", "failed", "cancelled"]


class Result(Contract):
    """What a researcher gets: the merged answer and, site by site, where it came from."""

    query_id: str
    query_digest: str
    project: ProjectId
    dataset: Name
    method: Method
    state: QueryState
    asked: int
    answered: int
    sites: tuple[SiteOutcome, ...]
    merged: Annotated[MergedPayload, Field(discriminator="method")] | None = None
    problem: Problem | None = None
    """Why sites answered and nothing is merged: the hub refused to pool what does not belong together."""
    submitted_at: datetime
    finished_at: datetime | None = None

    @property
    def headline(self) -> str:
        """Such as ``2 of 3 sites``."""
        return f"{self.answered} of {self.asked} sites"
