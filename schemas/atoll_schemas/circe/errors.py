"""Draw the error tree of cohort expressions: each error names the JSON path and, if near, a known name.

CohortError
├── InvalidCohort        not Circe JSON: wrong type, unknown name, dangling reference, too large
└── UnsupportedCohort    Circe, but beyond the part of the language that Atoll runs
"""


class CohortError(ValueError):
    """The root. ``path`` is a JSON path such as ``$.PrimaryCriteria.CriteriaList[0]``."""

    def __init__(self, path: str, message: str, nearest: str | None = None) -> None:
        hint = f"; did you mean {nearest}?" if nearest else ""
        super().__init__(f"{path}: {message}{hint}")
        self.path = path
        self.message = message
        self.nearest = nearest


class InvalidCohort(CohortError):
    """The text is no cohort expression."""


class UnsupportedCohort(CohortError):
    """The construct at ``path`` is Circe's, and Atoll does not run it yet."""
