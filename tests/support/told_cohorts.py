"""Hold cohorts whose words are kept: a trial's, one with everything, and one for each kind of criteria."""

import json
from pathlib import Path
from typing import Any

from atoll_schemas.circe import CohortExpression, criteria
from tests.support.circe_examples import CONCEPT_SET, PARTS, body

GOLDEN = Path(__file__).parents[1] / "unit" / "explained"


def every_kind() -> dict[str, Any]:
    """Return a cohort whose entry events are of every kind and state every attribute, nesting left out."""
    entry = []
    for name, field in criteria.Criteria.model_fields.items():
        kind = next(item for item in PARTS if item.__name__ == "".join(map(str.capitalize, name.split("_"))))
        attributes = {key: value for key, value in body(kind).items() if key != "CorrelatedCriteria"}
        entry.append({kind.__name__: attributes})
        del field
    return {
        "Title": "Every kind of criteria",
        "ConceptSets": [CONCEPT_SET],
        "PrimaryCriteria": {"CriteriaList": entry},
    }


TOLD: dict[str, Any] = {
    "stage3_colon": json.loads(
        (Path(__file__).parents[2] / "demo/cohorts/stage3_colon.json").read_text("utf-8")
    ),
    "everything": PARTS[CohortExpression],
    "every_kind": every_kind(),
}
