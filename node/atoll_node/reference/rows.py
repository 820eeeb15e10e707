"""Hold the tables as rows, and answer the few questions that every step asks of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

Row = Mapping[str, object]
Tables = Mapping[str, Sequence[Row]]


def day(row: Row, field: str | None) -> date | None:
    """Return a date field's value, or ``None``; of a moment, its day."""
    value = row.get(field) if field else None
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else None


def integer(row: Row, field: str | None) -> int | None:
    """Return an integer field's value, or ``None``."""
    value = row.get(field) if field else None
    return value if isinstance(value, int) else None


def number(row: Row, field: str | None) -> float | None:
    """Return a number field's value, or ``None``."""
    value = row.get(field) if field else None
    return float(value) if isinstance(value, (int, float, Decimal)) else None


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

    def row(self, table: str, key: str, value: int | None) -> Row | None:
        """Return the row of a shared table that has this key; ``None`` when there is none."""
        return None if value is None else self._by_key(table, key).get(value)

    def person(self, person_id: int) -> Row:
        """Return the row of ``person``; an empty one when there is none."""
        return next(iter(self.rows_of("person", person_id)), {})

    def with_descendants(self, concept_ids: Iterable[int]) -> set[int]:
        """Return the concepts and their valid descendants (circe-be's ``conceptSetDescendants``)."""
        parents = set(concept_ids)
        found = {child for parent in parents for child in self._children.get(parent, ())}
        return parents | (found - self._invalid)

    def mapped_to(self, concept_ids: Iterable[int]) -> set[int]:
        """Return the concepts with a valid ``Maps to`` one of these (circe-be's ``conceptSetMapped``)."""
        standard = set(concept_ids)
        return {source for source, target in self._maps if target in standard}

    @cached_property
    def _by_person(self) -> dict[tuple[str, int], list[Row]]:
        found: dict[tuple[str, int], list[Row]] = {}
        for table, rows in self.tables.items():
            for row in rows:
                person_id = integer(row, "person_id")
                if person_id is not None:
                    found.setdefault((table, person_id), []).append(row)
        return found

    @cached_property
    def _keyed(self) -> dict[tuple[str, str], dict[int, Row]]:
        return {}

    def _by_key(self, table: str, key: str) -> dict[int, Row]:
        if (table, key) not in self._keyed:
            rows = {value: row for row in self.rows(table) if (value := integer(row, key)) is not None}
            self._keyed[(table, key)] = rows
        return self._keyed[(table, key)]

    @cached_property
    def _children(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for row in self.rows("concept_ancestor"):
            parent = integer(row, "ancestor_concept_id")
            child = integer(row, "descendant_concept_id")
            if parent is not None and child is not None:
                found.setdefault(parent, set()).add(child)
        return found

    @cached_property
    def _invalid(self) -> set[int | None]:
        return {integer(row, "concept_id") for row in self.rows("concept") if text(row, "invalid_reason")}

    @cached_property
    def _maps(self) -> set[tuple[int, int]]:
        return {
            (source, target)
            for row in self.rows("concept_relationship")
            if text(row, "relationship_id") == "Maps to"
            and not text(row, "invalid_reason")
            and (source := integer(row, "concept_id_1")) is not None
            and (target := integer(row, "concept_id_2")) is not None
        }
