"""Keep the figures of successive catalogs from being subtracted: one moves only by the minimum of persons.

A new release with one more person would round some counts up and others not, and so tell of that person.
A figure that differs by fewer persons than the minimum from the one described last stays as it was then.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from atoll_node.catalog.profile import ConceptProfile, FieldProfile, Profile, TableProfile, YearProfile
from atoll_node.state import State

Figures = Mapping[str, int]


class _Stays(Protocol):
    def __call__(self, name: str, now: int) -> int:
        """Return the figure as it may be described."""


def settled(profile: Profile, before: Figures, minimum: int) -> Profile:
    """Return the profile with each figure as it was ``before`` unless it moved by the minimum.

    Nothing before means that this is the first description. A figure that was not there was 0.
    """
    if not before:
        return profile

    def stays(name: str, now: int) -> int:
        earlier = before.get(_mark(name), 0)
        return earlier if abs(now - earlier) < minimum else now

    return replace(
        profile,
        persons=stays("persons", profile.persons),
        tables=tuple(_table(table, stays) for table in profile.tables),
        years=tuple(_year(year, stays) for year in profile.years),
        concepts=tuple(_concept(concept, stays) for concept in profile.concepts),
    )


def figures_of(profile: Profile) -> dict[str, int]:
    """Return every figure by a mark of its name, to be kept at the node; no code is readable there."""
    return {_mark(name): figure for name, figure in _named(profile)}


def _mark(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def _table(table: TableProfile, stays: _Stays) -> TableProfile:
    fields = tuple(
        replace(field, filled=stays(_field_name(table, field), field.filled)) for field in table.fields
    )
    persons, rows = _pair(_table_name(table), table.persons, table.rows, stays)
    return replace(table, persons=persons, rows=rows, fields=fields)


def _year(year: YearProfile, stays: _Stays) -> YearProfile:
    persons, rows = _pair(_year_name(year), year.persons, year.rows, stays)
    return replace(year, persons=persons, rows=rows)


def _concept(concept: ConceptProfile, stays: _Stays) -> ConceptProfile:
    persons, rows = _pair(_concept_name(concept), concept.persons, concept.rows, stays)
    return replace(concept, persons=persons, rows=rows)


def _pair(name: str, persons: int, rows: int, stays: _Stays) -> tuple[int, int]:
    """No person is without a row."""
    kept = stays(f"{name} persons", persons)
    return kept, max(kept, stays(f"{name} rows", rows))


def _named(profile: Profile) -> Iterator[tuple[str, int]]:
    yield "persons", profile.persons
    for table in profile.tables:
        yield f"{_table_name(table)} persons", table.persons
        yield f"{_table_name(table)} rows", table.rows
        yield from ((_field_name(table, field), field.filled) for field in table.fields)
    for year in profile.years:
        yield f"{_year_name(year)} persons", year.persons
        yield f"{_year_name(year)} rows", year.rows
    for concept in profile.concepts:
        yield f"{_concept_name(concept)} persons", concept.persons
        yield f"{_concept_name(concept)} rows", concept.rows


def _table_name(table: TableProfile) -> str:
    return f"table {table.name}"


def _field_name(table: TableProfile, field: FieldProfile) -> str:
    return f"field {table.name}.{field.name}"


def _year_name(year: YearProfile) -> str:
    return f"year {year.table} {year.year}"


def _concept_name(concept: ConceptProfile) -> str:
    return f"concept {concept.table}.{concept.partition} {concept.concept_id} {concept.code or ''}"


class Described:
    """Keeps the figures that a dataset's last catalog entry was made from; they never leave."""

    def __init__(self, state: State) -> None:
        self._state = state
        state.create(
            "CREATE TABLE IF NOT EXISTS catalog_figure"
            " (dataset TEXT NOT NULL, mark TEXT NOT NULL, figure INTEGER NOT NULL,"
            " PRIMARY KEY (dataset, mark))"
        )

    def last(self, dataset: str) -> dict[str, int]:
        """Return the figures; none before a dataset is described for the first time."""
        question = "SELECT mark, figure FROM catalog_figure WHERE dataset = ?"
        rows = self._state.connection().execute(question, (dataset,)).fetchall()
        return {row["mark"]: row["figure"] for row in rows}

    def keep(self, dataset: str, figures: Figures) -> None:
        """Put figures in the place of those before."""
        rows = [(dataset, mark, figure) for mark, figure in figures.items()]
        with self._state.transaction() as connection:
            connection.execute("DELETE FROM catalog_figure WHERE dataset = ?", (dataset,))
            connection.executemany("INSERT INTO catalog_figure VALUES (?, ?, ?)", rows)
