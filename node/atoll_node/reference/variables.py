"""Give each person of a cohort the number or the level of a variable at the index date."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from atoll_node.reference.rows import Cdm, Row, day, integer, number, text
from atoll_schemas.canonical import canonical_json
from atoll_schemas.query import (
    MISSING,
    OTHER,
    CategoryValue,
    Codes,
    Demographic,
    Level,
    NumberValue,
    Presence,
    TrialArm,
    Variable,
    Window,
)
from atoll_schemas.tables import DOMAINS, DomainName, DomainTable

CONCEPT_LABELS: Mapping[str, Mapping[int, str]] = {
    "sex": {8532: "female", 8507: "male"},
    "race": {
        8657: "american indian or alaska native",
        8515: "asian",
        8516: "black or african american",
        8557: "native hawaiian or other pacific islander",
        8527: "white",
    },
    "ethnicity": {38003563: "hispanic or latino", 38003564: "not hispanic or latino"},
}
_CONCEPT_FIELDS = {
    "sex": "gender_concept_id",
    "race": "race_concept_id",
    "ethnicity": "ethnicity_concept_id",
}


@dataclass(frozen=True)
class Member:
    """A person of the cohort with the earliest day in it."""

    person_id: int
    index: date


def levels_of(variable: Variable) -> tuple[str, ...]:
    """Return every level that the variable can have, in order."""
    definition = variable.definition
    if isinstance(definition, Presence):
        return ("yes", "no")
    if isinstance(definition, (CategoryValue, TrialArm)):
        declared = [level.label for level in definition.levels]
    elif variable.numeric:
        declared = [_bin_label(low, high) for low, high in bins_of(variable)]
    elif isinstance(definition, Demographic):
        declared = list(CONCEPT_LABELS[definition.field].values())
    return (*declared, OTHER, MISSING)


def bins_of(variable: Variable) -> list[tuple[float | None, float | None]]:
    """Return the bins [low, high) that the edges make, with the two open ones; none without edges."""
    if not variable.edges:
        return []
    ends: list[float | None] = [None, *variable.edges, None]
    return list(itertools.pairwise(ends))


def _bin_label(low: float | None, high: float | None) -> str:
    if low is None:
        return f"< {_shown(high)}"
    return f">= {_shown(low)}" if high is None else f"[{_shown(low)}, {_shown(high)})"


def _shown(edge: float | None) -> str:
    return canonical_json(edge).decode()


def within(value: float, low: float | None, high: float | None) -> bool:
    """Whether a number lies in [low, high)."""
    return (low is None or value >= low) and (high is None or value < high)


def number_of(cdm: Cdm, variable: Variable, member: Member) -> float | None:
    """Return the person's number, or ``None``."""
    definition = variable.definition
    if isinstance(definition, Demographic):
        person = cdm.person(member.person_id)
        found: Mapping[str, Callable[[], int | None]] = {
            "age": lambda: _age_at(person, member.index),
            "birth_year": lambda: integer(person, "year_of_birth"),
            "index_year": lambda: member.index.year,
        }
        value = found[definition.field]()
        return None if value is None else float(value)
    if not isinstance(definition, NumberValue):
        raise TypeError("the variable has no number")
    record = _record(cdm, definition, member)
    value_field = DOMAINS[definition.domain].value_number
    amount = None if record is None else number(record, value_field)
    return amount if amount is not None and math.isfinite(amount) else None


def _age_at(person: Row, moment: date) -> int | None:
    """Return the year of the date less the year of birth."""
    born = integer(person, "year_of_birth")
    return None if born is None else moment.year - born


def level_of(cdm: Cdm, variable: Variable, member: Member) -> str:
    """Return the person's level."""
    definition = variable.definition
    if isinstance(definition, Presence):
        records = _records(cdm, definition.domain, definition.codes, definition.window, member)
        return "yes" if records else "no"
    if isinstance(definition, CategoryValue):
        return _coded_level(cdm, definition, member)
    if isinstance(definition, TrialArm):
        return _arm(cdm, definition, member)
    if variable.numeric:
        return _bin(variable, number_of(cdm, variable, member))
    return _person_level(cdm.person(member.person_id), definition)


def _bin(variable: Variable, value: float | None) -> str:
    if value is None:
        return MISSING
    return next(_bin_label(low, high) for low, high in bins_of(variable) if within(value, low, high))


def _person_level(person: Row, definition: Demographic | NumberValue) -> str:
    """No concept, or concept 0 (no matching concept), is missing; an unlisted concept is other."""
    if not isinstance(definition, Demographic):
        raise TypeError("the variable is no fact of the person")
    concept = integer(person, _CONCEPT_FIELDS[definition.field]) or 0
    return MISSING if concept == 0 else CONCEPT_LABELS[definition.field].get(concept, OTHER)


def _coded_level(cdm: Cdm, definition: CategoryValue, member: Member) -> str:
    """A record with neither source value nor concept (or with concept 0) has no value."""
    record = _record(cdm, definition, member)
    if record is None:
        return MISSING
    domain = DOMAINS[definition.domain]
    concept, source = integer(record, domain.value_concept), text(record, domain.value_source)
    values = {source, None if concept is None else str(concept)}
    found = _first_level(definition.levels, values)
    if found is not None:
        return found
    return MISSING if source is None and not concept else OTHER


def _arm(cdm: Cdm, definition: TrialArm, member: Member) -> str:
    """The arm of the participation with the lowest key."""
    taken = [
        row
        for row in cdm.rows_of("trial_subject", member.person_id)
        if text(row, "trial_code") == definition.trial
    ]
    if not taken:
        return MISSING
    arm = text(min(taken, key=lambda row: integer(row, "trial_subject_id") or 0), "arm_code")
    return MISSING if arm is None else _first_level(definition.levels, {arm}) or OTHER


def _first_level(levels: Sequence[Level], values: set[str | None]) -> str | None:
    return next((level.label for level in levels if values & set(level.values)), None)


def _record(cdm: Cdm, definition: NumberValue | CategoryValue, member: Member) -> Row | None:
    """The first or latest record in the window; of one day, the lowest or the highest key."""
    found = _records(cdm, definition.domain, definition.codes, definition.window, member)
    domain = DOMAINS[definition.domain]

    def order(row: Row) -> tuple[date, int]:
        return day(row, domain.start_date) or date.min, integer(row, domain.key) or 0

    if not found:
        return None
    return min(found, key=order) if definition.take == "first" else max(found, key=order)


def _records(cdm: Cdm, name: DomainName, codes: Codes, window: Window, member: Member) -> list[Row]:
    domain = DOMAINS[name]
    return [
        row
        for row in cdm.rows_of(domain.table, member.person_id)
        if is_of(cdm, row, domain, codes) and _in_window(day(row, domain.start_date), window, member.index)
    ]


def is_of(cdm: Cdm, row: Row, domain: DomainTable, codes: Codes) -> bool:
    """Whether a record is of the codes: by its concept, or by its source value."""
    wanted = cdm.with_descendants(codes.concept_ids) if codes.descendants else set(codes.concept_ids)
    return integer(row, domain.concept) in wanted or text(row, domain.source_value) in {
        code.code for code in codes.source_codes
    }


def _in_window(moment: date | None, window: Window, index: date) -> bool:
    if moment is None:
        return False
    early = window.start is not None and moment < index + timedelta(days=window.start)
    late = window.end is not None and moment > index + timedelta(days=window.end)
    return not early and not late
