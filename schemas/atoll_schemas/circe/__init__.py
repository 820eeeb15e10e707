"""Read OHDSI Circe cohort expressions, the JSON that ATLAS exports, into a typed model."""

from atoll_schemas.circe.expression import CohortExpression

__all__ = ["CohortExpression"]
