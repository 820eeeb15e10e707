"""Read a question from a file of this machine: a query, or a cohort definition to count."""

import json
from pathlib import Path

from pydantic import ValidationError

from atoll_node.errors import SourceError
from atoll_schemas.circe import CohortError, CohortExpression
from atoll_schemas.query import Count, Name, ProjectId, Query

_NOBODYS: ProjectId = "LOCAL-0"


def read_question(file: Path, dataset: Name | None) -> Query:
    """Return the query; a cohort definition is counted with attrition in the dataset.

    Raises ``SourceError``.
    """
    try:
        text = file.read_bytes()
        content = json.loads(text)
    except OSError as error:
        raise SourceError(
            "explain.file", f"{file.name} cannot be read ({error.strerror})", "name a JSON file"
        ) from None
    except (ValueError, RecursionError):
        raise SourceError("explain.file", f"{file.name} is no JSON", "name a JSON file") from None
    if not isinstance(content, dict):
        raise _neither(file)
    if "analysis" in content:
        return _asked(file, text)
    if "PrimaryCriteria" not in content and "primaryCriteria" not in content:
        raise _neither(file)
    if dataset is None:
        raise SourceError(
            "explain.dataset",
            f"{file.name} is a cohort definition, which names no dataset",
            "add --dataset NAME",
        )
    try:
        cohort = CohortExpression.from_json(text)
    except CohortError as error:
        raise SourceError("explain.cohort", f"{file.name}: {error}", "see: atoll cohort check") from None
    return Query(project=_NOBODYS, dataset=dataset, cohort=cohort, analysis=Count())


def _asked(file: Path, text: bytes) -> Query:
    try:
        return Query.model_validate_json(text)
    except (ValidationError, CohortError) as error:
        where = (
            ".".join(str(part) for part in error.errors()[0]["loc"])
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise SourceError(
            "explain.query", f"{file.name} is no query of this version, at {where}", "compare the versions"
        ) from None


def _neither(file: Path) -> SourceError:
    return SourceError(
        "explain.file",
        f"{file.name} is neither a query nor a cohort definition",
        "name the query's JSON, or the JSON that ATLAS exports",
    )
