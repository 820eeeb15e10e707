"""Turn what a researcher writes into a submission: names become the definitions that the sites declare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from atoll.errors import Invalid
from atoll_schemas.circe import CohortExpression
from atoll_schemas.people import DatasetVariables, OutcomeAtSites, VariableAtSites
from atoll_schemas.query import (
    Analysis,
    Count,
    Crosstab,
    Death,
    Demographic,
    KaplanMeier,
    Method,
    Outcome,
    Query,
    Submission,
    Table1,
    Tighten,
    Variable,
)

DEATH = Outcome(name="death", definition=Death(), label="Death from any cause")
_AGES = (18.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)
_BIRTHS = tuple(float(year) for year in range(1930, 2011, 10))
BUILT_IN: Mapping[str, Variable] = {
    "sex": Variable(name="sex", definition=Demographic(field="sex"), label="Sex"),
    "race": Variable(name="race", definition=Demographic(field="race"), label="Race"),
    "ethnicity": Variable(name="ethnicity", definition=Demographic(field="ethnicity"), label="Ethnicity"),
    "age": Variable(
        name="age", definition=Demographic(field="age"), label="Age at index", unit="years", edges=_AGES
    ),
    "birth_year": Variable(
        name="birth_year", definition=Demographic(field="birth_year"), label="Year of birth", edges=_BIRTHS
    ),
    "index_year": Variable(
        name="index_year", definition=Demographic(field="index_year"), label="Year of index"
    ),
}
"""Variables that every dataset has. A site's own declaration of the same name goes before."""

VariableLike = str | Variable
Attrition = Literal["best_event"]
OutcomeLike = str | Outcome
N = TypeVar("N", Variable, Outcome)


@dataclass(frozen=True)
class Catalogued:
    """What the sites declare for a dataset, and which sites offer it."""

    declared: DatasetVariables
    offering: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """A question as a researcher writes it, with names still to be resolved."""

    cohort: CohortExpression
    method: Method
    project: str
    variables: tuple[VariableLike, ...] = ()
    by: tuple[VariableLike, ...] = ()
    outcome: OutcomeLike | None = None
    max_days: int | None = None
    attrition: Attrition | None = None
    edges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    dataset: str | None = None
    sites: tuple[str, ...] | None = None
    deadline: int = 300
    minimum_persons: int | None = None

    def needs_catalog(self) -> bool:
        """Whether a name must be looked up; a lone ``death`` is the same everywhere."""
        names = [item for item in (*self.variables, *self.by) if isinstance(item, str)]
        return bool(names) or (isinstance(self.outcome, str) and self.outcome != "death")

    def submission(self, dataset: str, catalogued: Catalogued | None, key: str) -> Submission:
        """Return what goes to the hub. Raises ``Invalid``, naming the field or the sites that differ."""
        try:
            query = Query(
                project=self.project,
                dataset=dataset,
                cohort=self.cohort,
                analysis=self._analysis(catalogued),
                tighten=self._tighten(),
            )
            return Submission(
                query=query, sites=self.sites, deadline_seconds=self.deadline, idempotency_key=key
            )
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Invalid("question.invalid", f"{place or 'the question'}: {first['msg']}") from None

    def _tighten(self) -> Tighten | None:
        return None if self.minimum_persons is None else Tighten(minimum_persons=self.minimum_persons)

    def _analysis(self, catalogued: Catalogued | None) -> Analysis:
        by = tuple(_grouping(self._variable(item, catalogued)) for item in self.by)
        one = by[0] if by else None
        variables = tuple(self._variable(item, catalogued) for item in self.variables)
        _check_distinct([*variables, *by])
        match self.method:
            case "count":
                return Count(by=by, attrition=self.attrition)
            case "table1":
                return Table1(variables=variables, by=one)
            case "crosstab":
                return Crosstab(variables=tuple(map(_grouping, variables)))
            case "kaplan_meier":
                return KaplanMeier(outcome=self._outcome(catalogued), by=one, max_days=self.max_days)

    def _variable(self, item: VariableLike, catalogued: Catalogued | None) -> Variable:
        if isinstance(item, Variable):
            return item
        found = self._declared("variable", item, catalogued) or BUILT_IN.get(item)
        if found is None:
            raise unknown("variable", item, [*_names(catalogued, "variable"), *BUILT_IN])
        if item not in self.edges:
            return found
        return Variable.model_validate({**dict(found), "edges": tuple(self.edges[item])})

    def _outcome(self, catalogued: Catalogued | None) -> Outcome:
        if isinstance(self.outcome, Outcome):
            return self.outcome
        name = self.outcome or ""
        found = self._declared("outcome", name, catalogued) or (DEATH if name == "death" else None)
        if found is None:
            raise unknown("outcome", name, [*_names(catalogued, "outcome"), "death"])
        return found

    def _declared(
        self, kind: Literal["variable", "outcome"], name: str, catalogued: Catalogued | None
    ) -> Any:
        """Return the definition that all asked sites share; ``None`` when no site declares the name."""
        if catalogued is None:
            return None
        entries = [entry for entry in _entries(catalogued, kind) if _of(entry).name == name]
        if not entries:
            return None
        asked = set(self.sites or catalogued.offering)
        for entry in entries:
            if asked <= set(entry.sites):
                return _of(entry)
        if name in BUILT_IN and not any(asked & set(entry.sites) for entry in entries):
            return None
        raise _differing(kind, name, entries, asked)


def _check_distinct(variables: Sequence[Variable]) -> None:
    """A variable crossed with itself asks nothing, and its empty cells cannot be protected."""
    names = [variable.name for variable in variables]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(
            "variable.twice",
            f"the question names {', '.join(twice)} twice",
            "A variable either forms groups or is described by them.",
        )


def _grouping(variable: Variable) -> Variable:
    """Return the variable if it can form groups: levels, or a number with edges."""
    if variable.numeric and not variable.edges:
        raise Invalid(
            "variable.not_binned",
            f"{variable.name} is a number and cannot form groups without edges",
            f"Give edges, such as edges={{'{variable.name}': [40, 50, 60]}}.",
        )
    return variable


def _entries(
    catalogued: Catalogued | None, kind: Literal["variable", "outcome"]
) -> Sequence[VariableAtSites | OutcomeAtSites]:
    if catalogued is None:
        return ()
    return catalogued.declared.variables if kind == "variable" else catalogued.declared.outcomes


def _of(entry: VariableAtSites | OutcomeAtSites) -> Variable | Outcome:
    return entry.variable if isinstance(entry, VariableAtSites) else entry.outcome


def _names(catalogued: Catalogued | None, kind: Literal["variable", "outcome"]) -> list[str]:
    return [_of(entry).name for entry in _entries(catalogued, kind)]


def unknown(kind: str, name: str, known: Sequence[str]) -> Invalid:
    """Return the error for a name that nobody declares, with the names that there are."""
    listed = ", ".join(sorted(set(known)))
    return Invalid(f"{kind}.unknown", f"no site declares the {kind} {name!r}", f"There are: {listed}.")


def _differing(
    kind: str, name: str, entries: Sequence[VariableAtSites | OutcomeAtSites], asked: set[str]
) -> Invalid:
    groups = [sorted(asked & set(entry.sites)) for entry in entries]
    lacking = sorted(asked - {site for entry in entries for site in entry.sites})
    said = [f"one definition at {', '.join(group)}" for group in groups if group]
    said += [f"none at {', '.join(lacking)}"] if lacking else []
    widest = max(groups, key=len)
    step = f"Ask only sites that agree, such as sites={widest!r}." if widest else None
    return Invalid(f"{kind}.differs", f"the sites do not define {name!r} alike: {'; '.join(said)}", step)
