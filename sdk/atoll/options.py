"""Name the options that every question takes, and make a question of them."""

from collections.abc import Mapping, Sequence
from typing import Required, TypedDict

from atoll.cohort import Cohort
from atoll.question import Ask, Attrition, OutcomeLike, VariableLike
from atoll_schemas.query import Method, Variable


class Options(TypedDict, total=False):
    """What every question takes."""

    project: Required[str]
    """The project under whose permits the sites are asked, such as ``P-001``."""
    dataset: str
    """The dataset; may be left out when the project has only one."""
    sites: Sequence[str]
    """Sites to ask; left out, every site that offers the dataset."""
    deadline: int
    """Seconds after which an answer is late."""
    edges: Mapping[str, Sequence[float]]
    """Bin edges of numeric variables, by name."""
    minimum_persons: int
    """A stricter minimum of persons per cell than the sites' own."""


def asking(
    cohort: Cohort,
    method: Method,
    options: Options,
    *,
    variables: Sequence[VariableLike] = (),
    by: Sequence[VariableLike] | VariableLike | None = (),
    outcome: OutcomeLike | None = None,
    max_days: int | None = None,
    attrition: Attrition | None = None,
) -> Ask:
    """Return the question."""
    sites = options.get("sites")
    return Ask(
        cohort=cohort.expression,
        method=method,
        project=options["project"],
        variables=_several(variables),
        by=_several(by),
        outcome=outcome,
        max_days=max_days,
        attrition=attrition,
        edges=options.get("edges", {}),
        dataset=options.get("dataset"),
        sites=None if sites is None else _texts(sites),
        deadline=options.get("deadline", 300),
        minimum_persons=options.get("minimum_persons"),
    )


def _several(value: Sequence[VariableLike] | VariableLike | None) -> tuple[VariableLike, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, Variable)) else tuple(value)


def _texts(value: Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
