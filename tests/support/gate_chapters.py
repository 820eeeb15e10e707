"""Draw the tables of the chapters on the gate: what a site holds goes in, what a reader sees comes out.

``40±2`` are 38 to 42 persons, ``kept`` is a figure that stays at the hospital.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from atoll_node.disclosure import Ledger
from atoll_node.raw import (
    PersonSet,
    RawBin,
    RawCount,
    RawCrosstab,
    RawCurve,
    RawKaplanMeier,
    RawLogRank,
    RawNumber,
    RawNumberGroup,
    RawStep,
    RawTable,
    RawTable1,
)
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Cell, Counted, Figure, Measured
from atoll_schemas.query import (
    Codes,
    Count,
    Crosstab,
    Death,
    KaplanMeier,
    NumberValue,
    Outcome,
    Table1,
    Tighten,
    Variable,
)
from atoll_schemas.results import (
    ClearedResult,
    CountTable,
    Moments,
    NumberSummary,
    SiteCount,
    SiteCrosstab,
    SiteKaplanMeier,
    SiteTable1,
)
from tests.support.cleared import question
from tests.support.gate import MemoryInTests, let_out, leveled, persons_from, raw_table, shown

KEPT = "kept"
TOTAL = "*"


def rows_in(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of a table drawn with bars."""
    header, *rows = [[part.strip() for part in line.split("|")] for line in text.strip().splitlines()]
    return header, rows


def drawn(text: str) -> str:
    """Bring a drawn table into the form in which answers are drawn: one blank beside each bar."""
    header, rows = rows_in(text)
    return table_out(header, rows)


def table_out(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a table."""
    return "\n".join(" | ".join(line) for line in (header, *rows))


def cell_out(cell: Cell) -> str:
    """Write a count as a reader sees it."""
    return f"{cell.value}±{cell.half_width}" if isinstance(cell, Counted) else KEPT


def figure_out(figure: Figure) -> str:
    """Write a figure that is not a count."""
    return f"{figure.value:g}" if isinstance(figure, Measured) else KEPT


def settings_of(**changes: float) -> GateSettings:
    """Return a site's settings: the defaults but for what a chapter names."""
    return GateSettings.model_validate(changes)


def raw_of(text: str) -> tuple[list[str], RawTable]:
    """Return the dimensions' names and the raw table of ``first | … | persons`` rows."""
    header, rows = rows_in(text)
    names = header[:-1]
    counts = {tuple(row[:-1]): int(row[-1]) for row in rows}
    levels = [list(dict.fromkeys(key[place] for key in counts)) for place in range(len(names))]
    return names, raw_table(names, levels, counts)


def clear_table(text: str, *, totals: bool = False, tighten: Tighten | None = None, **changes: float) -> str:
    """Return what leaves of ``first | second | persons`` (or of a single variable); totals are ``*``."""
    names, raw = raw_of(text)
    variables = tuple(leveled(side.name, side.levels) for side in raw.dimensions)
    persons = sum(raw.persons.values())
    settings = settings_of(**changes)
    cells: CountTable | None
    if len(names) == 1:
        count = RawCount(persons, (RawStep("entry events", persons),), raw)
        payload = let_out(count, question(Count(by=variables), tighten=tighten), settings=settings).payload
        assert isinstance(payload, SiteCount)
        cells = payload.by
    else:
        query = question(Crosstab(variables=variables), tighten=tighten)
        answer = let_out(RawCrosstab(persons, raw), query, settings=settings).payload
        assert isinstance(answer, SiteCrosstab)
        cells = answer.table
    assert cells is not None
    rows = [
        [*levels, cell_out(cell)] for levels, cell in shown(cells).items() if totals or TOTAL not in levels
    ]
    return table_out([*names, "persons"], rows)


def clear_count(persons: int, *, tighten: Tighten | None = None, **changes: float) -> str:
    """Return what leaves of one count."""
    raw = RawCount(persons, (RawStep("entry events", persons),))
    payload = let_out(raw, question(Count(), tighten=tighten), settings=settings_of(**changes)).payload
    assert isinstance(payload, SiteCount)
    return cell_out(payload.persons)


def clear_counts(text: str, **changes: float) -> str:
    """Return what leaves of each count of a ``persons`` column, asked by itself."""
    _, rows = rows_in(text)
    return table_out(["persons", "shown"], [[row[0], clear_count(int(row[0]), **changes)] for row in rows])


def clear_steps(text: str, **changes: float) -> str:
    """Return what leaves of ``rule | persons``: the persons left after each inclusion rule."""
    header, rows = rows_in(text)
    steps = tuple(RawStep(name, int(persons)) for name, persons in rows)
    raw = RawCount(steps[-1].persons, steps)
    payload = let_out(raw, question(Count()), settings=settings_of(**changes)).payload
    assert isinstance(payload, SiteCount)
    return table_out(header, [[step.name, cell_out(step.persons)] for step in payload.attrition])


def numbers_in(text: str) -> list[float]:
    """Read ``40 of 1-40, 1 of 900``: so many values, evenly over a range, or all the same."""
    found: list[float] = []
    for part in text.split(","):
        if not part.strip():
            continue
        count, _, over = part.strip().partition(" of ")
        low, _, high = over.partition("-")
        found += [float(value) for value in np.linspace(float(low), float(high or low), int(count))]
    return found


def number_group(
    name: str, values: Sequence[float], missing: int, edges: Sequence[float] = ()
) -> RawNumberGroup:
    """Return what an engine says of one group's numbers."""
    sizes = sorted((abs(value) for value in values), reverse=True)
    mean = math.fsum(values) / len(values) if values else 0.0
    bounds = [None, *edges, None] if edges else []
    bins = tuple(
        RawBin(low, high, sum((low is None or v >= low) and (high is None or v < high) for v in values))
        for low, high in itertools.pairwise(bounds)
    )
    return RawNumberGroup(
        group=name,
        persons=len(values) + missing,
        n=len(values),
        mean=mean,
        m2=math.fsum((value - mean) ** 2 for value in values),
        absolute_sum=math.fsum(sizes),
        largest=tuple(sizes[:2]),
        bins=bins,
    )


def number_query(groups: Sequence[str], edges: Sequence[float] = ()) -> Table1:
    """Return the question for one number, by these groups if there are any."""
    definition = NumberValue(domain="measurement", codes=Codes(concept_ids=(1,)))
    variable = Variable(name="size", definition=definition, edges=tuple(edges))
    return Table1(variables=(variable,), by=leveled("arm", groups) if groups else None)


def clear_number(
    parts: Mapping[str, tuple[Sequence[float], int]], edges: Sequence[float] = (), **changes: float
) -> NumberSummary:
    """Return what leaves of one number in these groups, each with its values and how many lack one."""
    everybody = number_group(
        TOTAL,
        [value for values, _ in parts.values() for value in values],
        sum(missing for _, missing in parts.values()),
        edges,
    )
    groups = [
        number_group(name, values, missing, edges)
        for name, (values, missing) in parts.items()
        if name != TOTAL
    ]
    table = None
    if groups:
        persons = {(group.group,): group.persons for group in groups}
        table = raw_table(["arm"], [[group.group for group in groups]], persons)
    raw = RawTable1(everybody.persons, table, (RawNumber("size", None, (everybody, *groups)),))
    query = question(number_query([group.group for group in groups], edges))
    payload = let_out(raw, query, settings=settings_of(**changes)).payload
    assert isinstance(payload, SiteTable1)
    summary = payload.summaries[0]
    assert isinstance(summary, NumberSummary)
    return summary


def clear_means(text: str, **changes: float) -> str:
    """Return persons, missing and mean of ``arm | missing | values`` rows; the first line is everybody."""
    _, rows = rows_in(text)
    parts = {name: (numbers_in(values), int(missing)) for name, missing, values in rows}
    lines = []
    for group in clear_number(parts, **changes).groups:
        moments = group.moments
        mean = f"{moments.mean:g}" if isinstance(moments, Moments) else f"{KEPT}: {moments.reason}"
        lines.append([group.group, cell_out(group.persons), cell_out(group.missing), mean])
    return table_out(["arm", "persons", "missing", "mean"], lines)


def clear_bins(text: str, *, missing: int = 30, **changes: float) -> str:
    """Return the bins that leave of ``from | to | persons`` rows; a blank end is open.

    ``missing`` further persons have no number.
    """
    header, rows = rows_in(text)
    ends = [(float(low) if low else None, float(high) if high else None) for low, high, _ in rows]
    edges = [low for low, _ in ends if low is not None]
    values = [
        (low + 0.5 + place / 1000 if low is not None else edges[0] - 1 - place / 1000)
        for (low, _), row in zip(ends, rows, strict=True)
        for place in range(int(row[2]))
    ]
    (group,) = clear_number({TOTAL: (values, missing)}, edges, **changes).groups
    lines = [[end_out(part.low), end_out(part.high), cell_out(part.persons)] for part in group.bins]
    return table_out(header, lines)


def end_out(end: float | None) -> str:
    """Write an end of a bin; an open one is blank."""
    return "" if end is None else f"{end:g}"


def curve_of(group: str, persons: int, rows: Sequence[tuple[int, int, int]]) -> RawCurve:
    """Return a life table of ``(day, died, censored)`` rows; who is left stays to the end."""
    at_risk, left = [], persons
    for _, died, censored in rows:
        at_risk.append(left)
        left -= died + censored
    return RawCurve(
        group=group,
        persons=persons,
        events=sum(died for _, died, _ in rows),
        days=tuple(day for day, _, _ in rows),
        at_risk=tuple(at_risk),
        events_at=tuple(died for _, died, _ in rows),
        censored_at=tuple(censored for _, _, censored in rows),
    )


def clear_curves(
    curves: Sequence[RawCurve],
    *,
    test: RawLogRank | None = None,
    levels: Sequence[str] = (),
    **changes: float,
) -> SiteKaplanMeier:
    """Return what leaves of curves; one that is called ``*`` has no groups beside it."""
    by = None if [curve.group for curve in curves] == [TOTAL] else leveled("arm", levels)
    died = Outcome(name="death", definition=Death())
    members = persons_from(1, sum(curve.persons for curve in curves))
    raw = RawKaplanMeier("death", tuple(curves), test, tuple(levels))
    query = question(KaplanMeier(outcome=died, by=by))
    payload = let_out(raw, query, members=members, settings=settings_of(**changes)).payload
    assert isinstance(payload, SiteKaplanMeier)
    return payload


def clear_curve(persons: int, text: str, **changes: float) -> str:
    """Return the steps that leave of ``day | died | censored`` rows, with survival and numbers at risk."""
    _, rows = rows_in(text)
    days = [(int(day), int(died), int(censored)) for day, died, censored in rows]
    (curve,) = clear_curves([curve_of(TOTAL, persons, days)], **changes).curves
    lines = [[str(step.day), f"{step.survival:g}", cell_out(step.at_risk)] for step in curve.steps]
    return table_out(["day", "survival", "at risk"], lines)


def persons_in(text: str) -> PersonSet:
    """Read ``1-100, 205``: the persons of these numbers, both ends included."""
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        found |= set(range(int(low), int(high or low) + 1))
    return np.array(sorted(found), dtype=np.int64)


def ask_in_turn(text: str, **changes: float) -> str:
    """Return what a project sees that asks these cohorts one after another (column ``cohort``)."""
    _, rows = rows_in(text)
    ledger = Ledger(MemoryInTests())
    lines = []
    for (cohort,) in rows:
        members = persons_in(cohort)
        raw = RawCount(len(members), (RawStep("entry events", len(members)),))
        result = let_out(
            raw, question(Count()), members=members, ledger=ledger, settings=settings_of(**changes)
        )
        lines.append([cohort, cell_out(count_of(result))])
    return table_out(["cohort", "shown"], lines)


def count_of(result: ClearedResult) -> Cell:
    """Return the persons of a cleared count."""
    assert isinstance(result.payload, SiteCount)
    return result.payload.persons
