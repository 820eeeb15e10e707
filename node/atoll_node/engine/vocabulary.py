"""Resolve concept sets and codes to concept ids, with descendants and mapped concepts where asked."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from atoll_node.engine.plan import CodeMatch
from atoll_schemas.circe.concepts import ConceptSet, ConceptSetItem
from atoll_schemas.query import Codes


class Vocabulary(Protocol):
    """The release's concept hierarchy."""

    def descendants(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        """Return the valid descendants. Raises ``EngineError`` ``engine.vocabulary`` without hierarchy."""

    def mapped(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        """Return the concepts that map to these. Raises ``EngineError`` ``engine.vocabulary`` likewise."""


def parents_of(sets: Iterable[ConceptSet]) -> frozenset[int]:
    """Return the concepts whose descendants the concept sets ask for, so that one look-up finds all."""
    return frozenset(
        item.concept.concept_id for one in sets for item in one.expression.items if item.include_descendants
    )


def resolve_sets(sets: Iterable[ConceptSet], vocabulary: Vocabulary) -> Mapping[int, CodeMatch]:
    """Return what each concept set matches: included less excluded concepts, and its source codes."""
    return {item.id: _resolved(item, vocabulary) for item in sets}


def resolve_codes(codes: Codes, vocabulary: Vocabulary) -> CodeMatch:
    """Return what a variable's codes match."""
    found = set(codes.concept_ids)
    if codes.descendants and codes.concept_ids:
        found |= vocabulary.descendants(codes.concept_ids)
    return CodeMatch(tuple(sorted(found)), tuple(sorted({code.code for code in codes.source_codes})))


def _resolved(concept_set: ConceptSet, vocabulary: Vocabulary) -> CodeMatch:
    items = concept_set.expression.items
    included = _expanded([item for item in items if not item.is_excluded], vocabulary)
    excluded = _expanded([item for item in items if item.is_excluded], vocabulary)
    codes = {code.code for code in concept_set.source_codes}
    return CodeMatch(tuple(sorted(included - excluded)), tuple(sorted(codes)))


def _expanded(items: list[ConceptSetItem], vocabulary: Vocabulary) -> set[int]:
    found = _with_descendants(items, vocabulary)
    mapped = [item for item in items if item.include_mapped]
    if mapped:
        found |= vocabulary.mapped(tuple(sorted(_with_descendants(mapped, vocabulary))))
    return found


def _with_descendants(items: list[ConceptSetItem], vocabulary: Vocabulary) -> set[int]:
    found = {item.concept.concept_id for item in items}
    parents = {item.concept.concept_id for item in items if item.include_descendants}
    return found | vocabulary.descendants(tuple(sorted(parents))) if parents else found
