"""Judge a release: pure checks over counted faults. An entry says passed or not, never how many.

The checks follow the kinds of the OHDSI Data Quality Dashboard: completeness, conformance, plausibility.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from atoll_schemas.catalog import QualityEntry
from atoll_schemas.tables import DOMAIN_OF_TABLE, DOMAINS, Content, Field, Table

Applies = Callable[[Table, frozenset[str]], bool]


@dataclass(frozen=True)
class Check:
    """One question that is asked of every table to which it applies; a fault is a row that fails it."""

    name: str
    description: str
    severity: Literal["info", "warning", "blocker"]
    applies: Applies


def always_filled(table: Table) -> tuple[Field, ...]:
    """Return the required fields that de-identification never empties."""
    return tuple(field for field in table.fields if field.required and _stays(table, field))


def _stays(table: Table, field: Field) -> bool:
    if field.content is Content.DATE:
        return table.person_scoped
    if field.content is Content.BIRTH:
        return field.name == "year_of_birth"
    return field.content not in (Content.DIRECT_IDENTIFIER, Content.FREE_TEXT)


def has_period(table: Table) -> bool:
    """Whether the table's rows are events that have an end after their start."""
    return table.name in DOMAIN_OF_TABLE and DOMAINS[DOMAIN_OF_TABLE[table.name]].end_date is not None


def _names_person(table: Table, present: frozenset[str]) -> bool:
    return table.person_scoped and table.name != "person" and "person" in present


def _is_observed(table: Table, present: frozenset[str]) -> bool:
    timeless = {"observation_period", "person", "death"}
    return table.name in DOMAIN_OF_TABLE and table.name not in timeless and "observation_period" in present


CHECKS: tuple[Check, ...] = (
    Check(
        "unique_keys",
        "No two rows of a table have the same primary key.",
        "blocker",
        lambda table, _: bool(table.primary_key),
    ),
    Check(
        "required_fields",
        "Fields that the standard requires are filled.",
        "warning",
        lambda table, _: bool(always_filled(table)),
    ),
    Check("known_persons", "Every row's person stands in the person table.", "warning", _names_person),
    Check(
        "observed_persons",
        "Every person has an observation period.",
        "warning",
        lambda table, present: table.name == "person" and "observation_period" in present,
    ),
    Check(
        "inside_observation",
        "Every event starts inside an observation period of its person.",
        "info",
        _is_observed,
    ),
    Check(
        "ends_after_start", "No event ends before it starts.", "warning", lambda table, _: has_period(table)
    ),
    Check(
        "plausible_birth",
        "Birth years lie between 1850 and the year of the release.",
        "warning",
        lambda table, _: table.name == "person",
    ),
)


def judged(faults: Mapping[tuple[str, str], int]) -> tuple[QualityEntry, ...]:
    """Return one entry per check that was asked; ``faults`` counts them by check and table."""
    return tuple(
        _entry(check, {table: count for (name, table), count in faults.items() if name == check.name})
        for check in CHECKS
        if any(name == check.name for name, _ in faults)
    )


def _entry(check: Check, faults: Mapping[str, int]) -> QualityEntry:
    failing = sorted(table for table, count in faults.items() if count)
    where = f" Not so in: {', '.join(failing)}." if failing else ""
    return QualityEntry(
        check=check.name,
        description=check.description + where,
        passed=not failing,
        severity=check.severity,
    )


def blockers(entries: Iterable[QualityEntry]) -> tuple[QualityEntry, ...]:
    """Return the failed checks that forbid a release."""
    return tuple(entry for entry in entries if not entry.passed and entry.severity == "blocker")
