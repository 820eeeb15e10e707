"""Show in the OpenAPI document what a question looks like."""

from fastapi.openapi.models import Example

_ENTRY = {
    "ConceptSets": [],
    "PrimaryCriteria": {
        "CriteriaList": [{"VisitOccurrence": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
    "InclusionRules": [],
}

SUBMISSION_EXAMPLES: dict[str, Example] = {
    "count": Example(
        summary="Count persons by sex",
        value={
            "query": {
                "data_model": "core@1",
                "project": "P-001",
                "dataset": "colon",
                "cohort": _ENTRY,
                "analysis": {
                    "method": "count",
                    "by": [{"name": "sex", "definition": {"kind": "demographic", "field": "sex"}}],
                },
            },
            "deadline_seconds": 60,
            "idempotency_key": "stage3-by-sex-1",
        },
    ),
}
