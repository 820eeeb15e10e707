"""Look up descendants and mapped concepts in a release's vocabulary tables, once for a whole batch."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.sql import Binder, Statement
from atoll_node.errors import EngineError
from atoll_node.release import Release

Ids = NDArray[np.int64]
Numbers = Callable[[Statement], Mapping[str, NDArray[Any]]]
_MOST_KEPT = 200_000
"""Ancestors whose descendants are kept in memory."""


class Hierarchy:
    """A release's ``concept_ancestor`` as a vocabulary; what was looked up is kept.

    ``require`` makes tables readable; ``numbers`` runs a statement.
    """

    def __init__(self, release: Release, require: Callable[[frozenset[str]], None]) -> None:
        self._release = release
        self._require = require
        self._below: dict[int, Ids] = {}
        self._mapped: dict[tuple[int, ...], frozenset[int]] = {}

    def reading(self, numbers: Numbers) -> "Lookup":
        """Return the vocabulary, read through one session."""
        return Lookup(self, numbers)

    def has(self, table: str) -> bool:
        """Whether the release has rows of a table."""
        pinned = self._release.table(table)
        return pinned is not None and pinned.rows > 0

    def fetch(self, parents: Iterable[int], numbers: Numbers) -> None:
        """Look up all concepts that are not known yet, in one statement."""
        if len(self._below) > _MOST_KEPT:
            self._below.clear()
        missing = tuple(sorted(set(parents) - self._below.keys()))
        if not missing or not self.has("concept_ancestor"):
            return
        self._require(frozenset({"concept_ancestor", "concept"}))
        binder = Binder()
        valid = ""
        if self.has("concept"):
            valid = (
                "JOIN concept c ON c.concept_id = a.descendant_concept_id "
                "AND coalesce(c.invalid_reason, '') = '' "
            )
        found = numbers(
            binder.statement(
                "SELECT a.ancestor_concept_id AS above, a.descendant_concept_id AS below "
                f"FROM concept_ancestor a {valid}WHERE a.ancestor_concept_id IN {binder.members(missing)}"
            )
        )
        order = np.argsort(found["above"], kind="stable")
        above, below = found["above"][order], found["below"][order]
        ends = np.searchsorted(above, np.asarray(missing), side="right")
        for concept, first, last in zip(
            missing, np.searchsorted(above, np.asarray(missing)), ends, strict=True
        ):
            self._below[concept] = below[first:last]

    def below(self, concept_ids: tuple[int, ...], numbers: Numbers) -> frozenset[int]:
        """Return the valid descendants; without hierarchy there is no answer rather than a smaller one."""
        if not self.has("concept_ancestor"):
            raise EngineError(
                "engine.vocabulary",
                f"descendants of concepts are asked for, and {self._release.site} has no concept_ancestor",
                "ingest the OMOP vocabularies, or ask for concepts or source codes without descendants",
            )
        self.fetch(concept_ids, numbers)
        parts = [self._below[concept] for concept in concept_ids]
        return frozenset(np.concatenate(parts).tolist()) if parts else frozenset()

    def mapped(self, concept_ids: tuple[int, ...], numbers: Numbers) -> frozenset[int]:
        """Return the concepts that map to these, as far as the release says so."""
        if not concept_ids or not self.has("concept_relationship"):
            return frozenset()
        if concept_ids not in self._mapped:
            self._require(frozenset({"concept_relationship"}))
            binder = Binder()
            kind = binder.bind("Maps to")
            found = numbers(
                binder.statement(
                    "SELECT DISTINCT concept_id_1 AS source FROM concept_relationship "
                    f"WHERE relationship_id = {kind} AND coalesce(invalid_reason, '') = '' "
                    f"AND concept_id_2 IN {binder.members(concept_ids)}"
                )
            )
            self._mapped[concept_ids] = frozenset(found["source"].tolist())
        return self._mapped[concept_ids]


class Lookup:
    """The hierarchy as planning asks for it."""

    def __init__(self, hierarchy: Hierarchy, numbers: Numbers) -> None:
        self._hierarchy = hierarchy
        self._numbers = numbers

    def fetch(self, parents: Iterable[int]) -> None:
        """Look up many concepts at once, so that what follows finds them."""
        self._hierarchy.fetch(parents, self._numbers)

    def descendants(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        """Return the valid descendants. Raises ``EngineError`` ``engine.vocabulary`` without hierarchy."""
        return self._hierarchy.below(concept_ids, self._numbers)

    def mapped(self, concept_ids: tuple[int, ...]) -> frozenset[int]:
        """Return the concepts that map to these."""
        return self._hierarchy.mapped(concept_ids, self._numbers)
