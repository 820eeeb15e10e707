"""Make whole results by hand, as the hub sends them."""

from atoll_schemas.cells import Measured, Pooled, PooledCell, Withheld, WithholdReason
from atoll_schemas.problems import Problem
from atoll_schemas.query import Method
from atoll_schemas.results import (
    Curve,
    CurveStep,
    Dimension,
    MergedBin,
    MergedCategory,
    MergedCount,
    MergedCrosstab,
    MergedKaplanMeier,
    MergedNumber,
    MergedNumberGroup,
    MergedPayload,
    MergedStep,
    MergedTable,
    MergedTable1,
    MergedTableCell,
    Quantile,
    Result,
    SiteCurves,
    SiteOutcome,
    StratifiedLogRank,
)
from tests.support.cleared import NOON, cell

SITES = ("east", "north", "south")


def pooled(value: int, withheld: int = 0) -> Pooled:
    """Return the sum of three sites, of which some withhold."""
    return Pooled(value=value, half_width=6 - 2 * withheld, sites=3 - withheld, withheld=withheld)


def result(
    merged: MergedPayload | None, *, silent: tuple[str, ...] = (), method: Method | None = None
) -> Result:
    """Return the result of query Q-1, to which the ``silent`` sites gave no answer."""
    offline = Problem(title="Late", code="task.late", detail="the node was offline until the deadline")
    outcomes = tuple(
        SiteOutcome(site=site, state="late", problem=offline)
        if site in silent
        else SiteOutcome(site=site, state="answered", release=f"colon-{site}-1", milliseconds=120)
        for site in SITES
    )
    state = "complete" if not silent else "failed" if len(silent) == len(SITES) else "partial"
    return Result(
        query_id="Q-1",
        query_digest="sha256:" + "0" * 64,
        project="P-001",
        dataset="colon",
        method=method or (merged.method if merged else "count"),
        state=state,
        asked=3,
        answered=3 - len(silent),
        sites=outcomes,
        merged=merged,
        submitted_at=NOON,
    )


def merged_table(cells: dict[tuple[str, ...], PooledCell], **dimensions: tuple[str, ...]) -> MergedTable:
    """Return a merged table of the named dimensions."""
    return MergedTable(
        dimensions=tuple(Dimension(name=name, levels=levels) for name, levels in dimensions.items()),
        cells=tuple(MergedTableCell(levels=levels, persons=persons) for levels, persons in cells.items()),
    )


COUNT = MergedCount(
    persons=pooled(890),
    attrition=(
        MergedStep(name="entry events", persons=pooled(930)),
        MergedStep(name="stage III <b>", persons=pooled(905, withheld=1)),
        MergedStep(name="pregnant", persons=Withheld()),
    ),
)
CROSSTAB = MergedCrosstab(
    persons=pooled(300),
    table=merged_table(
        {
            ("F", "Obs"): pooled(120, withheld=1),
            ("F", "Lev"): Withheld(),
            ("F", "*"): pooled(150),
            ("M", "Obs"): pooled(80),
            ("M", "Lev"): pooled(70),
            ("M", "*"): pooled(150),
            ("*", "Obs"): pooled(200),
            ("*", "Lev"): pooled(100),
            ("*", "*"): pooled(300),
        },
        sex=("F", "M"),
        arm=("Obs", "Lev"),
    ),
)
TABLE1 = MergedTable1(
    persons=pooled(300),
    summaries=(
        MergedNumber(
            variable="age",
            unit="years",
            groups=(
                MergedNumberGroup(
                    group="*",
                    persons=pooled(300),
                    missing=Withheld(),
                    mean=Measured(value=60.25),
                    sd=Withheld(reason=WithholdReason.DOMINANCE),
                    sites=2,
                    bins=(
                        MergedBin(low=None, high=50, persons=pooled(100)),
                        MergedBin(low=50, high=70, persons=pooled(150)),
                        MergedBin(low=70, high=None, persons=pooled(50)),
                    ),
                    quantiles=(Quantile(probability=0.5, value=56.5, half_width=13.5),),
                ),
            ),
        ),
        MergedCategory(
            variable="sex",
            table=merged_table(
                {("F",): pooled(150), ("M",): Withheld(), ("*",): pooled(300)}, sex=("F", "M")
            ),
        ),
    ),
)


def curve(group: str, days: tuple[int, ...]) -> Curve:
    """Return a curve that loses a tenth at each of ``days``."""
    steps = tuple(
        CurveStep(
            day=day, survival=1 - at / 10, std_err=at / 100, at_risk=cell(100 - 10 * at if at < 2 else None)
        )
        for at, day in enumerate((0, *days))
    )
    return Curve(
        group=group,
        persons=cell(100),
        events=cell(30),
        steps=steps,
        median=Withheld(reason=WithholdReason.EDGE),
    )


KAPLAN_MEIER = MergedKaplanMeier(
    outcome="death",
    sites=tuple(
        SiteCurves(site=site, curves=(curve("Obs", (100, 300)), curve("Lev", (150, 420))))
        for site in SITES[:2]
    ),
    log_rank=StratifiedLogRank(
        groups=("Obs", "Lev"),
        observed=(30.0, 20.0),
        expected=(22.5, 27.5),
        variance=((12.0, -12.0), (-12.0, 12.0)),
        chi_square=4.6875,
        degrees_of_freedom=1,
        p=0.030381,
        sites=SITES[:2],
    ),
)
