"""Write short queries for tests of the engines."""

from collections.abc import Iterable, Sequence
from typing import Any

from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Analysis, Codes, Count, Level, Query, SourceCode, Variable


def cohort(*criteria: dict[str, Any], **parts: Any) -> CohortExpression:
    """Return an expression over entry criteria; ``parts`` are further fields under Circe's names."""
    primary = {
        "CriteriaList": list(criteria) or [{"ObservationPeriod": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": parts.pop("Entry", "First")},
    }
    return CohortExpression.from_json({"PrimaryCriteria": primary, **parts})


def concept_set(number: int, *concept_ids: int, codes: Sequence[str] = (), **flags: bool) -> dict[str, Any]:
    """Return a concept set over concepts and source codes."""
    items = [{"concept": {"CONCEPT_ID": concept}, **flags} for concept in concept_ids]
    return {
        "id": number,
        "name": f"set {number}",
        "expression": {"items": items},
        "SourceCodes": [{"vocabulary": "local", "code": code} for code in codes],
    }


def query(
    expression: CohortExpression | None = None, analysis: Analysis | None = None, *, dataset: str = "test"
) -> Query:
    """Return a query; without arguments it counts everybody who was ever observed."""
    return Query(
        project="P-001", dataset=dataset, cohort=expression or cohort(), analysis=analysis or Count()
    )


def variable(name: str, definition: Any, *, edges: Iterable[float] = (), unit: str | None = None) -> Variable:
    """Return a named variable."""
    return Variable(name=name, definition=definition, edges=tuple(edges), unit=unit)


def coded(*codes: str) -> Codes:
    """Return source codes to look for."""
    return Codes(source_codes=tuple(SourceCode(vocabulary="local", code=code) for code in codes))


def levels(**values: Sequence[str]) -> tuple[Level, ...]:
    """Return levels by label."""
    return tuple(Level(label=label, values=tuple(of)) for label, of in values.items())
