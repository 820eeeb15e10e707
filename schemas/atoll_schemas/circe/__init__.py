"""Read OHDSI Circe cohort expressions into typed values; what Atoll does not run is refused by its path."""

from atoll_schemas.circe.concepts import SourceCode
from atoll_schemas.circe.errors import CohortError, InvalidCohort, UnsupportedCohort
from atoll_schemas.circe.expression import CohortExpression

__all__ = ["CohortError", "CohortExpression", "InvalidCohort", "SourceCode", "UnsupportedCohort"]
