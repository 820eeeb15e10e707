"""Name the levels of variables. Every label comes from the query or from the data model, never from data."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from atoll_schemas.canonical import canonical_json
from atoll_schemas.query import MISSING, OTHER, Demographic, NumberValue, Presence, VariableDefinition

_LONGEST = 120


@dataclass(frozen=True)
class PersonLevels:
    """A coded field of ``person``: its column, and OMOP standard concepts with their labels."""

    column: str
    levels: tuple[tuple[int, str], ...]


PERSON_LEVELS: Mapping[str, PersonLevels] = MappingProxyType(
    {
        "sex": PersonLevels("gender_concept_id", ((8532, "female"), (8507, "male"))),
        "race": PersonLevels(
            "race_concept_id",
            (
                (8657, "american indian or alaska native"),
                (8515, "asian"),
                (8516, "black or african american"),
                (8557, "native hawaiian or other pacific islander"),
                (8527, "white"),
            ),
        ),
        "ethnicity": PersonLevels(
            "ethnicity_concept_id",
            ((38003563, "hispanic or latino"), (38003564, "not hispanic or latino")),
        ),
    }
)
"""OMOP's standard concepts of the vocabularies Gender, Race (top level) and Ethnicity."""


def category_labels(definition: VariableDefinition) -> tuple[str, ...]:
    """Return the labels of a categorical variable in order; ``other`` and ``missing`` come last."""
    if isinstance(definition, Presence):
        return ("yes", "no")
    if isinstance(definition, Demographic):
        return (*(label for _, label in PERSON_LEVELS[definition.field].levels), OTHER, MISSING)
    if isinstance(definition, NumberValue):
        raise ValueError("a number has bins, not categories")
    return (*(level.label for level in definition.levels), OTHER, MISSING)


def bin_labels(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Return ``< 50``, ``[50, 65)``, ``>= 65``, ``other``, ``missing`` for the edges 50 and 65."""
    shown = [canonical_json(edge).decode() for edge in edges]
    inner = (f"[{low}, {high})" for low, high in pairwise(shown))
    return (f"< {shown[0]}", *inner, f">= {shown[-1]}", OTHER, MISSING)


def bin_ends(edges: tuple[float, ...]) -> tuple[tuple[float | None, float | None], ...]:
    """Return the ends of the bins, the open outer ones included; none without edges."""
    ends = (None, *edges, None)
    return tuple(pairwise(ends)) if edges else ()


def distinct_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return step names that are present, short and distinct: ``rule 2`` and ``name (2)`` where needed."""
    taken: set[str] = set()
    found = []
    for number, name in enumerate(names, start=1):
        wanted = name.strip()[:_LONGEST] or f"rule {number}"
        found.append(_free(wanted, taken))
        taken.add(found[-1])
    return tuple(found)


def _free(wanted: str, taken: set[str]) -> str:
    candidate, number = wanted, 1
    while candidate in taken:
        number += 1
        suffix = f" ({number})"
        candidate = wanted[: _LONGEST - len(suffix)] + suffix
    return candidate
