"""Put concept sets together: concepts and source codes, with descendants, united and subtracted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from atoll.callers import invalid
from atoll_schemas.circe import SourceCode


@dataclass(frozen=True)
class Line:
    """One concept of a set."""

    concept_id: int
    excluded: bool = False
    descendants: bool = False
    mapped: bool = False

    def circe(self) -> dict[str, Any]:
        """Return the line as Circe writes it."""
        return {
            "concept": {"CONCEPT_ID": self.concept_id},
            "isExcluded": self.excluded,
            "includeDescendants": self.descendants,
            "includeMapped": self.mapped,
        }


@dataclass(frozen=True)
class ConceptSet:
    """Concepts and source codes. ``a | b`` unites, ``a - b`` subtracts; a set never changes."""

    lines: tuple[Line, ...] = ()
    codes: tuple[SourceCode, ...] = ()
    name: str = ""

    def named(self, name: str) -> Self:
        """Return the set under a name."""
        return replace(self, name=name)

    def with_descendants(self) -> Self:
        """Return the set with everything below its concepts."""
        return replace(self, lines=tuple(replace(line, descendants=True) for line in self.lines))

    def with_mapped(self) -> Self:
        """Return the set with the concepts that are mapped to its own."""
        return replace(self, lines=tuple(replace(line, mapped=not line.excluded) for line in self.lines))

    def __or__(self, other: object) -> "ConceptSet":
        """Return what is in either. Subtract last: a set with exclusions cannot be united with another."""
        if not isinstance(other, ConceptSet):
            return NotImplemented
        if _excluded(self) != _excluded(other):
            raise invalid(
                "concepts.union",
                "a set from which concepts were subtracted cannot be united with another",
                "Unite first, subtract last: (a | b) - c.",
            )
        lines = tuple(dict.fromkeys((*self.lines, *other.lines)))
        codes = tuple(dict.fromkeys((*self.codes, *other.codes)))
        return ConceptSet(lines, codes, self.name or other.name)

    def __sub__(self, other: object) -> "ConceptSet":
        """Return what is in this set and not in the other."""
        if not isinstance(other, ConceptSet):
            return NotImplemented
        if _excluded(other):
            raise invalid(
                "concepts.difference",
                "a set from which concepts were subtracted cannot be subtracted itself",
                "Subtract plain sets, one after the other: a - b - c.",
            )
        taken = tuple(replace(line, excluded=True) for line in other.lines)
        codes = tuple(code for code in self.codes if code not in other.codes)
        return ConceptSet(tuple(dict.fromkeys((*self.lines, *taken))), codes, self.name)

    def circe(self, number: int) -> dict[str, Any]:
        """Return the set as Circe writes it, under a number."""
        items = [line.circe() for line in self.lines]
        found: dict[str, Any] = {"id": number, "name": self.name, "expression": {"items": items}}
        return {**found, "SourceCodes": [code.wire() for code in self.codes]} if self.codes else found


def _excluded(concept_set: ConceptSet) -> frozenset[Line]:
    return frozenset(line for line in concept_set.lines if line.excluded)


def concepts(*ids: int, descendants: bool = True, mapped: bool = False, name: str = "") -> ConceptSet:
    """Return a set of OMOP concepts, with everything below them unless told otherwise."""
    if not ids or not all(type(number) is int and number >= 0 for number in ids):
        raise invalid("concepts.ids", "concepts takes concept ids", "Such as concepts(4180790, 443381).")
    lines = (Line(number, descendants=descendants, mapped=mapped) for number in ids)
    return ConceptSet(tuple(dict.fromkeys(lines)), name=name)


def codes(vocabulary: str, *values: str, name: str = "") -> ConceptSet:
    """Return a set of codes as the hospitals' systems write them: ``codes("ICD10", "C18.9", "C18.7")``."""
    if not values:
        raise invalid(
            "concepts.codes", "codes takes a vocabulary and codes", 'Such as codes("ICD10", "C18.9").'
        )
    return ConceptSet(
        codes=tuple(SourceCode(vocabulary=vocabulary, code=value) for value in values), name=name
    )


def read_set(value: Mapping[str, Any]) -> ConceptSet:
    """Return a set as Circe wrote it."""
    items: Iterable[Mapping[str, Any]] = value.get("expression", {}).get("items", ())
    lines = tuple(
        Line(
            int(item["concept"]["CONCEPT_ID"]),
            bool(item.get("isExcluded")),
            bool(item.get("includeDescendants")),
            bool(item.get("includeMapped")),
        )
        for item in items
    )
    found = tuple(SourceCode.from_wire(code) for code in value.get("SourceCodes", ()))
    return ConceptSet(lines, found, str(value.get("name") or ""))
