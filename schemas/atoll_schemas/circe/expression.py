"""Model a cohort expression."""

from atoll_schemas.contract import Contract


class CohortExpression(Contract):
    """A cohort as Circe states it."""
