"""The gate's rules, one by one: each takes what was decided so far and withholds more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from atoll_node.disclosure.attrition import step_key, too_close
from atoll_node.disclosure.earlier import Standing
from atoll_node.disclosure.layout import group_dimension, group_key
from atoll_node.disclosure.numbers import held_moments
from atoll_node.disclosure.protection import Unprotectable, protect
from atoll_node.disclosure.sheet import BOOKKEEPING, COHORT, Held, Key, Line, Sheet
from atoll_node.raw import RawAggregate, RawCount, RawCurve, RawKaplanMeier, RawNumber, RawTable1
from atoll_node.settings import GateSettings
from atoll_schemas.cells import WithholdReason
from atoll_schemas.query import Query


@dataclass(frozen=True, repr=False)
class Case:
    """What a rule judges: the raw aggregate, its counts, the question, the settings in force."""

    raw: RawAggregate
    sheet: Sheet
    query: Query
    settings: GateSettings
    too_near: bool
    """The ledger holds a cohort that differs by a few persons."""
    standing: Standing = field(default_factory=Standing)
    """What earlier answers mean for the figures."""

    def __repr__(self) -> str:
        return "<Case: raw, not shown>"


@dataclass(frozen=True)
class Rule:
    """One step of the gate."""

    name: str
    says: str
    """What it does, in the words of the settings page."""
    apply: Callable[[Case, Held], Held]


def whole_cohort(case: Case, held: Held) -> Held:
    """Withhold every figure of a cohort below the minimum, or one the ledger cannot let pass."""
    small = case.sheet.figures[COHORT] < case.settings.minimum_persons
    if not (small or case.too_near):
        return held
    return replace(held.holding(case.sheet.figures), everything=True)


def minimum_persons(case: Case, held: Held) -> Held:
    """Withhold counts below the minimum; zero is one of them."""
    least = case.settings.minimum_persons
    return held.holding(key for key, persons in case.sheet.figures.items() if persons < least)


def attrition(case: Case, held: Held) -> Held:
    """Withhold steps that differ by less than the minimum from a shown one."""
    if held.everything or not isinstance(case.raw.analysis, RawCount):
        return held
    persons = [step.persons for step in case.raw.analysis.attrition]
    hidden = too_close(persons, case.settings.minimum_persons)
    return held.holding(step_key(place, len(persons)) for place in hidden)


def earlier_answers(case: Case, held: Held) -> Held:
    """Withhold counts near an earlier one, and take those as known that were shown before."""
    if held.everything:
        return held
    held = held.holding(case.standing.held)
    known = {key: base for key, base in case.standing.fixed.items() if key not in held.counts}
    bases = {key: max(base, case.settings.round_to) for key, base in known.items()}
    return replace(held, bases={**held.bases, **bases}, fixed=frozenset(known))


def margins(case: Case, held: Held) -> Held:
    """Protect each one-way table by itself, so that it looks the same in every answer on the cohort."""
    if held.everything:
        return held
    for keys in case.sheet.margins.values():
        held = _protected(case, held, [Line(COHORT, keys)], set(keys))
    return held


def tables(case: Case, held: Held) -> Held:
    """Protect all tables of the answer together, with their shared margins as they are by now."""
    if held.everything:
        return held
    fixed = {COHORT, *(key for keys in case.sheet.margins.values() for key in keys)}
    return _protected(case, held, case.sheet.lines, case.sheet.figures.keys() - fixed)


def _protected(case: Case, held: Held, lines: Sequence[Line], free: set[Key]) -> Held:
    """Protect what is withheld; where what is known from earlier answers forbids it, everything stays."""
    if held.everything:
        return held
    try:
        return protect(case.sheet, held, lines, free - held.fixed, case.settings)
    except Unprotectable:
        if not held.fixed:
            raise
        return replace(held.holding(case.sheet.figures), everything=True)


def moments(case: Case, held: Held) -> Held:
    """Withhold sums of too few or dominated persons, and those from which such a sum can be subtracted."""
    if not isinstance(case.raw.analysis, RawTable1):
        return held
    by, found = group_dimension(case.query), dict(held.moments)
    for number in case.raw.analysis.summaries:
        if isinstance(number, RawNumber):
            groups = (group.group for group in number.groups)
            hidden = frozenset(group for group in groups if group_key(by, group) in held.counts)
            near, known = case.standing.moments_held, case.standing.moments_shown
            reasons = held_moments(
                number,
                hidden | {group for variable, group in near if variable == number.variable},
                case.settings,
                frozenset(group for variable, group in known if variable == number.variable),
            )
            found |= {(number.variable, group): reason for group, reason in reasons.items()}
    return replace(held, moments=found)


def events(case: Case, held: Held) -> Held:
    """Withhold curves with too few events, and a log-rank test unless every group has enough."""
    if not isinstance(case.raw.analysis, RawKaplanMeier):
        return held
    by = group_dimension(case.query)
    curves = case.raw.analysis.curves
    few = frozenset(curve.group for curve in curves if _too_few(curve, case.settings))
    few |= case.standing.curves_held
    hidden = {curve.group for curve in curves if group_key(by, curve.group) in held.counts}
    present = {group_key(by, curve.group) for curve in curves}
    absent = [key for key in case.sheet.margins.get(by, ()) if key not in present]
    lacking = any(key[0][1] not in BOOKKEEPING for key in absent)
    whole = not (held.everything or few or hidden or lacking or case.raw.analysis.log_rank is None)
    return replace(held, curves=few | hidden, log_rank=None if whole else WithholdReason.TOO_FEW_EVENTS)


def _too_few(curve: RawCurve, settings: GateSettings) -> bool:
    return curve.events < max(settings.minimum_events, settings.minimum_persons)


RULES = (
    Rule("whole_cohort", "a cohort below the minimum of persons, or too near an earlier one", whole_cohort),
    Rule("minimum_persons", "counts below the minimum of persons; 0 looks the same", minimum_persons),
    Rule("attrition", "steps that differ from a shown one by less than the minimum", attrition),
    Rule("earlier_answers", "counts that differ from an earlier figure by a few persons", earlier_answers),
    Rule("margins", "one-way counts that would give a withheld one away", margins),
    Rule("tables", "inner counts that would give a withheld one away", tables),
    Rule("moments", "sums of few or dominated persons, and those that lead to one", moments),
    Rule("events", "curves and tests with too few events", events),
)
