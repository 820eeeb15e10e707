"""Sum the sites' cells and tables, and never let a withheld cell count as zero."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from atoll_hub.queries.merge_refusal import MergeRefused
from atoll_schemas.cells import Cell, Counted, Pooled, PooledCell, Withheld, WithholdReason
from atoll_schemas.results import AttritionStep, CountTable, MergedStep, MergedTable, MergedTableCell

T = TypeVar("T")


def pooled(cells: Iterable[Cell]) -> PooledCell:
    """Sum the counted cells; say how many sites counted and how many withheld."""
    counted: list[Counted] = []
    held: list[Withheld] = []
    for cell in cells:
        if isinstance(cell, Counted):
            counted.append(cell)
        else:
            held.append(cell)
    if not counted:
        return withheld_by(held)
    return Pooled(
        value=sum(cell.value for cell in counted),
        half_width=sum(cell.half_width for cell in counted),
        sites=len(counted),
        withheld=len(held),
    )


def withheld_by(held: Sequence[Withheld]) -> Withheld:
    """Return one withheld cell for many: their reason if they share it, else the one that tells least."""
    reasons = {cell.reason for cell in held}
    return Withheld(reason=reasons.pop() if len(reasons) == 1 else WithholdReason.PROTECTED)


def agreed(code: str, values: Mapping[str, T]) -> T:
    """Return the value that all sites share, or refuse and name the sites that differ from the most."""
    kept = list(values.values())
    if all(value == kept[0] for value in kept):
        return kept[0]
    raise MergeRefused(code, odd_ones_out(values))


def odd_ones_out(values: Mapping[str, T]) -> tuple[str, ...]:
    """Return the sites that do not hold the most frequent value; all of them when there is no majority."""
    kept = list(values.values())
    others = tuple(site for site, value in values.items() if kept.count(value) * 2 <= len(kept))
    return others or tuple(values)


def present_everywhere(code: str, values: Mapping[str, T | None]) -> dict[str, T]:
    """Return the values when every site has one, nothing when no site has; refuse anything between."""
    agreed(code, {site: value is None for site, value in values.items()})
    return {site: value for site, value in values.items() if value is not None}


def merged_table(tables: Mapping[str, CountTable]) -> MergedTable:
    """Sum tables cell by cell. Dimensions, levels and the list of cells must be the same at every site."""
    dimensions = agreed("merge.dimensions", {site: table.dimensions for site, table in tables.items()})
    listed = {site: {cell.levels: cell.persons for cell in table.cells} for site, table in tables.items()}
    agreed("merge.cells", {site: frozenset(cells) for site, cells in listed.items()})
    agreed("merge.cells", {site: len(table.cells) == len(listed[site]) for site, table in tables.items()})
    order = next(iter(tables.values())).cells
    return MergedTable(
        dimensions=dimensions,
        cells=tuple(
            MergedTableCell(
                levels=cell.levels, persons=pooled(cells[cell.levels] for cells in listed.values())
            )
            for cell in order
        ),
    )


def merged_steps(attrition: Mapping[str, tuple[AttritionStep, ...]]) -> tuple[MergedStep, ...]:
    """Sum attrition rule by rule; the rules must be the same, in the same order."""
    names = agreed(
        "merge.steps", {site: tuple(step.name for step in steps) for site, steps in attrition.items()}
    )
    return tuple(
        MergedStep(name=name, persons=pooled(steps[index].persons for steps in attrition.values()))
        for index, name in enumerate(names)
    )
