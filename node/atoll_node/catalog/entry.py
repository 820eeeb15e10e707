"""Write a release's catalog entry from its raw profile: every figure through the gate, small ones absent."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from atoll_node.catalog.profile import ConceptProfile, FieldProfile, Profile, TableProfile, YearProfile
from atoll_node.release import Release
from atoll_node.settings import GateSettings
from atoll_schemas.catalog import CatalogEntry, ConceptEntry, FieldEntry, TableEntry, YearEntry
from atoll_schemas.cells import Cell, Counted, Withheld

LONGEST_LABEL = 120


class ClearParts(Protocol):
    """The gate's way with counts that add up to a whole (``disclosure.clear_parts``)."""

    def __call__(
        self, whole: int, parts: Mapping[str, int], settings: GateSettings, soft: frozenset[str]
    ) -> dict[str, Cell]:
        """Return the parts as they may leave."""


def describe(
    profile: Profile,
    release: Release,
    *,
    title: str,
    description: str,
    settings: GateSettings,
    clear_parts: ClearParts,
) -> CatalogEntry:
    """Return what the hub may know of a release. ``title`` and ``description`` are the site's own words."""
    writer = _Writer(profile, settings, clear_parts)
    years = writer.years()
    seen = [entry.year for entry in years if isinstance(entry.persons, Counted)]
    return CatalogEntry(
        site=release.site,
        dataset=release.dataset,
        title=title,
        description=description,
        release=release.name,
        release_digest=release.content_digest,
        released_at=release.created_at,
        synthetic=release.synthetic,
        first_year=min(seen, default=None),
        last_year=max(seen, default=None),
        persons=writer.part(profile.persons, profile.persons, whole_is_part=True),
        tables=tuple(writer.table(table) for table in profile.tables),
        years=years,
        concepts=writer.concepts(),
        variables=release.variables,
        outcomes=release.outcomes,
        vocabulary_version=_label(profile.vocabulary_version),
        shared_tables=profile.shared_tables,
        deidentification=release.deidentification,
        date_shift=release.date_shift,
        quality=release.quality,
        gate_minimum_persons=settings.minimum_persons,
    )


def _label(text: str | None) -> str | None:
    return text[:LONGEST_LABEL] if text else None


class _Writer:
    def __init__(self, profile: Profile, settings: GateSettings, clear_parts: ClearParts) -> None:
        self._profile = profile
        self._settings = settings
        self._clear_parts = clear_parts
        self._persons = {table.name: table.persons for table in profile.tables}

    def part(self, persons: int, whole: int, *, whole_is_part: bool = False) -> Cell:
        """Clear some of the whole's persons, and keep the others from being worked out."""
        parts = {"some": persons} if whole_is_part else {"some": persons, "others": max(0, whole - persons)}
        # Persons that ``person`` lacks stand in other tables of a broken source; then the part is the whole.
        return self._clear_parts(max(whole, persons), parts, self._settings, frozenset({"others"}))["some"]

    def table(self, table: TableProfile) -> TableEntry:
        persons = self.part(table.persons, self._profile.persons, whole_is_part=table.name == "person")
        held = isinstance(persons, Withheld)
        rows = self._clear_parts(table.rows, {"rows": table.rows}, self._settings, frozenset())["rows"]
        return TableEntry(
            name=table.name,
            persons=persons,
            rows=Withheld() if held else rows,
            fields=tuple(self._field(table, field, persons) for field in table.fields),
        )

    def _field(self, table: TableProfile, field: FieldProfile, persons: Cell) -> FieldEntry:
        """A required field is full by the standard, so its count is the table's."""
        full = isinstance(persons, Withheld) or (field.required and field.filled == table.persons)
        filled = persons if full else self.part(field.filled, table.persons)
        return FieldEntry(name=field.name, datatype=field.datatype, filled=filled)

    def years(self) -> tuple[YearEntry, ...]:
        found: dict[str, list[YearProfile]] = defaultdict(list)
        for year in self._profile.years:
            found[year.table].append(year)
        return tuple(entry for table in found for entry in self._years_of(found[table]))

    def _years_of(self, years: list[YearProfile]) -> tuple[YearEntry, ...]:
        """Where each person stands in one year only, the years add up and protect each other."""
        whole = self._persons.get(years[0].table, 0)
        apart = sum(year.persons for year in years) == whole
        together = {str(year.year): year.persons for year in years}
        cells = (
            self._clear_parts(whole, together, self._settings, frozenset())
            if apart
            else {name: self.part(persons, whole) for name, persons in together.items()}
        )
        return tuple(
            YearEntry(table=year.table, year=year.year, persons=cells[str(year.year)])
            for year in years
            if isinstance(cells[str(year.year)], Counted)
        )

    def concepts(self) -> tuple[ConceptEntry, ...]:
        found: dict[tuple[str, str], list[ConceptProfile]] = defaultdict(list)
        for concept in self._profile.concepts:
            found[concept.table, concept.partition].append(concept)
        return tuple(entry for group in found.values() for entry in self._concepts_of(group))

    def _concepts_of(self, concepts: list[ConceptProfile]) -> tuple[ConceptEntry, ...]:
        """Rows fall apart by concept; the rows of all small concepts together stay one hidden part."""
        least, table = self._settings.minimum_persons, concepts[0].table
        shown = [concept for concept in concepts if concept.persons >= least and _fits(concept)]
        named = {str(place): concept.rows for place, concept in enumerate(shown)}
        whole = max(next((t.rows for t in self._profile.tables if t.name == table), 0), sum(named.values()))
        others = {"others": whole - sum(named.values())}
        hidden = frozenset({"others"})
        rows = self._clear_parts(whole, named | others, self._settings, hidden)
        entries = (
            self._concept(concept, self._persons_of(concept, concepts), rows[str(place)])
            for place, concept in enumerate(shown)
        )
        return tuple(entry for entry in entries if isinstance(entry.persons, Counted))

    def _persons_of(self, concept: ConceptProfile, every: list[ConceptProfile]) -> Cell:
        """Each person has one sex, so such concepts also add up in persons."""
        if concept.table != "person":
            return self.part(concept.persons, max(self._persons.get(concept.table, 0), self._profile.persons))
        parts = {str(place): other.persons for place, other in enumerate(every)}
        cells = self._clear_parts(sum(parts.values()), parts, self._settings, frozenset())
        return cells[str(every.index(concept))]

    def _concept(self, concept: ConceptProfile, persons: Cell, rows: Cell) -> ConceptEntry:
        named = self._profile.names.get(concept.concept_id) if concept.code is None else None
        return ConceptEntry(
            table=concept.table,
            concept_id=concept.concept_id,
            vocabulary=_label(named.vocabulary if named else None),
            code=_label(named.code if named else concept.code),
            name=_label(named.name if named else None),
            persons=persons,
            rows=persons if concept.table == "person" else rows,
        )


def _fits(concept: ConceptProfile) -> bool:
    return concept.code is None or 0 < len(concept.code) <= LONGEST_LABEL
