"""Decide which sums over a number may leave, and merge bins until each holds enough persons.

Moments leave exactly, since a federated mean equals the pooled one only so; docs/explanation/disclosure.md
says what that costs and which differences are therefore held back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from atoll_node.disclosure.sheet import BOOKKEEPING
from atoll_node.raw import RawBin, RawNumber, RawNumberGroup
from atoll_node.settings import GateSettings
from atoll_schemas.cells import WithholdReason
from atoll_schemas.query import TOTAL


def held_moments(
    number: RawNumber,
    hidden_groups: frozenset[str],
    settings: GateSettings,
    known: frozenset[str] = frozenset(),
) -> dict[str, WithholdReason]:
    """Return the groups whose moments stay, with the reason.

    ``hidden_groups`` have a withheld count or are near an earlier answer's; ``known`` ones were shown before.
    """
    held = {
        group.group: reason
        for group in number.groups
        if (reason := _own_reason(group, group.group in hidden_groups, settings)) is not None
    }
    if TOTAL in held and TOTAL not in known:
        return held
    parts = sorted(
        (group for group in number.groups if group.group not in known | {TOTAL}), key=lambda part: part.n
    )
    for next_one in [part for part in parts if part.group not in held]:
        if _may_be_subtracted([part for part in parts if part.group in held], settings):
            return held
        held[next_one.group] = WithholdReason.PROTECTED
    if not _may_be_subtracted([part for part in parts if part.group in held], settings):
        held[TOTAL] = WithholdReason.PROTECTED
    return held


def _own_reason(group: RawNumberGroup, hidden: bool, settings: GateSettings) -> WithholdReason | None:
    missing = group.persons - group.n
    if hidden or group.n < settings.minimum_persons or 0 < missing < settings.minimum_persons:
        return WithholdReason.PROTECTED
    if group.m2 <= 0 or dominated(group.absolute_sum, group.largest, settings):
        return WithholdReason.DOMINANCE
    return None


def dominated(absolute_sum: float, largest: Sequence[float], settings: GateSettings) -> bool:
    """Whether one or two persons carry a sum: NK(2, share), or the p-ratio of the rest to the largest.

    Source: Hundepool et al., Statistical Disclosure Control (2012), section 4.2.2.
    """
    first, second = (*largest, 0.0, 0.0)[:2]
    rest = absolute_sum - first - second
    return first + second > settings.dominance_share * absolute_sum or rest < settings.p_ratio * first


def _may_be_subtracted(rest: Sequence[RawNumberGroup], settings: GateSettings) -> bool:
    """Whether what is left when the shown groups are taken from everybody is itself fit to be shown."""
    if all(group.persons == 0 and group.group in BOOKKEEPING for group in rest):
        return True
    return _own_reason(_union(rest), False, settings) is None


def _union(groups: Sequence[RawNumberGroup]) -> RawNumberGroup:
    """Put groups together (Chan, Golub and LeVeque 1979)."""
    n = sum(group.n for group in groups)
    mean = sum(group.n * group.mean for group in groups) / n if n else 0.0
    return RawNumberGroup(
        group=TOTAL,
        persons=sum(group.persons for group in groups),
        n=n,
        mean=mean,
        m2=sum(group.m2 + group.n * (group.mean - mean) ** 2 for group in groups),
        absolute_sum=sum(group.absolute_sum for group in groups),
        largest=tuple(sorted((value for group in groups for value in group.largest), reverse=True)[:2]),
    )


@dataclass(frozen=True)
class Span:
    """A run of declared bins that are shown as one."""

    low: float | None
    high: float | None
    first: int
    last: int

    def persons(self, bins: Sequence[RawBin]) -> int:
        """Return the persons of one group in the run."""
        return sum(part.persons for part in bins[self.first : self.last + 1])


def binned_groups(number: RawNumber, minimum: int) -> tuple[str, ...]:
    """Return the groups whose bins can be shown beside those of everybody.

    When the others together are a few persons, everybody's bins stand alone: a subtraction would show them.
    """
    if not number.groups or not number.groups[0].bins or number.groups[0].n < minimum:
        return ()
    parts = [group for group in number.groups[1:] if group.n >= minimum]
    rest = number.groups[0].n - sum(group.n for group in parts)
    return (TOTAL, *(group.group for group in parts)) if rest == 0 or rest >= minimum else (TOTAL,)


def spans(number: RawNumber, minimum: int) -> tuple[Span, ...]:
    """Merge adjacent declared bins until each holds the minimum of persons in every group that shows bins.

    The groups without bins are taken together as one more group, so that no difference is small either.
    """
    groups = binned_groups(number, minimum)
    if not groups:
        return ()
    everybody = number.groups[0].bins
    shown = [[part.persons for part in group.bins] for group in number.groups if group.group in groups]
    rest = [
        2 * part.persons - sum(column)
        for part, column in zip(everybody, zip(*shown, strict=True), strict=True)
    ]
    columns = [*shown, rest] if len(shown) > 1 and sum(rest) else shown
    cuts = _cuts(columns, minimum)
    return tuple(
        Span(everybody[first].low, everybody[last].high, first, last)
        for first, last in zip([0, *(cut + 1 for cut in cuts[:-1])], cuts, strict=True)
    )


def _cuts(columns: Sequence[Sequence[int]], minimum: int) -> list[int]:
    """Return the last bin of each run; what is left over joins the run before it."""
    cuts: list[int] = []
    running = [0] * len(columns)
    for place in range(len(columns[0])):
        running = [so_far + column[place] for so_far, column in zip(running, columns, strict=True)]
        if min(running) >= minimum:
            cuts.append(place)
            running = [0] * len(columns)
    return [*cuts[:-1], len(columns[0]) - 1]
