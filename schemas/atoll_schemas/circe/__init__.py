"""Read OHDSI Circe cohort expressions into typed values, and write them again without loss."""

from atoll_schemas.circe.concepts import SourceCode
from atoll_schemas.circe.coverage import Coverage, refuse_beyond
from atoll_schemas.circe.errors import CohortError, InvalidCohort, UnsupportedCohort
from atoll_schemas.circe.expression import CohortExpression

__all__ = [
    "CohortError", "CohortExpression", "Coverage", "InvalidCohort", "SourceCode", "UnsupportedCohort",
    "refuse_beyond",
]  # fmt: skip
