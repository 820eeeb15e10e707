"""Resolve concept sets to the concepts and source codes that records are compared with."""

from collections.abc import Iterable
from dataclasses import dataclass

from atoll_node.errors import EngineError
from atoll_node.reference.rows import Cdm
from atoll_schemas.circe.concepts import ConceptSet, ConceptSetItem


@dataclass(frozen=True)
class Codeset:
    """What a concept set matches: concepts, and codes that the source wrote."""

    concept_ids: frozenset[int]
    codes: frozenset[str]


def codeset_of(cdm: Cdm, concept_set: ConceptSet) -> Codeset:
    """Return the included concepts less the excluded ones, and the source codes.

    circe-be's ``ConceptSetExpressionQueryBuilder``: each line adds its concept; its valid descendants where
    ``includeDescendants``; and where ``includeMapped`` every concept that ``Maps to`` one of those. Raises
    ``EngineError`` where a site has no hierarchy or no relationships to look in: it would be too few.
    """
    items = concept_set.expression.items
    included = _expanded(cdm, (item for item in items if not item.is_excluded))
    excluded = _expanded(cdm, (item for item in items if item.is_excluded))
    return Codeset(frozenset(included - excluded), frozenset(code.code for code in concept_set.source_codes))


def _expanded(cdm: Cdm, items: Iterable[ConceptSetItem]) -> set[int]:
    found: set[int] = set()
    for item in items:
        concepts = {item.concept.concept_id}
        if item.include_descendants:
            _require(cdm, "concept_ancestor")
            concepts = cdm.with_descendants(concepts)
        found |= concepts
        if item.include_mapped:
            found |= cdm.mapped_to(concepts)
    return found


def _require(cdm: Cdm, table: str) -> None:
    if not cdm.rows(table):
        raise EngineError(
            "engine.vocabulary",
            f"a concept set asks for more concepts than it names, and {table} has no rows",
            "ingest the OMOP vocabularies, or name every concept or source code",
        )
