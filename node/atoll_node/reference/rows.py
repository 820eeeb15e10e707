"""Hold the tables as rows, and answer the few questions that every step asks of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

Row = Mapping[str, object]
Tables = Mapping[str, Sequence[Row]]


def day(row: Row, field: str | None) -> date | None:
    """Return a date field's value, or ``None``."""
    value = row.get(field) if field else None
    return value if isinstance(value, date) else None


def integer(row: Row, field: str | None) -> int | None:
    """Return an integer field's value, or ``None``."""
    value = row.get(field) if field else None
    return value if isinstance(value, int) else None


def number(row: Row, field: str | None) -> float | None:
    """Return a number field's value, or ``None``."""
    value = row.get(field) if field else None
    return float(value) if isinstance(value, (int, float)) else None


def text(row: Row, field: str | None) -> str | None:
    """Return a text field's value, or ``None``."""
    value = row.get(field) if field else None
    return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Cdm:
    """A site's ``core@1`` tables. A table that the site lacks has no rows."""

    tables: Tables

    def rows(self, table: str) -> Sequence[Row]:
        """Return every row of a table."""
        return self.tables.get(table, ())

    def rows_of(self, table: str, person_id: int) -> Sequence[Row]:
        """Return the person's rows of a table."""
        return self._by_person.get((table, person_id), ())

    @cached_property
    def _by_person(self) -> dict[tuple[str, int], list[Row]]:
        found: dict[tuple[str, int], list[Row]] = {}
        for table, rows in self.tables.items():
            for row in rows:
                person_id = integer(row, "person_id")
                if person_id is not None:
                    found.setdefault((table, person_id), []).append(row)
        return found

    def person(self, person_id: int) -> Row:
        """Return the row of ``person``; an empty one when there is none."""
        return next(iter(self.rows_of("person", person_id)), {})

    def with_descendants(self, concept_ids: Iterable[int]) -> set[int]:
        """Return the concepts and their valid descendants."""
        parents = set(concept_ids)
        invalid = {integer(row, "concept_id") for row in self.rows("concept") if text(row, "invalid_reason")}
        found = {
            child
            for row in self.rows("concept_ancestor")
            if integer(row, "ancestor_concept_id") in parents
            and (child := integer(row, "descendant_concept_id")) is not None
        }
        return parents | (found - invalid)
